"""Where a client starts, with a look-up that answers from memory."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafkasse import cursor, resume
from kafkasse.exceptions import ParameterError, TopicChangedError
from kafkasse.offsets import EARLIEST, LATEST
from kafkasse.positions import Known
from kafkasse.replay import Reset
from kafkasse.start import Earliest, Exactly, Latest, Now, Since, Until
from kafkasse.stream import Stream
from tests.kafkasse.test_cursor import ALIKE

NOW, AFTER = "id of now", "id of later"
some_topics = st.sampled_from([("t",), ("t", "u"), ("t", "u", "v")])
in_memory = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def known_of(*positions, topic="t", topic_id=NOW, **others):
    """Return what is known of a topic, and of others by their names: positions, from partition 0 on."""
    found = {topic: positions, **others}
    tags = {name: cursor.tag(name, topic_id) for name in found}
    places = {(name, each): at for name, ats in found.items() for each, at in enumerate(ats)}
    return Known(tags, places)


def stream_of(known):
    """Return the stream of these topics."""
    return Stream(tuple(known.tags)).tagged(known.tags)


def written(*positions, topic_id=NOW, **others):
    """Return the cursor of a client that is at these positions."""
    known = known_of(*positions, topic_id=topic_id, **others)
    return stream_of(known).event_id(known.positions)


def at(*positions, topic="t"):
    """Return positions of one topic, from partition 0 on."""
    return {(topic, each): position for each, position in enumerate(positions)}


def named(places, topic="t", topic_id=NOW):
    """Return positions by partition as a cursor names them."""
    return {topic: (cursor.tag(topic, topic_id), places)}


def relays(end):
    """Draw where the relay is in a log that ends there."""
    return st.none() | st.integers(0, end)


def ends_of(lookup, topic):
    """Return where the logs of a topic end, from partition 0 on."""
    return [end for (name, _partition), end in sorted(lookup.ends_.items()) if name == topic]


# --- without a cursor ------------------------------------------------------------------------------------------------


def test_fresh_committed_topic_starts_at_the_relay(fake_lookup):
    """Where the relay is in every partition, nobody else is asked."""
    assert resume.fresh(known_of(5, 0, u=(7,))) == at(5, 0) | at(7, topic="u")
    assert fake_lookup.asked == []


def test_fresh_without_committed_position_starts_at_the_logs_end(fake_lookup):
    """History is never sent unasked."""
    fake_lookup.ends_ = {("t", 1): 40, ("u", 0): 9}
    assert resume.fresh(known_of(5, None, u=(None,))) == at(5, 40) | at(9, topic="u")
    assert fake_lookup.asked == [((("t", 1), ("u", 0)), LATEST)]


def test_begun_latest_is_fresh(fake_lookup):
    """The plain URL is the live stream."""
    known = known_of(5, 6)
    start = resume.begun(stream_of(known), Latest(), known)
    assert (start.positions, start.resets) == (at(5, 6), ())


def test_begun_earliest_starts_where_each_log_begins(fake_lookup):
    """Of every topic, whatever the relay has sent."""
    fake_lookup.begins = {("t", 1): 4, ("u", 0): 3}
    known = known_of(5, 6, u=(7,))
    assert resume.begun(stream_of(known), Earliest(), known).positions == at(0, 4) | at(3, topic="u")


def test_begun_since_starts_at_the_first_record_of_that_time(fake_lookup):
    """Where there is none yet, what comes will be later."""
    fake_lookup.ends_, fake_lookup.times = {("t", 0): 9, ("u", 0): 8}, {("u", 0): 3}
    known = known_of(5, u=(7,))
    assert resume.begun(stream_of(known), Since(1000), known).positions == at(9) | at(3, topic="u")
    assert [which for _keys, which in fake_lookup.asked] == [LATEST, 1000]


def test_begun_since_without_times_is_refused(fake_lookup):
    """A broker that finds nothing for any time would give an empty stream."""
    fake_lookup.has_times = False
    known = known_of(5)
    with pytest.raises(ParameterError):
        resume.begun(stream_of(known), Since(1000), known)


def test_begun_exactly_starts_there(fake_lookup):
    """It is told where the log has no such place, as is whoever comes back."""
    known = Known({"t": cursor.tag("t", NOW)}, {("t", 2): 5})
    stream = stream_of(known).only(2)
    fake_lookup.ends_ = {("t", 2): 5}
    assert resume.begun(stream, Exactly(2, 3), known).positions == {("t", 2): 3}
    ahead = resume.begun(stream, Exactly(2, 9), known)
    assert (ahead.positions, ahead.resets) == ({("t", 2): 5}, (Reset("ahead", "t", 2, 9, 5),))


def test_bounded_now_ends_where_each_log_does(fake_lookup):
    """All topics end."""
    fake_lookup.ends_ = {("t", 0): 9, ("u", 0): 8}
    known = known_of(5, u=(7,))
    stream = resume.bounded(stream_of(known), Now(), known.positions, 0)
    assert (stream.end, stream.until) == (at(9) | at(8, topic="u"), None)


def test_bounded_time_is_an_end_once_it_has_come(fake_lookup):
    """Until then it is a promise."""
    fake_lookup.ends_, fake_lookup.times = {("t", 0): 9, ("u", 0): 8}, {("u", 0): 3}
    known = known_of(5, u=(7,))
    before = resume.bounded(stream_of(known), Until(2000), known.positions, 1.999)
    assert (before.end, before.until) == (None, 2000)
    after = resume.ended_by_now(before, known.positions, 2)
    assert (after.end, after.until) == (at(9) | at(3, topic="u"), None)
    assert fake_lookup.asked[-1][1] == 2001


# --- with a cursor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["x", "1abcdefgh.0-", "a" * 10_000, "\0", "1abcdefgh.٣-1"], ids=lambda text: ascii(text[:30])
)
def test_requested_unreadable_starts_fresh_and_says_so(fake_lookup, text):
    """Junk costs the client its place, not its stream."""
    known = known_of(5)
    start = resume.requested(stream_of(known), text, known)
    assert (start.positions, start.resets) == (at(5), (Reset("unreadable"),))


@pytest.mark.parametrize("topics", [("t",), ("t", "v")])
def test_requested_of_other_topics_starts_fresh_and_says_so(fake_lookup, topics):
    """Positions of other topics mean nothing here."""
    known = known_of(5, **dict.fromkeys(topics[1:], (6,)))
    other = known_of(1, topic="u", w=(2,))
    start = resume.requested(stream_of(known), stream_of(other).event_id(other.positions), known)
    assert (start.positions, start.resets) == (known.positions, (Reset("foreign"),))


def test_requested_of_one_partition_on_a_whole_stream_is_foreign(fake_lookup):
    """A client that has read one partition has no place in the others."""
    alone = stream_of(known_of(1)).only(0).event_id(at(1))
    known = known_of(5, 6, u=(7,))
    start = resume.requested(stream_of(known), alone, known)
    assert (start.positions, start.resets) == (known.positions, (Reset("foreign"),))


def test_requested_of_a_whole_stream_on_one_partition_is_foreign(fake_lookup):
    """Nobody is given a part who had all."""
    known = known_of(5)
    start = resume.requested(stream_of(known).only(0), written(1), known)
    assert (start.positions, start.resets) == (at(5), (Reset("foreign"),))


def test_requested_of_one_partition_goes_on_there(fake_lookup):
    """It gets no other."""
    known = Known({"t": cursor.tag("t", NOW)}, {("t", 2): 5})
    stream = stream_of(known).only(2)
    start = resume.requested(stream, stream.event_id({("t", 2): 3}), known)
    assert (start.positions, start.resets) == ({("t", 2): 3}, ())


def test_requested_own_cursor_starts_there(fake_lookup):
    """A good cursor needs no further question."""
    known = known_of(5, 6, u=(7,))
    start = resume.requested(stream_of(known), written(1, 6, u=(3,)), known)
    assert (start.positions, start.resets) == (at(1, 6) | at(3, topic="u"), ())
    assert fake_lookup.asked == []


def test_requested_of_fewer_topics_starts_fresh_in_the_others(fake_lookup):
    """Whoever asks for one topic more has not missed anything of it, and what it had goes on."""
    fake_lookup.ends_ = {("u", 1): 40}
    known = known_of(5, u=(7, None))
    start = resume.requested(stream_of(known), written(1), known)
    assert (start.positions, start.resets) == (at(1) | at(7, 40, topic="u"), ())


def test_requested_of_more_topics_goes_on_in_those_that_are_left(fake_lookup):
    """What is not asked for any more is nobody's loss."""
    known = known_of(5)
    start = resume.requested(stream_of(known), written(1, u=(3,)), known)
    assert (start.positions, start.resets) == (at(1), ())
    assert fake_lookup.asked == []


