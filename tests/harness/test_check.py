"""The checker catches each fault, and only those."""

from dataclasses import dataclass

import pytest

from tests.harness.check import NumberedWriter, check


@dataclass
class Delivered:
    """One record as a client got it."""

    data: str
    connection: int


def stream(*numbers: int, partition: int = 0, connection: int = 0) -> list[Delivered]:
    """Return records with these numbers."""
    return [Delivered(f'{{"t":1,"p":{partition},"seq":{number},"pad":""}}', connection) for number in numbers]


def test_check_every_record_once_is_ok():
    """Several partitions, each in its own order."""
    report = check([*stream(0, 1), *stream(0, 1, partition=3), *stream(2)], {0: 2, 3: 1})
    assert report.ok, report
    assert report.delivered == 5


@pytest.mark.parametrize(
    ("events", "fault", "found"),
    [
        (stream(0, 2, 3), "lost", {0: [1]}),
        (stream(0, 1, 2), "lost", {0: [3]}),
        (stream(1, 2, 3), "lost", {0: [0]}),
        ([], "lost", {0: [0, 1, 2, 3]}),
        (stream(0, 1, 1, 2, 3), "repeated", [(0, 0, 1)]),
        (stream(0, 1, 2, 3, 0), "repeated", [(0, 0, 0)]),
        (stream(0, 2, 1, 3), "disordered", [(0, 0, 1)]),
        (stream(0, 2, 1, 3), "skipped", [(0, 0, 2)]),
        ([*stream(0, 1), *stream(3, connection=1), *stream(2, 3, connection=2)], "skipped", [(1, 0, 3)]),
        ([*stream(0, 1, 2, 3), Delivered("no record", 0)], "foreign", ["no record"]),
        ([*stream(0, 1, 2, 3), Delivered("[1]", 0)], "foreign", ["[1]"]),
    ],
)
def test_check_fault_is_reported(events, fault, found):
    """Each kind of fault, by its partition and number."""
    report = check(events, {0: 3})
    assert getattr(report, fault) == found
    with pytest.raises(AssertionError):
        report.assert_ok()


def test_check_lost_in_one_partition_is_not_hidden_by_another():
    """The numbers of the partitions are not mixed up."""
    assert check([*stream(0, 1), *stream(0, partition=1)], {0: 1, 1: 1}).lost == {1: [1]}


def test_check_later_connection_may_go_over_old_ground():
    """At least once: a resumed client may get again what it had."""
    report = check([*stream(0, 1, 2), *stream(1, 2, 3, connection=1)], {0: 3})
    assert report.ok, report
    assert report.again == 2


def test_check_later_connection_may_not_repeat_within_itself():
    """Old ground, but only once."""
    assert check([*stream(0, 1), *stream(1, 1, connection=1)], {0: 1}).repeated == [(1, 0, 1)]


def test_check_first_unknown_begins_where_the_client_began():
    """A client that joins a running stream owes nothing from before."""
    assert check(stream(7, 8, 9), {0: 9}, first=None).ok
    assert check(stream(7, 9), {0: 9}, first=None).lost == {0: [8]}
    assert check(stream(7, 8), {0: 8, 1: 4}, first=None).lost == {1: [4]}


def test_check_first_of_each_partition_is_respected():
    """The beginning may be given for each partition."""
    assert check([*stream(5), *stream(0, partition=1)], {0: 5, 1: 0}, first={0: 5}).ok


def test_writer_flat_out_numbers_densely_and_knows_the_last(mock_kafka):
    """What it says is acknowledged is what lies in the topic."""
    name = mock_kafka.create_topic("numbers")
    writer = NumberedWriter(mock_kafka.bootstrap, name, 4, size=100)
    last = writer.write(1002)
    stored = mock_kafka.read_all(name)
    assert last == {0: 250, 1: 250, 2: 249, 3: 249}
    assert len(stored) == writer.total == 1002
    assert {len(value) for _, _, value in stored} == {100}
    assert check([Delivered(value.decode(), 0) for _, _, value in stored], last).ok


def test_writer_at_a_rate_keeps_it(mock_kafka):
    """A thread writes about as many as it was told, until it is stopped."""
    name = mock_kafka.create_topic("numbers")
    writer = NumberedWriter(mock_kafka.bootstrap, name, 2, rate=500)
    writer.write(10)
    with writer:
        seconds = writer.wait_total(300, 20)
        writer.stop()
    assert 0.5 < seconds < 5
    assert writer.acknowledged[0] - writer.acknowledged[1] in (0, 1)
