"""Where a stream starts and ends, by its URL: against what is in the log, on the mock cluster.

It cannot look up times; that is tested in tests/acceptance/test_starts.py.
"""

import json

import pytest

from tests.harness.cursors import channels_of, event_id, positions_of
from tests.kafkasse.grip_proxy import GripProxy, ask

pytestmark = pytest.mark.integration

COUNT = 40


@pytest.fixture
def relayed(cluster, topic):
    """Make a topic of two partitions, written in turns, that the relay has published all of."""
    cluster.create_topic(topic, 2)
    for number in range(2 * COUNT):
        cluster.write(topic, [(number % 2, b"%d" % number)], time=1_000_000 + number)
    cluster.commit(topic, {0: COUNT, 1: COUNT})
    return topic


def opened(topic, query, **headers):
    """Return a client behind the proxy that asked with `query`, held or ended."""
    return GripProxy().open(topic, f"/events/{topic}/?{query}", **headers)


def values(client, partition=None):
    """Return the numbers that the client got, in order; of one partition or all."""
    numbers = [int(event.data) for event in client.records()]
    return [number for number in numbers if partition in (None, number % 2)]


# --- where it starts ------------------------------------------------------------------------------------------------


def test_offset_latest_is_what_comes(relayed):
    """The same as nothing."""
    client = opened(relayed, "offset=latest")
    assert values(client) == []
    assert client.positions == {0: COUNT, 1: COUNT}


def test_offset_earliest_is_all_that_is_there(relayed):
    """In order for each partition, and then held where the relay is."""
    client = opened(relayed, "offset=earliest")
    assert values(client, 0) == list(range(0, 2 * COUNT, 2))
    assert values(client, 1) == list(range(1, 2 * COUNT, 2))
    assert client.positions == {0: COUNT, 1: COUNT}


def test_offset_earliest_after_retention_begins_where_the_log_does(cluster, relayed):
    """Nothing is missing from what was asked for, so nothing is said."""
    cluster.forget_before(relayed, 0, 10)
    client = opened(relayed, "offset=earliest")
    assert values(client, 0) == list(range(20, 2 * COUNT, 2))
    assert [event.type for event in client.events if event.type.startswith("stream-")] == ["stream-open"]


@pytest.mark.parametrize("count", [1, 2, 7, 2 * COUNT, 1000])
def test_last_is_the_newest_of_all_partitions(relayed, count):
    """They were written in turns."""
    client = opened(relayed, f"last={count}")
    assert sorted(values(client)) == list(range(max(0, 2 * COUNT - count), 2 * COUNT))
    assert client.positions == {0: COUNT, 1: COUNT}


def test_last_of_a_topic_that_does_not_exist_is_held(cluster, topic):
    """Its first record is then the last."""
    client = opened(topic, "last=5")
    assert (values(client), client.positions) == ([], {0: 0})


@pytest.mark.parametrize("query", ["offset=earliest", "last=3", "partition=0&offset=0"])
def test_start_in_an_unknown_topic_creates_nothing(cluster, topic, query):
    """Asking never does."""
    opened(topic, query)
    assert topic not in cluster.topics()


def test_partition_alone_from_an_offset(relayed):
    """One channel, one partition; the id says so, and the proxy's links too."""
    client = opened(relayed, "partition=1&offset=30")
    assert values(client) == list(range(61, 2 * COUNT, 2))
    assert client.positions == {1: COUNT}
    held = client.answers[-1]
    assert list(held.channels) == channels_of(relayed, (1,))
    assert held.headers["Grip-Set-Meta"] == 'id_format="-"'
    assert held.link == f"/next/events/{relayed}/p1_s/"
    assert {event.id.rpartition(".")[2] for event in client.events} == {"-"}


def test_partition_alone_is_refilled_and_resumed_alone(cluster, relayed):
    """Whoever comes back with such an id gets this partition, whatever the URL says."""
    client = opened(relayed, "partition=1&offset=39")
    last = client.events[-1].id
    cluster.write(relayed, [(0, b"80"), (1, b"81")])
    cluster.commit(relayed, {0: COUNT + 1, 1: COUNT + 1})
    client.refill()
    assert values(client) == [79, 81]
    for query in ("partition=1&offset=39", "", "partition=0&offset=0"):
        back = opened(relayed, query, Last_Event_ID=last)
        assert values(back) == [81]
        assert back.positions == {1: COUNT + 1}


