"""What a stream is of, in the paths of its next links and in its events' ids."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkasse import cursor
from kafkasse.converters import TermsConverter
from kafkasse.exceptions import CursorError
from kafkasse.stream import LANES, Stream, with_terms
from tests.kafkasse.test_cursor import ALIKE, clients

places = st.integers(0, 2**63 - 1)
some_topics = st.sampled_from([("orders",), ("orders", "shipments"), ("a", "orders", "shipments")])


def stream_of(*topics, epoch=""):
    """Return the stream of topics to which Kafka gave this id."""
    return Stream(topics).tagged({topic: cursor.tag(topic, epoch) for topic in topics})


def written(topics, *positions, partition=None):
    """Return the cursor of a client that is at the same positions in each topic."""
    stream = stream_of(*topics).only(partition)
    partitions = enumerate(positions, partition or 0)
    return stream.event_id({(topic, each): at for each, at in partitions for topic in topics})


@st.composite
def streams(draw):
    """Return any stream that a request can ask for."""
    stream = stream_of(*draw(some_topics), epoch=draw(st.sampled_from(["", "id"])))
    if len(stream.topics) == 1:
        stream = stream.only(draw(st.none() | st.integers(0, 2**31 - 1)))
    stream = replace(stream, heartbeat=draw(st.none() | st.integers(5, 300)))
    stream = stream.in_lane(draw(st.none() | st.integers(0, LANES - 1))).sealed_if(draw(st.booleans()))
    if len(stream.topics) == 1 and stream.partition is None:
        stream = stream.held_by(draw(st.sampled_from([(), stream.topics])))
    kind = draw(st.sampled_from(["endless", "until", "end"]))
    if kind == "until":
        return replace(stream, until=draw(places))
    if kind == "end" and stream.partition is not None:
        return stream.ending_at({("orders", stream.partition): draw(places)})
    if kind == "end":
        ends = {topic: draw(st.lists(places, min_size=1, max_size=5)) for topic in stream.topics}
        return stream.ending_at(
            {(topic, each): at for topic, found in ends.items() for each, at in enumerate(found)}
        )
    return stream


@given(streams())
def test_terms_come_back_and_fit_a_path(stream):
    """The proxy keeps nothing else of what a client asked for; which topics of their names they are, Kafka says."""
    terms = stream.terms()
    untagged = stream.tagged({})
    assert with_terms(stream.topics, terms) == untagged
    assert bool(terms) == (untagged != Stream(stream.topics))
    if terms:
        assert re.fullmatch(TermsConverter.regex, terms)
        assert not set(terms) & set(",;<>\"' ")


@pytest.mark.parametrize(
    "terms",
    [
        "x1",
        "p",
        "p-1",
        "p1_p2",
        "u1_p1",
        "u1_u2",
        "u1_e" + written(["orders"], 1),
        "e" + written(["other"], 1),
        "e" + written(["orders", "other"], 1),
        "e" + written(["orders"], 1, partition=0),
        "p1_e" + written(["orders"], 1, 1),
        "enonsense",
        "uzzzzzzzzzzzzzz",
        "p1__u1",
        "h1",
        "h1000",
        "hf_hf",
        "w_w",
        "w1",
        "ww",
        "w_",
        "p1_w",
        "w_p1",
    ],
)
def test_terms_that_no_stream_writes_are_refused(terms):
    """Nobody was ever sent there."""
    with pytest.raises(CursorError):
        with_terms(("orders",), terms)


def test_terms_of_several_topics_are_those_of_their_names():
    """An end that was written before a topic was created again still says of which topic it is."""
    stream = stream_of("orders", "shipments", epoch="before")
    ended = stream.ending_at({("orders", 0): 1, ("orders", 1): 2, ("shipments", 0): 36})
    first, second = stream.tags.values()
    assert ended.terms() == f"e{first}.0-1.{first}~1.2~{second}~10"
    assert with_terms(stream.topics, ended.terms()).end == ended.end


def test_which_tells_a_topic_from_another_that_is_created_in_its_place():
    """And one partition from all; not how a client asks for it."""
    stream = stream_of("orders", epoch="before")
    assert stream.which != stream_of("orders", epoch="after").which
    assert stream.which != stream.only(0).which
    assert stream.which == stream.in_lane(1).held_by(stream.topics).which


@pytest.mark.parametrize(("term", "field"), [("h7", "heartbeat"), ("l3", "lane"), ("u1", "until")])
def test_term_of_a_whole_topic_stands_by_the_others(term, field):
    """It says how the proxy treats the answer, and changes nothing of what it is to bring."""
    stream = with_terms(("orders",), f"{term}_w")
    assert stream.whole
    assert getattr(stream, field) is not None
    assert stream.terms() == f"{term}_w"
    assert stream.held_by(()).terms() == term


def test_term_of_a_whole_topic_is_none_of_several():
    """Each has a chain of its own, and no id of one is a vector of both."""
    with pytest.raises(CursorError):
        with_terms(("orders", "shipments"), "w")


@pytest.mark.parametrize(
    ("topics", "partition", "whole", "held"),
    [
        (("orders",), None, {"orders", "shipments"}, True),
        (("orders",), None, {"shipments"}, False),
        (("orders",), 0, {"orders"}, False),
        (("orders", "shipments"), None, {"orders", "shipments"}, False),
    ],
)
def test_held_by_one_channel_is_who_wants_all_of_one_topic_that_has_it(topics, partition, whole, held):
    """And no longer than that has it."""
    stream = Stream(topics, partition).held_by(whole)
    assert stream.whole == held
    assert not stream.held_by(()).whole


def test_name_is_what_stands_in_a_path():
    """The topics, joined by what no name has."""
    assert Stream(("orders",)).name == "orders"
    assert Stream(("orders", "shipments")).name == "orders+shipments"


@given(clients())
def test_event_id_names_every_partition_of_every_topic(client):
    """Whoever comes back with it needs nothing else."""
    stream, positions = client
    named = stream.named(stream.event_id(positions))
    assert {topic: tag for topic, (tag, _places) in named.items()} == stream.tags
    assert {
        (topic, each): at for topic, (_, found) in named.items() for each, at in found.items()
    } == positions


def test_event_id_of_several_topics_has_a_section_for_each():
    """In the order of the topics, with the first partition's position in front."""
    stream = stream_of("orders", "shipments", epoch="id")
    first, second = stream.tags.values()
    text = stream.event_id({("orders", 0): 5, ("orders", 1): 6, ("shipments", 0): 36})
    assert text == f"{first}.0-5.{first}~5.6~{second}~10"