def test_requested_of_a_topic_whose_name_has_the_same_hash_is_not_used(fake_lookup):
    """Four digits of the name may lie, the whole tag does not: no position of another topic is gone on from."""
    first, second = ALIKE
    known, other = known_of(5, topic=first), known_of(3, topic=second)
    start = resume.requested(stream_of(known), stream_of(other).event_id(other.positions), known)
    assert start.positions == {(first, 0): 0}
    assert start.resets == (Reset("recreated", first, 0, 3, 0),)


def test_resumed_ahead_of_the_relay_but_not_of_the_log_stays(fake_lookup):
    """The committed position lags a moment behind what was sent."""
    fake_lookup.ends_ = at(9)
    start = resume.resumed(named({0: 9}), known_of(5))
    assert (start.positions, start.resets) == (at(9), ())
    assert fake_lookup.asked == [((("t", 0),), LATEST)]


def test_resumed_beyond_the_log_is_reset_to_the_relay(fake_lookup):
    """A log that is shorter than the cursor is another log."""
    fake_lookup.ends_ = at(9)
    start = resume.resumed(named({0: 10, 1: 2}), known_of(5, 3))
    assert start.positions == at(5, 2)
    assert start.resets == (Reset("ahead", "t", 0, 10, 5),)


def test_resumed_beyond_the_log_of_a_topic_that_came_in_between_is_no_answer(fake_lookup):
    """Its id was asked for before it was created; who asks again is told that it was."""
    fake_lookup.known = known_of(0, topic_id=AFTER)
    fake_lookup.ends_ = at(9)
    with pytest.raises(TopicChangedError):
        resume.resumed(named({0: 10}), known_of(5))


