"""What the relay has committed, asked for by many requests at once."""

import threading
from types import SimpleNamespace

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException

from kafkasse import cursor, deadline, positions
from kafkasse.catalog import Topic
from kafkasse.exceptions import KafkaUnavailableError, TopicChangedError
from kafkasse.offsets import EARLIEST, metadata
from kafkasse.positions import Known, Lookup, headers_of
from kafkasse.renewal import PATIENCE
from tests.fakes import ManualClock
from tests.kafkasse.fakes import TAGS, Broker


@pytest.mark.parametrize(
    "error", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), SystemError()], ids=repr
)
def test_headers_that_the_client_library_cannot_read_are_none(error):
    """One record with such a header does not stop a topic."""

    def headers():
        raise error

    assert headers_of(SimpleNamespace(headers=headers)) is None
    assert headers_of(SimpleNamespace(headers=lambda: [("a", b"b")])) == [("a", b"b")]


class Group:
    """A consumer that has committed `places`; it counts its answers, and waits for `may_answer`."""

    def __init__(self, places, ends=None):
        """Take the places, by topic and partition: offset and metadata; and where the logs end of those that rest."""
        self.places, self.ends, self.asked, self.heard = places, ends, [], []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def list_topics(self, name, _timeout):
        """Note what the consumer hears of."""
        self.heard.append(name)

    def offsets_for_times(self, asked, _timeout):
        """Say where the logs end."""
        return [
            SimpleNamespace(
                topic=each.topic,
                partition=each.partition,
                offset=self.ends[each.topic, each.partition],
                error=None,
            )
            for each in asked
        ]

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

    def make(group, catalog, *clock):
        monkeypatch.setattr(positions, "consumer", lambda: group)
        monkeypatch.setattr(positions, "Catalog", lambda *_: catalog)
        made.append(Lookup(*clock))
        return made[-1]

    yield make
    for lookup in made:
        lookup._thread.shutdown()  # noqa: SLF001


def has_answered(lookup):
    """Wait until what comes after its answers is done, too."""
    lookup._thread.submit(int).result(5)  # noqa: SLF001


def test_lookup_committed_is_tags_and_positions_of_all_partitions(make_lookup):
    """In the order of the names, then of the partitions; None where the relay has not come yet."""
    now, shipments = TAGS["t"], cursor.tag("shipments", "id")
    group = Group({("t", 0): (7, now), ("t", 1): (9, "another tag"), ("shipments", 0): (3, None)})
    lookup = make_lookup(group, Topics({"t": Topic(now, 3), "shipments": Topic(shipments, 1)}))
    found = lookup.committed(("shipments", "t"))
    places = {("shipments", 0): 3, ("t", 0): 7, ("t", 1): None, ("t", 2): None}
    assert found == Known({"shipments": shipments, "t": now}, places)
    assert list(found.positions) == sorted(places)


def test_lookup_committed_of_a_partition_that_rests_is_where_its_log_ends(make_lookup):
    """The relay will go on there; of others, the log's end is not looked at."""
    rests = metadata(TAGS["t"], rests=True)
    group = Group(
        {("t", 0): (7, rests), ("t", 1): (7, TAGS["t"]), ("t", 2): (7, rests)}, {("t", 0): 9, ("t", 2): 3}
    )
    found = make_lookup(group, Topics({"t": Topic(TAGS["t"], 3)})).committed(("t",))
    assert found.positions == {("t", 0): 9, ("t", 1): 7, ("t", 2): 7}


def commits(*wholes, rests=False):
    """Return a group's positions in `t`, of which these say whether that is a whole topic; None is not committed."""
    return {
        ("t", each): (7, metadata(TAGS["t"], rests=rests, whole=whole))
        for each, whole in enumerate(wholes)
        if whole is not None
    }


