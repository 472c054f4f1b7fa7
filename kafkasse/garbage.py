"""How often Python looks for cycles of garbage.

It begins whenever there are 700 more objects than before.  A page, or a round of the relay, has thousands of records at a
time, each a few objects that are gone with it: looking through them again and again was a quarter of the relay's time.
"""

from __future__ import annotations

import gc

OBJECTS = 50_000
"""How many more objects there may be before Python looks for cycles; more than a page or a round has."""


def look_seldom() -> None:
    """Have Python look seldom, and never through what there is by now; for a process that has imported all it needs."""
    gc.freeze()
    gc.set_threshold(OBJECTS)
