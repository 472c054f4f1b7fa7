"""Which faults there are.

A fault is a function of the world and a source of chance; when it returns, it is mended or mends itself.
"""

import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.world import World

Hurt = Callable[[World, random.Random, bool], None]


@dataclass(frozen=True)
class Fault:
    """`hurt(world, chance, thorough)`; `parts` are those that it concerns: two faults at a time have none in common."""

    hurt: Hurt
    parts: frozenset[str]
    quick: bool

    @property
    def name(self) -> str:
        """What it is called."""
        return self.hurt.__name__.replace("_", " ")

    @property
    def what(self) -> str:
        """What happens, in words."""
        return inspect.getdoc(self.hurt) or ""


FAULTS: dict[str, Fault] = {}


def fault(*parts: str, quick: bool = False) -> Callable[[Hurt], Hurt]:
    """Register a fault; those that are `quick` run in CI."""

    def register(hurt: Hurt) -> Hurt:
        found = Fault(hurt, frozenset(parts), quick)
        FAULTS[found.name] = found
        return hurt

    return register