def test_event_id_counts_partitions_as_numbers():
    """Partition 10 comes behind 9, whatever the order of the positions."""
    stream = stream_of("orders")
    positions = {("orders", each): each for each in reversed(range(12))}
    assert stream.event_id(positions) == f"{stream.tags['orders']}.b-b.0.1.2.3.4.5.6.7.8.9.a.b"


def test_event_id_of_one_partition_says_that_it_is_alone():
    """So whoever comes back with it goes on with this partition, and gets no other."""
    stream = stream_of("orders").only(2)
    tag = cursor.tag("orders")
    text = stream.event_id({("orders", 2): 8})
    assert text == f"{tag}.2-8.-"
    assert cursor.decode(text) == cursor.Cursor({tag: {2: 8}}, alone=True)
    assert cursor.tag_alone(text) == (tag, 2)
    assert stream.named(text) == {"orders": (tag, {2: 8})}
    with pytest.raises(CursorError):
        stream_of("orders").named(text)


@given(clients())
def test_rest_of_is_the_rest_with_other_entries(client):
    """What the proxy fills in is, once filled in, what is written here."""
    stream, positions = client
    numbers = {f"<{topic}:{partition}>": at for (topic, partition), at in positions.items()}
    template = stream.rest_of(positions, lambda key: f"<{key[0]}:{key[1]}>")
    filled = re.sub("<[^>]*>", lambda name: cursor.encode_number(numbers[name[0]]), template)
    assert filled == stream.rest(positions)


def test_rest_of_one_partition_alone_needs_no_entry():
    """The own position is all that there is."""
    stream = stream_of("orders").only(2)
    assert stream.rest({("orders", 2): 8}) == stream.rest_of([("orders", 2)], str) == cursor.ALONE


