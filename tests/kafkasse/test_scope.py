"""What a request is about, with a look-up that answers from memory."""

import pytest
from django.test import RequestFactory

from kafkasse import cursor, scope
from kafkasse.exceptions import ParameterError, TooManyChannelsError
from kafkasse.positions import Known
from kafkasse.replay import Reset
from kafkasse.stream import Stream

ORDERS, SHIPMENTS = cursor.tag("orders", "id1"), cursor.tag("shipments", "id2")
KNOWN = Known(
    {"orders": ORDERS, "shipments": SHIPMENTS},
    {("orders", 0): 5, ("orders", 1): 6, ("shipments", 0): 7},
)


@pytest.fixture
def opened(fake_lookup):
    """Return a function that opens a stream as a request with this query and this cursor does."""
    fake_lookup.known = KNOWN
    fake_lookup.ends_ = {("orders", 0): 50, ("orders", 1): 60, ("shipments", 0): 70}

    def opened(*topics, text="", **query):
        return scope.opened(RequestFactory().get("/", query), topics, text)

    return opened


def test_opened_without_a_cursor_starts_where_the_url_says(opened):
    """In all topics, each with its tag."""
    stream, start, known = opened("orders", "shipments", until="now", heartbeat="15")
    assert (stream.tags, stream.partition, stream.heartbeat) == (KNOWN.tags, None, 15)
    assert stream.end == {("orders", 0): 50, ("orders", 1): 60, ("shipments", 0): 70}
    assert (start.positions, start.resets) == (KNOWN.positions, ())
    assert known == KNOWN


def test_opened_with_a_cursor_starts_there_whatever_the_url_says(opened):
    """A browser that comes back shall not start over."""
    text = f"{ORDERS}.0-1.{ORDERS}~1.2~{SHIPMENTS}~3"
    stream, start, _known = opened("orders", "shipments", text=text, offset="earliest", heartbeat="15")
    assert stream.heartbeat == 15
    assert start.positions == {("orders", 0): 1, ("orders", 1): 2, ("shipments", 0): 3}


def test_opened_at_an_exact_offset_is_of_one_partition(opened):
    """Nothing is known of the others."""
    stream, start, known = opened("orders", partition="1", offset="4")
    assert stream.partition == 1
    assert start.positions == {("orders", 1): 4}
    assert known == Known({"orders": ORDERS}, {("orders", 1): 6})


def test_opened_with_a_cursor_of_one_partition_goes_on_with_that(opened):
    """The URL need not name it again."""
    stream, start, _known = opened("orders", text=f"{ORDERS}.1-4.-")
    assert stream.partition == 1
    assert (start.positions, start.resets) == ({("orders", 1): 4}, ())


def test_opened_with_a_cursor_of_one_partition_of_an_earlier_topic_goes_on_with_that_partition(opened):
    """It is told that the topic is another one now."""
    stream, start, _known = opened("orders", text=f"{cursor.tag('orders', 'id0')}.1-4.-")
    assert stream.partition == 1
    assert start.positions == {("orders", 1): 0}
    assert start.resets == (Reset("recreated", "orders", 1, 4, 0),)


def test_opened_with_a_cursor_of_one_partition_that_is_no_more_waits_for_it(opened):
    """No error of ours ends a stream for good."""
    stream, start, _known = opened("orders", text=f"{ORDERS}.9-4.-")
    assert stream.partition == 9
    assert start.positions == {("orders", 9): 0}
    assert start.resets == (Reset("ahead", "orders", 9, 4, 0),)


@pytest.mark.parametrize(
    ("topics", "text"),
    [(("orders", "shipments"), f"{ORDERS}.1-4.-"), (("orders",), f"{SHIPMENTS}.0-4.-")],
)
def test_opened_with_another_streams_cursor_of_one_partition_is_of_all(opened, topics, text):
    """A partition is one of its topic only."""
    stream, start, _known = opened(*topics, text=text)
    assert stream.partition is None
    assert start.positions == {key: at for key, at in KNOWN.positions.items() if key[0] in topics}
    assert start.resets == (Reset("foreign"),)


def test_opened_partition_that_there_is_not_is_refused_with_those_that_there_are(opened):
    """Partitions are counted from 0 on."""
    with pytest.raises(ParameterError) as caught:
        opened("orders", partition="2", offset="0")
    assert (caught.value.parameter, caught.value.accepted) == ("partition", ("0 to 1",))


def test_opened_partition_of_several_topics_is_refused_with_the_topics(opened):
    """Each has one of that number."""
    with pytest.raises(ParameterError) as caught:
        opened("orders", "shipments", partition="0", offset="0")
    assert caught.value.parameter == "partition"
    assert caught.value.accepted == ("/events/orders/", "/events/shipments/")


@pytest.mark.parametrize(("limit", "fits"), [(6, True), (5, False), (3, False), (1, False)])
def test_known_counts_the_channels_of_all_topics(fake_lookup, settings, limit, fits):
    """One for each partition, one for each topic, and one that is quiet; the proxy would leave out the rest without a word."""
    fake_lookup.known = KNOWN
    settings.KAFKASSE_MAX_CHANNELS = limit
    stream = Stream(("orders", "shipments"))
    if fits:
        assert scope.known(stream) == KNOWN
    else:
        with pytest.raises(TooManyChannelsError, match=r"orders\+shipments"):
            scope.known(stream)


def test_known_too_many_topics_are_refused_before_kafka_is_asked(settings):
    """Each has a partition at least."""
    settings.KAFKASSE_MAX_CHANNELS = 4
    with pytest.raises(TooManyChannelsError):
        scope.known(Stream(("orders", "shipments")))


def test_known_of_one_partition_needs_three_channels(fake_lookup, settings):
    """However many the topic has."""
    fake_lookup.known = KNOWN
    settings.KAFKASSE_MAX_CHANNELS = 3
    assert scope.known(Stream(("orders",), 1)).positions == {("orders", 1): 6}
