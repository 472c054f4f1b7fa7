"""What is asked of Kafka: an error that concerns one partition alone is no position, nor is that of an earlier topic."""

import threading
from types import SimpleNamespace

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from kafkasse import cursor, deadline, positions
from kafkasse.catalog import Topic
from kafkasse.exceptions import KafkaUnavailableError
from kafkasse.positions import EARLIEST, LATEST, Known, Lookup, committed, ends, headers_of

ASKED = [TopicPartition("t", 0), TopicPartition("t", 1)]
TAGS = {"t": cursor.tag("t", "id of now")}


class Broker:
    """A consumer whose broker answers with (offset, error code, metadata) for each partition."""

    def __init__(self, *answers):
        """Take the answers."""
        self.answers = answers

    def offsets_for_times(self, asked, _timeout):
        """Answer."""
        return [
            SimpleNamespace(
                topic=each.topic,
                partition=each.partition,
                offset=offset,
                error=KafkaError(code) if code else None,
                metadata=next(iter(metadata), None),
            )
            for each, (offset, code, *metadata) in zip(asked, self.answers, strict=True)
        ]

    committed = offsets_for_times


@pytest.mark.parametrize("which", [EARLIEST, LATEST])
def test_ends_are_where_the_logs_begin_or_end(which):
    """One number for each partition."""
    assert ends(Broker((7, None), (0, None)), ASKED, which, 1) == {("t", 0): 7, ("t", 1): 0}


def test_ends_partition_without_a_leader_is_no_empty_log():
    """The broker answers for the others; -1 is no position."""
    with pytest.raises(KafkaException):
        ends(Broker((7, None), (-1, KafkaError.LEADER_NOT_AVAILABLE)), ASKED, LATEST, 1)


def test_ends_partition_that_does_not_exist_is_an_empty_log():
    """It may come into being."""
    found = ends(Broker((7, None), (-1, KafkaError.UNKNOWN_TOPIC_OR_PART)), ASKED, LATEST, 1)
    assert found == {("t", 0): 7, ("t", 1): 0}


@pytest.mark.parametrize(
    "error", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), SystemError()], ids=repr
)
def test_headers_that_the_client_library_cannot_read_are_none(error):
    """One record with such a header does not stop a topic."""

    def headers():
        raise error

    assert headers_of(SimpleNamespace(headers=headers)) is None
    assert headers_of(SimpleNamespace(headers=lambda: [("a", b"b")])) == [("a", b"b")]


# --- what the relay has committed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("metadata", [None, "", TAGS["t"]])
def test_committed_is_the_position_with_the_topics_tag_or_without_any(metadata):
    """A group that was seeded by hand, or by an earlier version, has no tags."""
    found = committed(Broker((7, None, metadata), (0, None, metadata)), ASKED, 1, TAGS)
    assert found == {("t", 0): 7, ("t", 1): 0}


@pytest.mark.parametrize("metadata", [cursor.tag("t", "id of before"), cursor.tag("t"), "by hand", " "])
def test_committed_in_an_earlier_topic_of_the_name_is_none(metadata):
    """Its offsets are other records' now."""
    found = committed(Broker((7, None, metadata), (9, None, TAGS["t"])), ASKED, 1, TAGS)
    assert found == {("t", 0): None, ("t", 1): 9}


@pytest.mark.parametrize(("metadata", "position"), [(TAGS["t"], None), ("", 7), (None, 7)])
def test_committed_of_a_topic_without_a_tag_is_what_has_none(metadata, position):
    """Where nobody knows which topic it is, a tag cannot be the right one."""
    assert committed(Broker((7, None, metadata)), ASKED[:1], 1, {}) == {("t", 0): position}


@pytest.mark.parametrize("metadata", [None, "", TAGS["t"], "by hand"])
def test_committed_nothing_is_none(metadata):
    """There is a number for it, which is no offset."""
    assert committed(Broker((OFFSET_INVALID, None, metadata)), ASKED[:1], 1, TAGS) == {("t", 0): None}


@given(st.integers(0, 2**63 - 1), st.none() | st.text() | st.sampled_from(["", TAGS["t"]]))
def test_committed_any_metadata_is_a_position_or_none(offset, metadata):
    """A tag is the topic's, or the position is not."""
    found = committed(Broker((offset, None, metadata)), ASKED[:1], 1, TAGS)
    assert found == {("t", 0): None if metadata and metadata != TAGS["t"] else offset}


def test_committed_where_the_broker_cannot_say_is_an_error():
    """It is never taken for a group that has no position."""
    with pytest.raises(KafkaException):
        committed(Broker((7, None), (-1001, KafkaError.NOT_COORDINATOR)), ASKED, 1, TAGS)


# --- the look-up of all requests -------------------------------------------------------------------------------------


class Group:
    """A consumer that has committed `places`; it counts its answers, and waits for `may_answer`."""

    def __init__(self, places):
        """Take the places, by topic and partition: offset and metadata."""
        self.places, self.asked, self.heard = places, [], []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def list_topics(self, name, _timeout):
        """Note what the consumer hears of."""
        self.heard.append(name)

    def committed(self, asked, _timeout):
        """Answer."""
        self.asked.append({(each.topic, each.partition) for each in asked})
        assert self.may_answer.wait(5)
        found = [
            (each, *self.places.get((each.topic, each.partition), (OFFSET_INVALID, None))) for each in asked
        ]
        return [
            SimpleNamespace(
                topic=each.topic, partition=each.partition, offset=offset, metadata=metadata, error=None
            )
            for each, offset, metadata in found
        ]