@given(clients(), st.data())
def test_ours_leaves_topics_of_others_aside(client, data):
    """Who asks for fewer topics than before, goes on with those."""
    stream, positions = client
    found = cursor.decode(stream.event_id(positions))
    kept = data.draw(st.lists(st.sampled_from(stream.topics), unique=True).map(sorted))
    part = Stream(tuple(kept)).tagged({topic: stream.tags[topic] for topic in kept})
    named = part.ours(found)
    assert set(named) == set(kept)
    assert all(named[topic] == (tag, found.positions[tag]) for topic, tag in part.tags.items())
    if len(kept) < len(stream.topics):
        with pytest.raises(CursorError):
            part.named(stream.event_id(positions))


def test_ours_knows_a_topic_of_once_by_its_name():
    """It is the caller who says what its positions are worth."""
    before = stream_of("orders", "shipments", epoch="before")
    found = cursor.decode(before.event_id({("orders", 0): 5, ("shipments", 0): 6}))
    named = stream_of("orders", "shipments", epoch="after").ours(found)
    assert named == {
        "orders": (cursor.tag("orders", "before"), {0: 5}),
        "shipments": (cursor.tag("shipments", "before"), {0: 6}),
    }


@pytest.mark.parametrize("alike", [ALIKE, ALIKE[::-1]])
def test_ours_tells_names_of_one_hash_apart_by_their_whole_tags(alike):
    """Where both topics are as they were, each keeps its own positions, whichever comes first."""
    first, second = alike
    stream = Stream(alike).tagged({first: cursor.tag(first, "1"), second: cursor.tag(second, "2")})
    found = cursor.decode(stream.event_id({(first, 0): 5, (second, 0): 6}))
    assert stream.ours(found) == {
        first: (cursor.tag(first, "1"), {0: 5}),
        second: (cursor.tag(second, "2"), {0: 6}),
    }


def test_ours_of_a_name_of_one_hash_that_is_not_in_the_stream_is_taken_for_it():
    """By its whole tag it is seen to be another topic, so no position of it is used (`resume.resumed`)."""
    first, second = ALIKE
    found = cursor.decode(stream_of(second, epoch="id").event_id({(second, 0): 6}))
    ((topic, (tag, _places)),) = stream_of(first, epoch="id").ours(found).items()
    assert topic == first
    assert tag != cursor.tag(first, "id")


ALIKE = "topic-1912", "topic-2849"
"""Two names whose tags begin alike."""


@pytest.mark.parametrize("again", [0, 1])
def test_ours_keeps_the_position_of_the_other_when_one_of_two_alike_was_created_again(again):
    """The whole tag says which is which; what is left is the one that changed."""
    ids = ["1", "1"]
    before = Stream(ALIKE).tagged(
        {topic: cursor.tag(topic, each) for topic, each in zip(ALIKE, ids, strict=True)}
    )
    ids[again] = "2"
    now = Stream(ALIKE).tagged(
        {topic: cursor.tag(topic, each) for topic, each in zip(ALIKE, ids, strict=True)}
    )
    found = now.ours(cursor.decode(before.event_id({(ALIKE[0], 0): 5, (ALIKE[1], 0): 6})))
    assert found == {ALIKE[0]: (before.tags[ALIKE[0]], {0: 5}), ALIKE[1]: (before.tags[ALIKE[1]], {0: 6})}


def test_names_alike_without_tags_are_told_apart_by_their_order():
    """The paths of next links are read before Kafka has been asked."""
    now = Stream(ALIKE).tagged({topic: cursor.tag(topic, "1") for topic in ALIKE})
    places = {(ALIKE[0], 0): 5, (ALIKE[1], 0): 6}
    assert Stream(ALIKE).named(now.event_id(places)) == {
        topic: (now.tags[topic], {0: place}) for (topic, _partition), place in places.items()
    }
    assert with_terms(ALIKE, now.ending_at(places).terms()).end == places


@pytest.mark.parametrize("terms", ["p1", "pzzzzzz"])
def test_one_partition_of_several_topics_or_beyond_kafkas_is_refused(terms):
    """No stream writes it."""
    with pytest.raises(CursorError):
        with_terms(ALIKE if terms == "p1" else ("orders",), terms)