def test_resumed_beyond_the_log_of_one_topic_does_not_touch_the_others(fake_lookup):
    """Each goes by its own log."""
    fake_lookup.ends_ = {("t", 0): 9, ("u", 0): 20}
    start = resume.resumed(named({0: 10}) | named({0: 10}, "u"), known_of(5, u=(6,)))
    assert start.positions == at(5) | at(10, topic="u")
    assert start.resets == (Reset("ahead", "t", 0, 10, 5),)


def test_resumed_partition_that_is_no_more_is_told(fake_lookup):
    """Fewer partitions, and nothing else to tell by: another topic of that name."""
    start = resume.resumed(named({0: 1, 1: 0, 2: 100}, topic_id=""), known_of(1, topic_id=""))
    assert (start.positions, start.resets) == (at(1), (Reset("ahead", "t", 2, 100),))


@pytest.mark.parametrize(("committed", "resumed"), [(None, 3), (7, 3), (2, 2), (0, 0)])
def test_resumed_beyond_the_log_is_never_held_beyond_it(fake_lookup, committed, resumed):
    """A committed position of the log before is no place to wait at."""
    fake_lookup.ends_ = at(3)
    start = resume.resumed(named({0: 10}), known_of(committed))
    assert (start.positions, start.resets) == (at(resumed), (Reset("ahead", "t", 0, 10, resumed),))


def test_resumed_partition_not_named_starts_at_the_logs_beginning(fake_lookup):
    """It appeared after the client had begun: all of it is new."""
    fake_lookup.begins, fake_lookup.ends_ = {("t", 1): 4}, {("t", 1): 40}
    start = resume.resumed(named({0: 5}), known_of(5, 30))
    assert (start.positions, start.resets) == (at(5, 4), ())
    assert fake_lookup.asked == [((("t", 1),), EARLIEST)]


def test_resumed_without_committed_position_may_stay_where_the_log_is(fake_lookup):
    """A client is not thrown back because the relay has not come yet."""
    fake_lookup.ends_ = at(8)
    assert resume.resumed(named({0: 8}), known_of(None)).positions == at(8)