class Topics:
    """A catalog of these topics."""

    def __init__(self, topics):
        """Take them, or the error to raise."""
        self.found, self.asked = topics, []

    def topics(self, names, _timeout):
        """Answer."""
        self.asked.append(set(names))
        if isinstance(self.found, Exception):
            raise self.found
        return {name: topic for name, topic in self.found.items() if name in names}


@pytest.fixture
def make_lookup(monkeypatch, settings):
    """Return a function that makes a look-up of a group and a catalog."""
    settings.KAFKA_CONSUMER_CONFIG = {"bootstrap.servers": "localhost:1", "group.id": "g"}
    made = []

    def make(group, catalog):
        monkeypatch.setattr(positions, "consumer", lambda: group)
        monkeypatch.setattr(positions, "Catalog", lambda *_: catalog)
        made.append(Lookup())
        return made[-1]

    yield make
    for lookup in made:
        lookup._thread.shutdown()  # noqa: SLF001


def test_lookup_committed_is_tags_and_positions_of_all_partitions(make_lookup):
    """In the order of the names, then of the partitions; None where the relay has not come yet."""
    now, shipments = TAGS["t"], cursor.tag("shipments", "id")
    group = Group({("t", 0): (7, now), ("t", 1): (9, "another tag"), ("shipments", 0): (3, None)})
    lookup = make_lookup(group, Topics({"t": Topic(now, 3), "shipments": Topic(shipments, 1)}))
    found = lookup.committed(("shipments", "t"))
    places = {("shipments", 0): 3, ("t", 0): 7, ("t", 1): None, ("t", 2): None}
    assert found == Known({"shipments": shipments, "t": now}, places)
    assert list(found.positions) == sorted(places)


def test_lookup_committed_of_a_topic_that_does_not_exist_is_an_empty_first_partition(make_lookup):
    """It is held at its future beginning, under the tag of its name; nothing is asked of it."""
    group = Group({("missing", 0): (7, None), ("t", 0): (5, None)})
    lookup = make_lookup(group, Topics({"t": Topic(TAGS["t"], 1)}))
    found = lookup.committed(("missing", "t"))
    tags = {"missing": cursor.tag("missing"), **TAGS}
    assert found == Known(tags, {("missing", 0): None, ("t", 0): 5}, frozenset({"missing"}))
    assert group.asked == [{("t", 0)}]


def test_lookup_committed_has_the_consumer_hear_of_what_is_new_before_anything_is_asked_of_it(make_lookup):
    """It takes partitions that it does not know for empty ones; what it knows, it is not told again."""
    group, catalog = Group({}), Topics({"t": Topic("a", 1), "u": Topic("b", 1)})
    lookup = make_lookup(group, catalog)
    heard = []
    for found in (("a", 1), ("a", 1), ("a", 3), ("again", 3)):
        catalog.found["t"] = Topic(*found)
        lookup.committed(("t", "u"))
        heard.append(sorted(group.heard))
        group.heard.clear()
    assert heard == [["t", "u"], [], ["t"], ["t"]]


def test_lookup_committed_of_no_topic_that_exists_asks_for_no_position(make_lookup):
    """There is nothing to ask for."""
    group = Group({})
    found = make_lookup(group, Topics({})).committed(("a", "b"))
    assert found.missing == {"a", "b"}
    assert group.asked == []


def test_lookup_committed_asks_once_for_all_who_wait(make_lookup):
    """Whoever comes while a question is under way shares the next one, whatever topics they want."""
    group, catalog = Group({}), Topics({name: Topic(cursor.tag(name), 1) for name in "abc"})
    lookup = make_lookup(group, catalog)
    group.may_answer.clear()
    found = {}

    def ask(*names):
        found[names] = lookup.committed(names)

    waiting = [threading.Thread(target=ask, args=names) for names in ("a", "b", "bc")]
    waiting[0].start()
    while not group.asked:
        waiting[0].join(0.01)
    for thread in waiting[1:]:
        thread.start()
    while len(lookup._waiting) < 2:  # noqa: SLF001
        waiting[0].join(0.01)
    group.may_answer.set()
    for thread in waiting:
        thread.join(5)
    assert catalog.asked == [{"a"}, {"b", "c"}]
    assert {names: set(known.tags) for names, known in found.items()} == {
        ("a",): {"a"},
        ("b",): {"b"},
        ("b", "c"): {"b", "c"},
    }


@pytest.mark.parametrize(
    "error", [KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT)), TimeoutError()], ids=repr
)
def test_lookup_committed_without_an_answer_is_unavailable(make_lookup, error):
    """A later request may be answered."""
    lookup = make_lookup(Group({}), Topics(error))
    with pytest.raises(KafkaUnavailableError):
        lookup.committed(("t",))


def test_lookup_committed_ends_with_the_time_of_its_request(make_lookup, monkeypatch):
    """Whoever asks gets an answer, though Kafka gives none."""
    group = Group({})
    lookup = make_lookup(group, Topics({"t": Topic(TAGS["t"], 1)}))
    group.may_answer.clear()
    monkeypatch.setattr(deadline, "left", lambda *_: 0.05)
    with pytest.raises(KafkaUnavailableError):
        lookup.committed(("t",))
    group.may_answer.set()


def test_lookup_ends_are_by_topic_and_partition(make_lookup):
    """Where there is no record, the log is empty."""
    lookup = make_lookup(Broker((7, None), (-1, None)), Topics({}))
    assert lookup.ends(iter([("t", 0), ("u", 3)]), EARLIEST) == {("t", 0): 7, ("u", 3): 0}


def test_lookup_at_is_negative_where_there_is_no_record(make_lookup):
    """It is the caller who says where that is."""
    lookup = make_lookup(Broker((7, None), (-1, None)), Topics({}))
    assert lookup.at([("t", 0), ("u", 3)], 1000) == {("t", 0): 7, ("u", 3): -1}
