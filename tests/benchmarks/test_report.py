"""What the tables of the benchmark say."""

import pytest

from tests.benchmarks.names import OURS
from tests.benchmarks.report import Run, ahead, medians, outcome
from tests.benchmarks.workloads import Goal, Workload

FLAT_OUT = Workload("flat-out", 10, 1000)
AT_A_RATE = Workload("at-a-rate", 10, 1000, 100)


def a_run(workload, chain, *, per_s=1000, p50_ms=10.0, missing=0):
    """Return a run of which this was counted."""
    counted = {
        "deliveries_per_s": per_s,
        "p50_ms": p50_ms,
        "p99_ms": 2 * p50_ms,
        "silence_ms": 20,
        "missing": missing,
        "expected": 10_000,
        "repeated": 0,
        "lost": 0,
        "out_of_order": 0,
        "failed": 0,
    }
    return Run(workload, chain, counted, {}, {})


@pytest.mark.parametrize(("workload", "found"), [(FLAT_OUT, "4.0 x"), (AT_A_RATE, "0.5 x")])
def test_ahead_is_in_deliveries_flat_out_and_in_latency_at_a_rate(workload, found):
    ours = a_run(workload, OURS, per_s=4000, p50_ms=20)
    other = a_run(workload, "other")
    assert ahead(other, [ours, other]) == found
    assert ahead(ours, [ours, other]) == ""


@pytest.mark.parametrize(("missing", "found"), [(100, "1.0 x"), (101, "it loses")])
def test_ahead_of_who_loses_more_than_a_hundredth_is_nobody(missing, found):
    ours, other = a_run(FLAT_OUT, OURS), a_run(FLAT_OUT, "other", missing=missing)
    assert ahead(other, [ours, other]) == found


def test_medians_keep_the_worst_of_what_was_lost():
    """The run in the middle tells how fast it was; one that lost nothing does not make up for one that did."""
    runs = [a_run(FLAT_OUT, "other", per_s=speed, missing=lost) for speed, lost in ((3, 0), (1, 500), (2, 0))]
    (found,) = medians(runs)
    assert (found.per_s, found.counted["missing"]) == (2, 500)
    assert ahead(found, [a_run(FLAT_OUT, OURS), found]) == "it loses"


@pytest.mark.parametrize(("missing", "found"), [(0, "yes"), (1, "**no**")])
def test_outcome_of_a_run_that_lost_a_record_is_no(missing, found):
    """However fast it was."""
    assert outcome(Goal(900), a_run(FLAT_OUT, OURS, missing=missing)).endswith(f": {found}")
