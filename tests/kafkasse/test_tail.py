"""The last records by time: against sorting all of them, whatever is missing in the logs."""

from hypothesis import given
from hypothesis import strategies as st

from kafkasse import tail

keys = st.tuples(st.sampled_from(["orders", "shipments"]), st.integers(0, 3))


@st.composite
def logs(draw):
    """Return (begin, end, records) by topic and partition.

    A record is (offset, time), and times are not always in order.
    """
    found = {}
    for key in draw(st.lists(keys, max_size=5, unique=True)):
        begin, size = draw(st.integers(0, 50)), draw(st.integers(0, 80))
        kept = draw(st.sets(st.integers(begin, begin + size - 1))) if size else set()
        times = draw(st.lists(st.integers(0, 30), min_size=len(kept), max_size=len(kept)))
        if draw(st.booleans()):
            times.sort()
        found[key] = (begin, begin + size, list(zip(sorted(kept), times, strict=True)))
    return found


def starts(found, count):
    """Return what is chosen of these logs, and how many records were read."""
    read = []

    def reader(begins, stops):
        for key, begin in begins.items():
            for offset, time in found[key][2]:
                if begin <= offset < stops[key]:
                    read.append((key, offset))
                    yield key, offset, time

    begins, ends = ({each: log[which] for each, log in found.items()} for which in (0, 1))
    return tail.starts(begins, ends, count, reader), read


def merged(found, count):
    """Return how many records of each partition's end are chosen: the newest last one, again and again."""
    rest = {each: list(log[2]) for each, log in found.items()}
    chosen = dict.fromkeys(found, 0)
    for _ in range(count):
        left = [each for each in rest if rest[each]]
        if not left:
            break
        newest = min(left, key=lambda each: (-rest[each][-1][1], each))
        rest[newest].pop()
        chosen[newest] += 1
    return chosen


@given(logs(), st.integers(1, 120))
def test_starts_are_those_of_a_merge_of_all_logs(found, count):
    """Holes, empty logs, equal times, times out of order, several topics."""
    positions, read = starts(found, count)
    chosen = {
        each: sum(offset >= position for offset, _time in found[each][2])
        for each, position in positions.items()
    }
    assert chosen == merged(found, count)
    assert len(read) == len(set(read))
    for each, position in positions.items():
        assert position in [found[each][1], *(offset for offset, _time in found[each][2])]


def test_starts_read_little_of_long_logs_that_were_written_evenly():
    """A share of each, and some more."""
    found = {
        (topic, each): (0, 10_000, [(n, 4 * n + 2 * side + each) for n in range(10_000)])
        for side, topic in enumerate(("orders", "shipments"))
        for each in range(2)
    }
    positions, read = starts(found, 100)
    assert positions == dict.fromkeys(found, 9975)
    assert len(read) <= 4 * (25 + tail.SPARE)


def test_starts_of_records_that_are_all_in_one_partition_read_on_there_alone():
    """The others' newest records are older."""
    old, new = ("orders", 0), ("shipments", 0)
    found = {old: (0, 500, [(n, n) for n in range(500)]), new: (0, 500, [(n, 1000 + n) for n in range(500)])}
    positions, read = starts(found, 200)
    assert positions == {old: 500, new: 300}
    assert sum(key == old for key, _offset in read) <= 100 + tail.SPARE


def test_starts_of_records_of_one_time_are_those_of_the_first_topic():
    """Whoever asks twice gets the same."""
    found = {(topic, 0): (0, 3, [(0, 7), (1, 7), (2, 7)]) for topic in ("shipments", "orders")}
    positions, _read = starts(found, 4)
    assert positions == {("orders", 0): 0, ("shipments", 0): 2}