@in_memory
@given(st.data())
def test_resumed_any_state_is_within_the_log_and_tells_what_moved(fake_lookup, data):
    """Every partition of every topic has a place that its log has; whoever was moved is told, and nobody else."""
    place = st.integers(0, 20)
    sizes = {topic: data.draw(st.integers(1, 4)) for topic in data.draw(some_topics)}
    keys = {(topic, each) for topic, size in sizes.items() for each in range(size)}
    fake_lookup.ends_ = {key: data.draw(place) for key in sorted(keys)}
    committed = {topic: [data.draw(relays(end)) for end in ends_of(fake_lookup, topic)] for topic in sizes}
    known = known_of(*committed["t"], **{topic: at for topic, at in committed.items() if topic != "t"})
    asked = {topic: data.draw(st.dictionaries(st.integers(0, 5), place)) for topic in sizes}
    cursors = {topic: (known.tags[topic], places) for topic, places in asked.items()}
    start = resume.resumed(cursors, known)
    wanted = {(topic, each): at for topic, places in asked.items() for each, at in places.items()}
    assert list(start.positions) == list(known.positions)
    moved = {key for key in keys if key in wanted and start.positions[key] != wanted[key]}
    gone = {key for key, at in wanted.items() if at and key not in keys}
    assert {(reset.topic, reset.partition) for reset in start.resets} == moved | gone
    assert moved == {key for key in keys if wanted.get(key, 0) > fake_lookup.ends_[key]}
    assert all(start.positions[key] <= fake_lookup.ends_[key] for key in keys)
    stops = resume.stops(start.positions, known.positions)
    assert all(stops[key] == max(start.positions[key], known.positions[key] or 0) for key in keys)


# --- topics that were created again ----------------------------------------------------------------------------------


def test_requested_of_a_topic_created_again_starts_where_its_log_begins(fake_lookup):
    """Offsets of the earlier topic are other records' now, so none of the present ones is left out."""
    fake_lookup.begins, fake_lookup.ends_ = at(0, 2), at(9, 9)
    known = known_of(5, 6, topic_id=AFTER)
    start = resume.requested(stream_of(known), written(3, 4), known)
    assert start.positions == at(0, 2)
    assert start.resets == (Reset("recreated", "t", 0, 3, 0), Reset("recreated", "t", 1, 4, 2))


def test_requested_of_a_topic_created_again_with_other_partitions_tells_those_that_were_named(fake_lookup):
    """One that is no more has no place to go on at; one that is new was never anywhere else."""
    known = known_of(5, topic_id=AFTER)
    fewer = resume.requested(stream_of(known), written(3, 4), known)
    assert fewer.positions == at(0)
    assert fewer.resets == (Reset("recreated", "t", 0, 3, 0), Reset("recreated", "t", 1, 4, None))
    known = known_of(5, 6, topic_id=AFTER)
    more = resume.requested(stream_of(known), written(3), known)
    assert more.positions == at(0, 0)
    assert more.resets == (Reset("recreated", "t", 0, 3, 0),)


def test_requested_of_one_topic_created_again_goes_on_in_the_others(fake_lookup):
    """Only what is lost is lost."""
    known = known_of(5, u=(6,))
    later = replace(known, tags={**known.tags, "u": cursor.tag("u", AFTER)})
    start = resume.requested(stream_of(later), written(3, u=(4,)), later)
    assert start.positions == at(3) | at(0, topic="u")
    assert start.resets == (Reset("recreated", "u", 0, 4, 0),)


def test_requested_of_one_partition_of_a_topic_created_again_starts_where_its_log_begins(fake_lookup):
    """It gets no other partition for that."""
    alone = stream_of(known_of(1)).only(2).event_id({("t", 2): 8})
    known = Known({"t": cursor.tag("t", AFTER)}, {("t", 2): 5})
    start = resume.requested(stream_of(known).only(2), alone, known)
    assert (start.positions, start.resets) == ({("t", 2): 0}, (Reset("recreated", "t", 2, 8, 0),))


def test_requested_of_a_topic_that_is_gone_is_told(fake_lookup):
    """Until there is another of the name, the client is held at its beginning."""
    known = Known({"t": cursor.tag("t")}, at(None), frozenset({"t"}))
    start = resume.requested(stream_of(known), written(3, 4), known)
    assert start.positions == at(0)
    assert start.resets == (Reset("recreated", "t", 0, 3, 0), Reset("recreated", "t", 1, 4, None))


