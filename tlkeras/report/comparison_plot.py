"""The picture of a comparison: learning curves, the way to the goal, depth."""

from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.evaluation.compare import Comparison
from tlkeras.plots import GRID, INK

COLORS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#65a30d", "#db2777", "#475569")


def save_comparison(found: Comparison, path: Path) -> None:
    """Draw test score by number of training examples for each arm, and by depth where that was measured.

    Arms with transfer are drawn whole, the others dashed; bands are 95 % intervals.
    """
    from matplotlib.figure import Figure

    panels = 2 if found.depth else 1
    figure = Figure(figsize=(6.6 * panels, 4.6), dpi=120, layout="constrained", facecolor="white")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _curves(axes[0], found)
    if found.depth:
        _depth(axes[1], found)
    for axis in axes:
        axis.grid(color=GRID, linewidth=0.7)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_ylabel(f"{found.metric} on the test examples")
    figure.savefig(path, format="png")


def _curves(axis: Any, found: Comparison) -> None:
    for (name, points), color in zip(found.curves.items(), COLORS * len(found.curves), strict=False):
        x = [point.n_train for point in points]
        y, low, high = (np.array([getattr(point.score, end) for point in points]) for end in ("value", "low", "high"))
        style = "-" if name in found.transfer else "--"
        axis.fill_between(x, low, high, color=color, alpha=0.12, linewidth=0)
        axis.plot(x, y, style, color=color, marker="o", markersize=4, label=name)
    axis.axhline(found.chance, color=GRID, linewidth=1.5)
    axis.set_xscale("log")
    sizes = [point.n_train for point in next(iter(found.curves.values()))]
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.minorticks_off()
    axis.set_xlabel("training examples")
    axis.set_title("Learning curves", color=INK, loc="left", fontweight="bold")
    axis.legend(frameon=False, fontsize=8)


def _depth(axis: Any, found: Comparison) -> None:
    shares = sorted(found.depth)
    points = [found.depth[share] for share in shares]
    y, low, high = (np.array([getattr(point.score, end) for point in points]) for end in ("value", "low", "high"))
    axis.errorbar(shares, y, yerr=[y - low, high - y], color=COLORS[0], marker="o", capsize=3)
    axis.set_xticks(shares)
    axis.set_xlabel("blocks that are trained after the head, in per cent from the top")
    axis.set_title("Depth", color=INK, loc="left", fontweight="bold")
