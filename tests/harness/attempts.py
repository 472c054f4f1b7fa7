"""What is measured on a machine that other programs use, too."""

from collections.abc import Callable

ATTEMPTS = 3


def once_below(bound: float, measure: Callable[[], float]) -> None:
    """Measure until it is below `bound`, three times at the most: what else goes on makes slower, never quicker.

    Raises AssertionError, with all that was measured.
    """
    measured: list[float] = []
    while len(measured) < ATTEMPTS:
        measured.append(measure())
        if measured[-1] < bound:
            return
    raise AssertionError(f"never below {bound:g}: {measured}")