def test_partition_alone_beyond_the_logs_end_is_told(relayed):
    """There is no such offset yet, or no more."""
    client = opened(relayed, "partition=1&offset=999")
    (reset,) = [json.loads(event.data) for event in client.events if event.type == "stream-reset"]
    assert reset == {"reason": "ahead", "topic": relayed, "partition": 1, "requested": 999, "resumed": COUNT}


def test_cursor_wins_over_the_url(relayed):
    """Its parameters are not even validated: a browser that comes back must not be turned away."""
    last = event_id(relayed, {0: 38, 1: COUNT})
    for query in ("offset=earliest", "last=0", "since=never", "offset=a&offset=b"):
        assert values(opened(relayed, query, Last_Event_ID=last)) == [76, 78]
        assert values(opened(relayed, f"{query}&last_event_id={last}")) == [76, 78]


# --- where it ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page_bytes", [200, 1_000_000])
def test_until_now_ends_with_what_is_there(cluster, relayed, settings, page_bytes):
    """In one page or many; what the relay has not published yet belongs to it, what is written meanwhile does not."""
    settings.KAFKASSE_PAGE_BYTES = page_bytes
    cluster.write(relayed, [(0, b"80")])
    first = ask(f"/events/{relayed}/?offset=earliest&until=now")
    cluster.write(relayed, [(0, b"82")])
    client = GripProxy(topic=relayed)
    client._settle(first, filtered=False)  # noqa: SLF001
    assert client.ended
    assert values(client, 0) == list(range(0, 2 * COUNT + 1, 2))
    assert values(client, 1) == list(range(1, 2 * COUNT, 2))
    assert client.events[-1].type == "stream-end"
    assert positions_of(client.events[-1].id) == {0: COUNT + 1, 1: COUNT}
    assert not any(answer.holds for answer in client.answers)


def test_until_now_of_one_partition(relayed):
    """Both together."""
    client = opened(relayed, "partition=0&offset=38&until=now")
    assert client.ended
    assert values(client) == [76, 78]


def test_until_now_after_a_reconnect_ends_for_good(relayed):
    """204 is what an EventSource understands as an end."""
    client = opened(relayed, "last=3&until=now")
    assert client.ended
    answer = ask(f"/events/{relayed}/?last=3&until=now", Last_Event_ID=client.events[-1].id)
    assert (answer.status, answer.body) == (204, b"")


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("offset=5", "offset"),
        ("offset=", "offset"),
        ("offset=earliest&offset=latest", "offset"),
        ("last=0", "last"),
        ("last=1001", "last"),
        ("last=-1", "last"),
        ("last=%00", "last"),
        ("last=9223372036854775808", "last"),
        ("last=5&offset=earliest", "last"),
        ("partition=0", "partition"),
        ("partition=2&offset=0", "partition"),
        ("partition=0&offset=-1", "offset"),
        ("since=yesterday", "since"),
        ("until=soon", "until"),
        ("since=-10m", "since"),
        ("until=2026-01-31T12:30:00 01:00", "until"),
    ],
)
def test_parameter_that_cannot_be_used_is_one_line_that_names_it(relayed, query, parameter):
    """Before any stream, with what would be accepted; times cannot be looked up on this broker."""
    answer = ask(f"/events/{relayed}/?{query}")
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.text.count("\n") == 1
    said = json.loads(answer.text)
    assert said["parameter"] == parameter
    assert said["error"]
    assert said["accepted"]
    assert not [name for name in answer.headers if name.lower().startswith("grip")]


@pytest.mark.parametrize("terms", ["x1", "p", "p1_p1", "e1abcdef.0-1", "u1_p0"])
def test_terms_of_no_stream_are_not_found(relayed, terms):
    """The proxy was never sent there."""
    assert ask(f"/next/events/{relayed}/{terms}/").status == 404
    assert ask(f"/next/events/{relayed}/{event_id(relayed, {0: 1, 1: 1})}/{terms}/").status == 404
