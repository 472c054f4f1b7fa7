"""The rule for names, against an implementation of its own, and the names of channels."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kafkasse import cursor, topics

LETTERS = frozenset(string.ascii_letters + string.digits + "._-")
LONGEST = 249

names = st.text(alphabet=sorted(LETTERS), min_size=1, max_size=LONGEST).filter(
    lambda text: text not in {".", ".."}
)
ids = st.just("") | st.text("abcXYZ019_-", min_size=22, max_size=22)
"""Kafka's own of topics; none where the broker gives none."""
nearly = st.text(alphabet="aZ0._-,;:/ \r\n\0%~é٣", max_size=252)

HOSTILE = [
    "",
    ".",
    "..",
    "a,b",
    "a;filter=x",
    "a\r\nGrip-Hold: stream",
    "a\n",
    "\na",
    "a\0",
    "a:0",
    "a~",
    "a/b",
    "a b",
    "a%b",
    "é",
    "٣",
    "a\u2028",
    "x" * 250,
]


def kafka_accepts(text):
    """Say what Kafka says, written without a regular expression."""
    return 0 < len(text) <= LONGEST and text not in {".", ".."} and set(text) <= LETTERS


@given(names | nearly | st.text())
@example("...")
@example("x" * 249)
@example("x" * 250)
def test_is_name_any_text_agrees_with_kafka(text):
    """No text is judged otherwise than Kafka judges it."""
    assert topics.is_name(text) == kafka_accepts(text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_is_name_hostile_is_refused(text):
    """What could end a header or name another channel is no name, and is not public either."""
    assert not topics.is_name(text)
    assert not topics.is_public(text)


@pytest.mark.parametrize(
    "name",
    [
        "__consumer_offsets",
        "__transaction_state",
        "__x",
        "_schemas",
        "_schema_encoders",
        "_confluent-metrics",
        "_confluent_balancer",
        "_redpanda.audit_log",
    ],
)
def test_is_public_internal_topic_is_hidden(name):
    """What Kafka and its tools keep is hidden, whatever the pattern allows."""
    assert topics.is_internal(name)
    assert not topics.is_public(name)
    assert not topics.is_public(name, ".*|_.*")


@pytest.mark.parametrize(
    "name", ["_", "_mine", "a__b", "schemas", "_schemas2", "my_confluent", "...", "-", "x" * 249]
)
def test_is_public_ordinary_name_is_shown(name):
    """Names that only look like those of tools are everybody's."""
    assert topics.is_public(name)


@pytest.mark.parametrize(
    ("name", "shown"), [("shop.a", True), ("xshop.a", False), ("shop.", True), ("shop", False)]
)
def test_is_public_pattern_matches_the_whole_name(name, shown):
    """A pattern that fits a part of the name only does not fit."""
    assert topics.is_public(name, r"shop[.].*") is shown
    assert not topics.is_public("ab", "a|abc")


@given(names, ids, st.integers(0, 999_999_999))
def test_parts_of_channel_are_what_it_was_made_of(topic, topic_id, partition):
    """A channel's name says which topic of its name it is of, and which partition."""
    tag = cursor.tag(topic, topic_id)
    assert topics.parts(topics.channel(topic, tag, partition)) == (topic, tag, partition)


@given(names, ids)
def test_parts_of_a_whole_topics_channel_are_what_it_was_made_of(topic, topic_id):
    """It is of no partition."""
    tag = cursor.tag(topic, topic_id)
    name = topics.channel(topic, tag, None)
    assert name == f"{topic}:{tag}:all"
    assert topics.parts(name) == (topic, tag, None)


@given(names, ids, st.none() | st.integers(0, 999_999_999))
def test_channel_of_a_place_is_the_partitions_or_the_topics(topic, topic_id, partition):
    """Both sides call them alike."""
    tag = cursor.tag(topic, topic_id)
    assert (
        topics.channel(topic, tag, partition) == f"{topic}:{tag}:{'all' if partition is None else partition}"
    )


@given(names, names, ids, ids, st.integers(0, 999_999_999))
@example("all", "a", "", "", 0)
def test_whole_channel_is_no_other_one(topic, other, topic_id, other_id, partition):
    """Whatever the topics are called: a client of another channel would be given an id that it cannot be at."""
    tag, other_tag = cursor.tag(topic, topic_id), cursor.tag(other, other_id)
    name = topics.channel(topic, tag, None)
    others = {topics.channel(each, other_tag, partition) for each in (topic, other, "all")}
    assert name not in others | {topics.control_channel(topic), topics.control_channel(other)}
    assert (name == topics.channel(other, other_tag, None)) == ((topic, tag) == (other, other_tag))


@given(names, st.integers(0, 9), ids, ids)
def test_channel_of_an_earlier_topic_of_the_name_is_another(topic, partition, before, after):
    """A client that is held for one of them gets no item of the other."""
    channels = {topics.channel(topic, cursor.tag(topic, topic_id), partition) for topic_id in (before, after)}
    assert len(channels) == (1 if before == after else 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t",
        "t:",
        "t:0",
        "t:~",
        "t:1abcdefgh",
        "t:1abcdefgh:",
        "t:1abcdefgh:~",
        "t:1abcdefgh:-1",
        "t:1abcdefgh:x",
        "t:1abcdefgh:1a",
        "t:1abcdefgh:٣",
        "t:1abcdefgh:1\n",
        "t:1abcdefgh:1234567890",
        "t:1abcdefgh:0:0",
        "t:1abcdefgh:ALL",
        "t:1abcdefgh:all:0",
        "t:1abcdefgh:all\n",
        "t:1abcdefgh:alle",
        "t:1abcdefgh:0all",
        "t:all",
        "t::all",
        ":1abcdefgh:all",
        "t:1abcdefgh: 1",
        "t:1ABCDEFGH:0",
        "t:1abc-efgh:0",
        "t:~:0",
        "t::0",
        ":1abcdefgh:0",
        "t u:1abcdefgh:0",
        "t+u:1abcdefgh:0",
        "\nt:1abcdefgh:0",
    ],
    ids=ascii,
)
def test_parts_of_malformed_channel_are_none(text):
    """The control channel, and what `channel` did not write, is no partition's."""
    assert topics.parts(text) is None


@given(st.text() | st.text(alphabet="aZ0._-:~ \n٣", max_size=40))
def test_parts_of_any_text_write_it_again(text):
    """What is read is what was written."""
    if found := topics.parts(text):
        topic, tag, partition = found
        assert text.startswith(topics.channel(topic, tag, 0).removesuffix("0"))
        last = text.rpartition(":")[2]
        assert (None if last == "all" else int(last)) == partition


@given(names)
def test_control_channel_is_no_partitions(topic):
    """The control channel has a name of its own."""
    assert topics.control_channel(topic) == topic + ":~"
    assert topics.parts(topics.control_channel(topic)) is None
