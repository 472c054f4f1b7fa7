"""What topics there are: asked of a broker that gives them ids, and of one that does not."""

import time
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, Uuid

from kafkasse import catalog, cursor
from kafkasse.catalog import NO_ID, UNKNOWN, Catalog, Topic
from kafkasse.renewal import PATIENCE

CONFIG = {"bootstrap.servers": "localhost:1", "group.id": "g"}
OTHER_ERRORS = [
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
]


class FakeConsumer:
    """A consumer of a cluster with these topics: the numbers of their partitions, or the codes of their errors."""

    def __init__(self, cluster_id, topics=(), errors=()):
        """Take them by name."""
        self.cluster_id, self.numbers, self.errors = cluster_id, dict(topics), dict(errors)
        self.asked = []

    def list_topics(self, topic, timeout):
        """Answer as librdkafka does: for a topic that there is not, with an error of its own."""
        self.asked.append((topic, timeout))
        unknown = KafkaError.UNKNOWN_TOPIC_OR_PART
        code = None if topic in self.numbers else self.errors.get(topic, unknown)
        partitions = dict.fromkeys(range(self.numbers.get(topic, 0)))
        found = SimpleNamespace(partitions=partitions, error=None if code is None else KafkaError(code))
        return SimpleNamespace(cluster_id=self.cluster_id, topics={topic: found})


class FakeAdmin:
    """An admin client whose cluster answers with these: a description, an error, or nothing."""

    def __init__(self, answers):
        """Take them by name."""
        self.answers, self.asked, self.configs = answers, [], []

    def __call__(self, config):
        """Be made of a configuration."""
        self.configs.append(config)
        return self

    def describe_topics(self, topics, request_timeout):
        """Answer."""
        self.asked.append((list(topics.topic_names), request_timeout))
        return {name: answered(self.answers[name]) for name in topics.topic_names}


def described(partitions, topic_id):
    """Return what an admin client says of a topic."""
    return SimpleNamespace(topic_id=topic_id, partitions=[None] * partitions)


def answered(answer):
    """Return a future with an answer, with an error, or without either."""
    future = Future()
    if isinstance(answer, Exception):
        future.set_exception(answer)
    elif answer is not None:
        future.set_result(answer)
    return future


def error_of(code):
    """Return what librdkafka raises."""
    return KafkaException(KafkaError(code))


@pytest.fixture
def admin(monkeypatch):
    """Return a function that lets the next catalog ask a cluster with these answers."""

    def make(**answers):
        fake = FakeAdmin(answers)
        monkeypatch.setattr(catalog, "AdminClient", fake)
        return fake

    return make


# --- a broker that gives ids -----------------------------------------------------------------------------------------


def test_topics_have_tags_of_their_ids(admin):
    """So a topic that was created again is another one."""
    asked = admin(orders=described(3, "id1"), shipments=described(1, Uuid(1, 2)))
    found = Catalog(FakeConsumer("pX"), CONFIG).topics(["orders", "shipments"], 1.5)
    assert found == {
        "orders": Topic(cursor.tag("orders", "id1"), 3),
        "shipments": Topic(cursor.tag("shipments", str(Uuid(1, 2))), 1),
    }
    assert asked.asked == [(["orders", "shipments"], 1.5)]


@pytest.mark.parametrize("topic_id", [NO_ID, Uuid(0, 0)], ids=str)
def test_topics_without_an_id_have_tags_of_their_names(admin, topic_id):
    """A broker before 2.8 answers with sixteen times zero, which is no id."""
    admin(orders=described(3, topic_id))
    found = Catalog(FakeConsumer("pX"), CONFIG).topics(["orders"], 1)
    assert found == {"orders": Topic(cursor.tag("orders"), 3)}


@pytest.mark.parametrize("code", UNKNOWN)
def test_topics_that_do_not_exist_are_left_out(admin, code):
    """What is there is told all the same."""
    admin(missing=error_of(code), orders=described(3, "id1"))
    assert Catalog(FakeConsumer("pX"), CONFIG).topics(["missing", "orders"], 1).keys() == {"orders"}


@pytest.mark.parametrize("code", OTHER_ERRORS)
def test_topics_of_which_nothing_is_known_are_an_error(admin, code):
    """They are never taken for topics that do not exist."""
    admin(orders=described(3, "id1"), secret=error_of(code))
    with pytest.raises(KafkaException) as caught:
        Catalog(FakeConsumer("pX"), CONFIG).topics(["orders", "secret"], 1)
    assert caught.value.args[0].code() == code


def test_topics_none_are_none(admin):
    """Nothing is asked; the admin client would refuse it."""
    asked = admin()
    assert Catalog(FakeConsumer("pX"), CONFIG).topics([], 1) == {}
    assert asked.asked == asked.configs == []


def test_topics_takes_any_iterable(admin):
    """A generator can be read once only."""
    admin(orders=described(3, "id1"))
    assert Catalog(FakeConsumer("pX"), CONFIG).topics((name for name in ["orders"]), 1).keys() == {"orders"}