def test_requested_at_the_beginning_of_a_topic_created_again_is_told(fake_lookup):
    """A client that had nothing of the earlier topic still learns that it is another one now."""
    known = known_of(5, topic_id=AFTER)
    start = resume.requested(stream_of(known), written(0), known)
    assert (start.positions, start.resets) == (at(0), (Reset("recreated", "t", 0, 0, 0),))


def test_requested_before_the_topic_existed_goes_on_without_a_break(fake_lookup):
    """The client was held at the topic's beginning, and that is where it is, in each partition that there is now."""
    known = known_of(5, 6)
    start = resume.requested(stream_of(known), written(0, topic_id=""), known)
    assert (start.positions, start.resets) == (at(0, 0), ())


def test_requested_before_one_of_several_topics_existed_goes_on_in_all(fake_lookup):
    """Only this topic's tag has changed."""
    known = known_of(5, u=(6,))
    earlier = replace(known, tags={**known.tags, "u": cursor.tag("u")})
    text = stream_of(earlier).event_id(at(3) | at(0, topic="u"))
    start = resume.requested(stream_of(known), text, known)
    assert (start.positions, start.resets) == (at(3) | at(0, topic="u"), ())


def test_requested_without_an_id_but_with_records_is_of_another_topic(fake_lookup):
    """What has been read of a topic that had no id is not in the one that has."""
    known = known_of(5, 6)
    start = resume.requested(stream_of(known), written(0, 2, topic_id=""), known)
    assert start.positions == at(0, 0)
    assert start.resets == (Reset("recreated", "t", 0, 0, 0), Reset("recreated", "t", 1, 2, 0))


@in_memory
@given(st.data())
def test_requested_with_any_cursor_of_another_epoch_starts_over_and_says_so(fake_lookup, data):
    """Every partition starts where its log begins, and each that was named is told; none of another topic is."""
    place = st.integers(0, 20)
    places = st.lists(place, min_size=1, max_size=4)
    topics = data.draw(some_topics)
    again = data.draw(st.sets(st.sampled_from(topics), min_size=1))
    ids = {topic: AFTER if topic in again else NOW for topic in topics}
    before = {topic: data.draw(places) for topic in topics}
    begins = {topic: data.draw(places) if topic in again else [0] * len(before[topic]) for topic in topics}
    fake_lookup.begins = {(topic, each): at for topic, ats in begins.items() for each, at in enumerate(ats)}
    fake_lookup.ends_ = dict.fromkeys(fake_lookup.begins, 30)
    relay = {key: data.draw(st.none() | st.integers(at, 30)) for key, at in fake_lookup.begins.items()}
    known = Known({topic: cursor.tag(topic, ids[topic]) for topic in topics}, relay)
    text = written(*before["t"], **{topic: ats for topic, ats in before.items() if topic != "t"})
    start = resume.requested(stream_of(known), text, known)
    for (topic, partition), position in start.positions.items():
        expected = begins[topic] if topic in again else before[topic]
        assert position == expected[partition]
    told = [(reset.topic, reset.partition, reset.requested, reset.resumed) for reset in start.resets]
    assert {reset.reason for reset in start.resets} == {"recreated"}
    assert told == [
        (topic, each, position, dict(enumerate(begins[topic])).get(each))
        for topic in sorted(again)
        for each, position in enumerate(before[topic])
    ]


# --- how far ---------------------------------------------------------------------------------------------------------


def test_stops_are_where_the_relay_is(fake_lookup):
    """Behind the client there is nothing to read."""
    start = at(3, 6, 5) | at(1, topic="u")
    committed = {("t", 0): 5, ("t", 1): 5, ("t", 2): None, ("u", 0): 4}
    assert resume.stops(start, committed) == at(5, 6, 5) | at(4, topic="u")


@pytest.mark.parametrize(("end", "behind"), [(3, False), (4, True)])
def test_is_behind_looks_at_every_topic(fake_lookup, end, behind):
    """One record that the client has not is enough."""
    fake_lookup.ends_ = {("t", 0): 5, ("u", 0): end}
    start = resume.resumed(named({0: 5}) | named({0: 3}, "u"), known_of(5, u=(3,)))
    assert resume.is_behind(start) is behind
