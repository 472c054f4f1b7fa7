"""The figures as a chart: deliveries per second of what was written flat out, latency of what was written at a rate."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.report import Run, what

BAR = 0.8  # of the height that a workload has, for the bars of all its chains
ROW = 0.28  # inches for each bar


def draw(runs: list[Run], path: Path) -> None:
    """Write the chart of `runs` as SVG, its text as text."""
    flat, paced = ([run for run in runs if run.workload.flat_out is is_flat] for is_flat in (True, False))
    panels = [
        (flat, "deliveries per second, flat out (longer is better)", lambda run: run.per_s),
        (paced, "99th percentile of the latency, ms (shorter is better)", lambda run: run.counted["p99_ms"]),
    ]
    shown = [panel for panel in panels if panel[0]]
    heights = [1.0 + ROW * len(part) for part, _title, _value in shown]
    with mpl.rc_context({"svg.fonttype": "none", "font.size": 8, "svg.hashsalt": "kafkasse"}):
        figure = Figure(figsize=(9, sum(heights)), layout="constrained")
        axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
        colours = {name: f"C{place}" for place, name in enumerate(dict.fromkeys(run.chain for run in runs))}
        for axis, (part, title, value) in zip(axes, shown, strict=True):
            _bars(axis, part, value, colours)
            axis.set_title(title)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _bars(axis: Axes, runs: list[Run], value: Callable[[Run], float], colours: dict[str, str]) -> None:
    """Draw a group of bars for each workload, one bar for each chain."""
    workloads = list(dict.fromkeys(run.workload for run in runs))
    chains = list(dict.fromkeys(run.chain for run in runs))
    for place, name in enumerate(chains):
        mine = [run for run in runs if run.chain == name]
        rows = [workloads.index(run.workload) + (place + 0.5) * BAR / len(chains) - BAR / 2 for run in mine]
        bars = axis.barh(
            rows, [value(run) for run in mine], BAR / len(chains), label=name, color=colours[name]
        )
        lost = [f"{value(run):,.0f}" + (", loses" if run.counted["missing"] else "") for run in mine]
        axis.bar_label(bars, lost, padding=3)
    axis.set_yticks(range(len(workloads)), [what(workload) for workload in workloads])
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.legend()
