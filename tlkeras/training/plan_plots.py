"""The pictures of a plan: rates by block and step, and a sweep of rates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.plots import BLUE, GRID, INK, ORANGE, shorten
from tlkeras.training.plan import PhasePlan

WIDTH = 200
"""The columns that a phase is drawn with: its rate is looked at in as many steps."""


def save_plan(plans: Sequence[PhasePlan], path: Path) -> None:
    """Draw the learning rate of each block (upwards, from the input to the head) over the steps of all phases.

    A phase that solves the head in closed form has no steps and gets a narrow band.

    Args:
        plans: What `plan_training` returned.
        path: Where to write the PNG.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    names = [block.name for block in plans[0].blocks]
    figure = Figure(figsize=(10, 2.8 + 0.24 * len(names)), dpi=120, layout="constrained", facecolor="white")
    lines, grid = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, max(1.0, 0.1 * len(names))))
    total = sum(plan.steps for plan in plans)
    edges = _edges(plans, max(1.0, 0.04 * total))
    rates = [plan.rates.max() for plan in plans if plan.steps]
    lowest = min((block.rate for plan in plans for block in plan.blocks if block.rate), default=1.0)
    norm = LogNorm(min(rates, default=1e-3) * lowest / 100, 1.3 * max(rates, default=1e-3))
    mesh = None
    for plan, (left, right) in zip(plans, edges, strict=True):
        grid.axvspan(left, right, color="#f3f4f6", zorder=0)
        if plan.steps:
            mesh = _draw_rates(plan, left, right, lines, grid, norm)
        else:
            head = names.index("head")
            grid.fill_between([left, right], head, head + 1, color=ORANGE)
        label = shorten(plan.phase.name) + ("" if plan.steps else "\n(solved)")
        lines.text((left + right) / 2, 1.02, label, transform=lines.get_xaxis_transform(), ha="center", fontsize=8, color=INK)
        for axis in (lines, grid):
            axis.axvline(right, color=INK, linewidth=0.6)
    _finish(figure, lines, grid, mesh, names, edges[-1][1])
    figure.savefig(path, format="png")


def _edges(plans: Sequence[PhasePlan], narrow: float) -> list[tuple[float, float]]:
    edges, left = [], 0.0
    for plan in plans:
        right = left + (plan.steps or narrow)
        edges.append((left, right))
        left = right
    return edges


def _draw_rates(plan: PhasePlan, left: float, right: float, lines: Any, grid: Any, norm: Any) -> Any:
    x = np.linspace(left, right, len(plan.rates) + 1)
    middle = (x[1:] + x[:-1]) / 2
    trained = [block for block in plan.blocks if block.trainable]
    lines.plot(middle, plan.rates * trained[-1].rate, color=BLUE, linewidth=1.6)
    if trained[0].rate != trained[-1].rate:
        lines.plot(middle, plan.rates * trained[0].rate, color=ORANGE, linewidth=1.2, linestyle="--")
    table = np.array(
        [plan.rates * block.rate if block.trainable else np.full(len(plan.rates), np.nan) for block in plan.blocks]
    )
    table = np.where(table > 0, np.maximum(table, norm.vmin), np.nan)
    return grid.pcolormesh(x, np.arange(len(plan.blocks) + 1), table, cmap="Blues", norm=norm, rasterized=True)


def _finish(figure: Any, lines: Any, grid: Any, mesh: Any, names: Sequence[str], right: float) -> None:
    lines.set_ylim(bottom=0)
    lines.set_ylabel("rate of the head\n(- - lowest block)", fontsize=8)
    lines.yaxis.set_major_formatter("{x:.1e}")
    lines.grid(color=GRID, linewidth=0.7)
    lines.spines[["top", "right"]].set_visible(False)
    grid.set_yticks(np.arange(len(names)) + 0.5, [shorten(name) for name in names], fontsize=7)
    grid.set_xlim(0, right)
    grid.set_xlabel("training step (grey: frozen)")
    if mesh is not None:
        figure.colorbar(mesh, ax=grid, label="learning rate", pad=0.01)


def save_sweep(rates: np.ndarray, losses: np.ndarray, suggestion: float, path: Path, *, phase: str) -> None:
    """Draw the loss against the learning rate of a sweep, with the suggested rate.

    Args:
        rates: float, shape `(steps,)`.
        losses: float, shape `(steps,)`.
        suggestion: The rate to mark.
        path: Where to write the PNG.
        phase: The name of the phase.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.8), dpi=120, layout="constrained", facecolor="white")
    axis = figure.subplots()
    axis.plot(rates, losses, color=BLUE)
    axis.axvline(suggestion, color=ORANGE, linestyle="--")
    axis.annotate(
        f"{suggestion:.1e}", (suggestion, 1), xycoords=("data", "axes fraction"), xytext=(4, -4), textcoords="offset points",
        color=ORANGE, va="top", fontsize=9,
    )  # fmt: skip
    axis.set_xscale("log")
    low, start = float(losses.min()), float(losses[0])
    axis.set_ylim(max(0.0, low - 0.1 * start), min(float(losses.max()), 2.5 * start) + 0.05 * start)
    axis.set_xlabel("learning rate")
    axis.set_ylabel("training loss, smoothed")
    axis.set_title(f"Learning rate for phase {shorten(phase)!r}", color=INK, loc="left", fontweight="bold")
    axis.grid(color=GRID, linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png")