def test_topics_asks_once_what_cluster_it_is(admin):
    """The kind of a cluster does not change, and one admin client is enough; it is silent."""
    asked = admin(orders=described(3, "id1"))
    consumer = FakeConsumer("pX")
    topics = Catalog(consumer, CONFIG)
    topics.topics(["orders"], 1)
    topics.topics(["orders"], 2)
    assert consumer.asked == [("orders", 1)]
    assert asked.configs == [{**CONFIG, "log_level": 0}]
    assert [timeout for _names, timeout in asked.asked] == [1, 2]


def test_topics_without_an_answer_end_in_time(admin):
    """A broker that is silent keeps nobody."""
    admin(orders=described(3, "id1"), silent=None)
    topics = Catalog(FakeConsumer("pX"), CONFIG)
    begun = time.monotonic()
    with pytest.raises((KafkaException, TimeoutError)):
        topics.topics(["orders", "silent"], 0.05)
    assert 0.04 < time.monotonic() - begun < 2


def test_ask_does_not_wait(admin):
    """Whoever has other things to do looks again later."""
    admin(silent=None)
    topics = Catalog(FakeConsumer("pX"), CONFIG)
    (answer,) = topics.ask(["silent"], 60).values()
    assert not answer.done()
    answer.set_result(described(2, "id1"))
    assert topics.collected({"silent": answer}, 0) == {"silent": Topic(cursor.tag("silent", "id1"), 2)}


def seconds_pass(topics, monkeypatch, seconds):
    """Ask now, and again so many seconds later."""
    now = 1000.0
    monkeypatch.setattr(catalog.time, "monotonic", lambda: now)
    for at in (1000.0, 1000.0 + seconds):
        now = at
        with pytest.raises(KafkaException):
            topics.topics(["orders"], 1)


@pytest.mark.parametrize("local", [KafkaError._TIMED_OUT, KafkaError._TRANSPORT])  # noqa: SLF001
def test_admin_client_that_gets_no_answers_any_more_is_given_up(admin, monkeypatch, local):
    """It has lost its brokers, and would never find them again."""
    asked = admin(orders=described(3, "id1"))
    topics = Catalog(FakeConsumer("pX"), CONFIG)
    topics.topics(["orders"], 1)
    given_up = []
    monkeypatch.setattr(catalog, "give_up", given_up.append)
    asked.answers["orders"] = error_of(local)
    seconds_pass(topics, monkeypatch, PATIENCE - 0.1)
    assert (given_up, len(asked.configs)) == ([], 1)
    topics._renewal.came()  # noqa: SLF001
    seconds_pass(topics, monkeypatch, PATIENCE)
    assert given_up == [asked]
    asked.answers["orders"] = described(3, "id1")
    assert topics.topics(["orders"], 1)["orders"].partitions == 3
    assert len(asked.configs) == 2


def test_admin_client_that_is_new_or_hears_from_a_broker_is_kept(admin, monkeypatch):
    """Kafka may be away for as long as it likes; and a refusal is an answer."""
    asked = admin(orders=error_of(KafkaError._TIMED_OUT))  # noqa: SLF001
    topics = Catalog(FakeConsumer("pX"), CONFIG)
    seconds_pass(topics, monkeypatch, 1000)
    asked.answers["orders"] = error_of(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    seconds_pass(topics, monkeypatch, 1000)
    assert len(asked.configs) == 1


# --- a mock cluster --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cluster_id", "mock"), [("mockCluster7f00", True), ("pX4", False), ("", False), (None, False)]
)
def test_is_mock_goes_by_the_clusters_id(cluster_id, mock):
    """No other cluster is called so."""
    assert catalog.is_mock(SimpleNamespace(cluster_id=cluster_id)) is mock


def test_topics_of_a_mock_cluster_have_tags_of_their_names(admin):
    """It leaves an admin client at silence, so none is made."""
    asked = admin()
    consumer = FakeConsumer("mockCluster7f00", {"orders": 3, "shipments": 1})
    found = Catalog(consumer, CONFIG).topics(["orders", "missing", "shipments"], 1.5)
    assert found == {
        "orders": Topic(cursor.tag("orders"), 3),
        "shipments": Topic(cursor.tag("shipments"), 1),
    }
    assert consumer.asked == [(name, 1.5) for name in ("orders", "orders", "missing", "shipments")]
    assert asked.configs == []


@pytest.mark.parametrize("code", UNKNOWN)
def test_topics_of_a_mock_cluster_that_do_not_exist_are_left_out(admin, code):
    """By whatever name librdkafka has for it."""
    consumer = FakeConsumer("mockCluster7f00", errors={"missing": code})
    assert Catalog(consumer, CONFIG).topics(["missing"], 1) == {}


@pytest.mark.parametrize("code", OTHER_ERRORS)
def test_topics_of_a_mock_cluster_of_which_nothing_is_known_are_an_error(admin, code):
    """They are never taken for topics that do not exist."""
    consumer = FakeConsumer("mockCluster7f00", {"orders": 3}, {"secret": code})
    with pytest.raises(KafkaException) as caught:
        Catalog(consumer, CONFIG).topics(["orders", "secret"], 1)
    assert caught.value.args[0].code() == code


def test_ask_of_a_mock_cluster_has_no_answers(admin):
    """Topics of one name cannot be told apart there."""
    topics = Catalog(FakeConsumer("mockCluster7f00", {"orders": 3}), CONFIG)
    topics.topics(["orders"], 1)
    assert topics.ask(["orders"], 1) == {}
