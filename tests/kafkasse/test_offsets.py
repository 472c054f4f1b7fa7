"""Questions about offsets: an error that concerns one partition alone is no position, nor is that of an earlier topic."""

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from kafkasse import cursor
from kafkasse.offsets import EARLIEST, LATEST, Committed, committed, ends, metadata
from tests.kafkasse.fakes import ASKED, TAGS, Broker


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


@pytest.mark.parametrize("metadata", [None, "", TAGS["t"]])
def test_committed_is_the_position_with_the_topics_tag_or_without_any(metadata):
    """A group that was seeded by hand, or by an earlier version, has no tags."""
    found = committed(Broker((7, None, metadata), (0, None, metadata)), ASKED, 1, TAGS)
    assert found == {("t", 0): Committed(7), ("t", 1): Committed(0)}


@pytest.mark.parametrize("metadata", [cursor.tag("t", "id of before"), cursor.tag("t"), "by hand", " "])
def test_committed_in_an_earlier_topic_of_the_name_is_none(metadata):
    """Its offsets are other records' now."""
    found = committed(Broker((7, None, metadata), (9, None, TAGS["t"])), ASKED, 1, TAGS)
    assert found == {("t", 0): None, ("t", 1): Committed(9)}


@pytest.mark.parametrize(
    ("metadata", "position"), [(TAGS["t"], None), ("", Committed(7)), (None, Committed(7))]
)
def test_committed_of_a_topic_without_a_tag_is_what_has_none(metadata, position):
    """Where nobody knows which topic it is, a tag cannot be the right one."""
    assert committed(Broker((7, None, metadata)), ASKED[:1], 1, {}) == {("t", 0): position}


@pytest.mark.parametrize("metadata", [None, "", TAGS["t"], "by hand"])
def test_committed_nothing_is_none(metadata):
    """There is a number for it, which is no offset."""
    assert committed(Broker((OFFSET_INVALID, None, metadata)), ASKED[:1], 1, TAGS) == {("t", 0): None}


@given(st.integers(0, 2**63 - 1), st.none() | st.text() | st.sampled_from(["", TAGS["t"], TAGS["t"] + "~*"]))
def test_committed_any_metadata_is_a_position_or_none(offset, metadata):
    """A tag is the topic's, or the position is not."""
    text = metadata or ""
    found = committed(Broker((offset, None, metadata)), ASKED[:1], 1, TAGS)
    is_other = text.rstrip("~*") not in {"", TAGS["t"]}
    expected = Committed(offset, rests="~" in text, whole="*" in text)
    assert found == {("t", 0): None if is_other else expected}


@pytest.mark.parametrize("rests", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_committed_says_whether_the_partition_rests_and_its_topic_is_a_whole(rests, whole):
    """What `metadata` writes is what is read."""
    of_now, of_another = (metadata(tag, rests=rests, whole=whole) for tag in (TAGS["t"], "other"))
    found = committed(Broker((7, None, of_now), (9, None, of_another)), ASKED, 1, TAGS)
    assert found == {("t", 0): Committed(7, rests=rests, whole=whole), ("t", 1): None}


def test_metadata_without_more_is_the_tag():
    """As every version has written it, and has read it."""
    assert metadata("tag", rests=False) == "tag"
    texts = {metadata("tag", rests=rests, whole=whole) for rests in (False, True) for whole in (False, True)}
    assert texts == {"tag", "tag~", "tag*", "tag~*"}


def test_committed_where_the_broker_cannot_say_is_an_error():
    """It is never taken for a group that has no position."""
    with pytest.raises(KafkaException):
        committed(Broker((7, None), (-1001, KafkaError.NOT_COORDINATOR)), ASKED, 1, TAGS)
