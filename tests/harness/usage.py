"""The processes of a session and what they use, from Linux's /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
# Places in /proc/<pid>/stat, counted from the field after the name, which may hold spaces: proc_pid_stat(5).
SESSION, USER, SYSTEM, ENDED_USER, ENDED_SYSTEM, RSS = 3, 11, 12, 13, 14, 21


@dataclass(frozen=True)
class Use:
    """Processor time and memory of one process."""

    cpu: float  # seconds, of children that have ended too
    rss: int  # bytes, now
    program: str


def of_session(session: int) -> dict[int, Use]:
    """Return the use of each living process that belongs to the session, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text(errors="replace").partition("(")[2].rpartition(")")
        except OSError:
            continue  # it has just ended
        fields = rest.split()
        if int(fields[SESSION]) == session and fields[0] != "Z":
            found[int(folder.name)] = _use(name, fields)
    return found


def _use(name: str, fields: list[str]) -> Use:
    ticks = sum(int(fields[place]) for place in (USER, SYSTEM, ENDED_USER, ENDED_SYSTEM))
    return Use(ticks / TICKS, int(fields[RSS]) * PAGE, name)
