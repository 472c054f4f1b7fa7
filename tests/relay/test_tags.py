"""Which topic of its name: asked for now and then, and never waited for."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from kafkasse import cursor
from kafkasse.catalog import Catalog, Topic
from relay.tags import LOOK, Tags

BOTH = [("a", 0), ("a", 1), ("b", 0)]


class FakeCatalog(Catalog):
    """Keeps what it is asked; the test answers."""

    def __init__(self, **ids):
        """`ids` are those of the topics that exist."""
        super().__init__(None, {})
        self.ids, self.asked = ids, []

    def topics(self, names, _timeout):
        """Answer at once."""
        return {name: Topic(cursor.tag(name, self.ids[name]), 1) for name in names if name in self.ids}

    def ask(self, names, _timeout):
        """Answer later."""
        self.asked.append({name: Future() for name in names})
        return self.asked[-1]

    def answer(self):
        """Answer the last question."""
        for name, future in self.asked[-1].items():
            if name in self.ids:
                future.set_result(SimpleNamespace(topic_id=self.ids[name], partitions=[0]))
            else:
                future.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))


@pytest.fixture
def catalog():
    """Return a catalog of two topics."""
    return FakeCatalog(a="1", b="1")


@pytest.fixture
def tags(catalog):
    """Return the tags of both."""
    found = Tags(catalog)
    found.learn(["a", "b"])
    return found


def looked(tags, catalog, now):
    """Return what a look at `now` finds."""
    assert tags.changed(BOTH, now) == set()
    catalog.answer()
    return tags.changed(BOTH, now)


def test_tags_are_those_of_the_ids_and_of_the_name_alone_where_there_is_none(catalog):
    """A topic that is gone by now is nobody's to read, but has to have a name."""
    tags = Tags(catalog)
    tags.learn(["a", "gone"])
    assert tags.of("a") == cursor.tag("a", "1")
    assert tags.of("gone") == tags.of("never asked for").replace(
        cursor.tag("never asked for"), cursor.tag("gone")
    )


def test_topic_created_again_is_told_once(tags, catalog):
    """And has its new tag from then on."""
    catalog.ids["b"] = "2"
    assert looked(tags, catalog, 0) == {"b"}
    assert tags.of("b") == cursor.tag("b", "2")
    assert looked(tags, catalog, LOOK) == set()


def test_answer_is_not_waited_for(tags, catalog):
    """Records go on meanwhile; nor is the question put again."""
    catalog.ids["b"] = "2"
    for now in (0, 1, 2 * LOOK):
        assert tags.changed(BOTH, now) == set()
    assert len(catalog.asked) == 1
    catalog.answer()
    assert tags.changed(BOTH, 2 * LOOK) == {"b"}


def test_nothing_is_asked_before_it_is_time(tags, catalog):
    """Once in five seconds."""
    looked(tags, catalog, 0)
    tags.changed(BOTH, LOOK - 0.1)
    assert len(catalog.asked) == 1
    tags.changed(BOTH, LOOK)
    assert len(catalog.asked) == 2


def test_topic_that_was_gone_and_is_learnt_anew_as_another_is_told_once(tags, catalog):
    """Its partitions were given up and assigned again; what librdkafka knows of the old ones stands in its way."""
    catalog.ids["b"] = "2"
    tags.learn(["b"])
    assert tags.of("b") == cursor.tag("b", "2")
    assert tags.changed(BOTH, 0) == {"b"}
    assert looked(tags, catalog, 0) == set()
    tags.learn(["a", "b"])
    assert looked(tags, catalog, LOOK) == set()


def test_doubt_has_it_asked_at_once(tags, catalog):
    """And then as rarely as before."""
    looked(tags, catalog, 0)
    tags.doubt()
    catalog.ids["b"] = "2"
    assert looked(tags, catalog, 0.1) == {"b"}
    tags.changed(BOTH, LOOK)
    assert len(catalog.asked) == 2


def test_topic_that_is_gone_is_no_other_yet(tags, catalog):
    """It keeps its tag until there is one of its name again."""
    del catalog.ids["b"]
    assert looked(tags, catalog, 0) == set()
    assert tags.of("b") == cursor.tag("b", "1")
    catalog.ids["b"] = "2"
    assert looked(tags, catalog, LOOK) == {"b"}


def test_answer_that_fails_is_no_change_and_another_look_follows(tags, catalog):
    """Kafka is away, say."""
    tags.changed(BOTH, 0)
    for future in catalog.asked[-1].values():
        future.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))  # noqa: SLF001
    assert tags.changed(BOTH, 1) == set()
    catalog.ids["a"] = "2"
    assert looked(tags, catalog, LOOK) == {"a"}