@pytest.mark.parametrize(
    ("wholes", "is_whole"),
    [
        ((True, True, True), True),
        ((True, False, True), False),
        ((True, True, False), False),
        ((True, True, None), False),
        ((None, None, None), False),
        ((False, False, False), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("rests", [False, True])
def test_lookup_committed_is_a_whole_topic_where_every_partition_says_so(
    make_lookup, wholes, is_whole, rests
):
    """One that does not, or that nobody has committed, is another relay's, and its records come by its own channel."""
    group = Group(commits(*wholes, rests=rests), {("t", each): 9 for each in range(3)})
    found = make_lookup(group, Topics({"t": Topic(TAGS["t"], 3)})).committed(("t",))
    assert found.whole == ({"t"} if is_whole else set())
    assert found.positions == {
        ("t", each): None if whole is None else 9 if rests else 7 for each, whole in enumerate(wholes)
    }


def test_lookup_committed_of_several_topics_says_which_are_a_whole(make_lookup):
    """Each by itself; one that was created again, or is missing, is none."""
    others = {
        ("again", 0): (3, metadata(cursor.tag("again", "before"), rests=False, whole=True)),
        ("missing", 0): (3, metadata(cursor.tag("missing"), rests=False, whole=True)),
        ("part", 0): (3, metadata(cursor.tag("part", "id"), rests=False)),
    }
    topics = {name: Topic(cursor.tag(name, "id"), 1) for name in ("again", "part")}
    lookup = make_lookup(Group(commits(True, True) | others), Topics({"t": Topic(TAGS["t"], 2), **topics}))
    assert lookup.committed(("again", "missing", "part", "t")).whole == {"t"}


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


@pytest.mark.parametrize(("took", "rest"), [(0.01, 0.02), (0.002, 0.004), (3, 0.03)])
def test_lookup_rests_for_twice_as_long_as_the_one_before_took(make_lookup, took, rest):
    """So in a herd more share an answer, and Kafka is asked less often; but nobody waits long."""
    clock, slept = ManualClock(), []
    group, catalog = Group({}), Topics({"a": Topic(cursor.tag("a"), 1)})
    group.committed = lambda *_: clock.advance(took) or []
    lookup = make_lookup(group, catalog, clock, slept.append)
    for later in (0, 0.001, 1):
        clock.advance(later)
        lookup.committed(("a",))
        has_answered(lookup)
    assert slept == [0, pytest.approx(rest - 0.001), 0]


@pytest.mark.parametrize(
    "error", [KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT)), TimeoutError()], ids=repr
)
def test_lookup_committed_without_an_answer_is_unavailable(make_lookup, error):
    """A later request may be answered."""
    lookup = make_lookup(Group({}), Topics(error))
    with pytest.raises(KafkaUnavailableError):
        lookup.committed(("t",))


def fails_for(lookup, clock, seconds):
    """Ask now, and again so many seconds later, without success."""
    for later in (0, seconds):
        clock.advance(later)
        with pytest.raises(KafkaUnavailableError):
            lookup.committed(("t",))
        has_answered(lookup)


def test_lookup_that_gets_no_answers_any_more_asks_by_another_client(make_lookup, monkeypatch):
    """It has lost its brokers, and would never find them again."""
    topics = Topics({"t": Topic(TAGS["t"], 1)})
    old, new = Group({}), Group({("t", 0): (7, TAGS["t"])})
    clock = ManualClock()
    lookup = make_lookup(old, topics, clock)
    lookup.committed(("t",))
    given_up = []
    monkeypatch.setattr(positions, "give_up", lambda *clients: given_up.extend(clients))
    monkeypatch.setattr(positions, "consumer", lambda: new)
    topics.found = KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
    fails_for(lookup, clock, PATIENCE)
    assert given_up == [old, topics]
    topics.found = {"t": Topic(TAGS["t"], 1)}
    assert lookup.committed(("t",)).positions == {("t", 0): 7}


def test_lookup_that_is_refused_keeps_its_client(make_lookup, monkeypatch):
    """A broker that says no is there."""
    topics, clock = Topics({"t": Topic(TAGS["t"], 1)}), ManualClock()
    lookup = make_lookup(Group({}), topics, clock)
    lookup.committed(("t",))
    monkeypatch.setattr(positions, "give_up", lambda *_: pytest.fail("given up"))
    topics.found = KafkaException(KafkaError(KafkaError.NOT_COORDINATOR))
    fails_for(lookup, clock, 1000)
    topics.found = {}
    assert lookup.committed(("t",)).missing == {"t"}


def test_lookup_committed_says_why_it_is_not_waited_for(make_lookup):
    """Where the last question had no answer, the next one is given up soon; the cause is that of the last one."""
    group = Group({})
    topics = Topics(KafkaException(KafkaError(KafkaError._TRANSPORT, "no route")))  # noqa: SLF001
    lookup = make_lookup(group, topics)
    with pytest.raises(KafkaUnavailableError):
        lookup.committed(("t",))
    topics.found = {"t": Topic(TAGS["t"], 1)}
    group.may_answer.clear()
    with pytest.raises(KafkaUnavailableError) as raised:
        lookup.committed(("t",))
    group.may_answer.set()
    assert "no route" in str(raised.value.__cause__)


def test_lookup_committed_ends_with_the_time_of_its_request(make_lookup, monkeypatch):
    """Whoever asks gets an answer, though Kafka gives none."""
    group = Group({})
    lookup = make_lookup(group, Topics({"t": Topic(TAGS["t"], 1)}))
    group.may_answer.clear()
    monkeypatch.setattr(deadline, "left", lambda *_: 0.05)
    with pytest.raises(KafkaUnavailableError):
        lookup.committed(("t",))
    group.may_answer.set()


def test_lookup_require_raises_of_a_topic_that_is_another_or_gone(make_lookup):
    """And of none that is still the same."""
    lookup = make_lookup(Group({}), Topics({"t": Topic(TAGS["t"], 1)}))
    lookup.require(TAGS)
    with pytest.raises(TopicChangedError):
        lookup.require({"t": cursor.tag("t", "id of once")})
    with pytest.raises(TopicChangedError):
        make_lookup(Group({}), Topics({})).require(TAGS)


def test_lookup_ends_are_by_topic_and_partition(make_lookup):
    """Where there is no record, the log is empty."""
    lookup = make_lookup(Broker((7, None), (-1, None)), Topics({}))
    assert lookup.ends(iter([("t", 0), ("u", 3)]), EARLIEST) == {("t", 0): 7, ("u", 3): 0}


def test_lookup_at_is_negative_where_there_is_no_record(make_lookup):
    """It is the caller who says where that is."""
    lookup = make_lookup(Broker((7, None), (-1, None)), Topics({}))
    assert lookup.at([("t", 0), ("u", 3)], 1000) == {("t", 0): 7, ("u", 3): -1}
