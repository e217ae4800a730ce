"""The pictures of an evaluation: calibration, curves, slices, robustness."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlkeras.evaluation.evidence import Calibration, Robustness, Slice
from tlkeras.evaluation.measure import Measure
from tlkeras.plots import BLUE, GRID, INK, ORANGE, new_figure, shorten

GREY = "#6b7280"
PALETTE = (BLUE, ORANGE, "#059669", "#db2777", "#7c3aed", GREY, "#0891b2", "#65a30d")
MOST_CURVES = 8
MOST_SLICES = 20


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Draw a reliability diagram, before and after scaling where there was any, and how often each confidence occurs."""
    figure = new_figure(5.2, 5.6)
    axis, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="taken at its word")
    parts = [(calibration, ORANGE, "before scaling"), (calibration.after, BLUE, "after")]
    shown = [part for part in parts if part[0]] if calibration.after else [(calibration, BLUE, "this model")]
    for one, color, name in shown:
        if one is None:
            continue
        x, y, n = (np.array([getattr(item, field) for item in one.bins]) for field in ("confidence", "accuracy", "n"))
        error = 1.96 * np.sqrt(np.maximum(y * (1 - y), 0.25 / n) / n)
        label = f"{name}: error {one.ece:.3f} (chance alone {one.ece_null:.3f})"
        axis.errorbar(x, y, yerr=error, color=color, marker="o", markersize=4, linewidth=1.2, capsize=2, label=label)
    last = calibration.after or calibration
    width = np.array([max(one.high - one.low, 4e-3) for one in last.bins])
    height = np.array([one.n for one in last.bins]) / last.n / width
    below.bar([(one.low + one.high) / 2 for one in last.bins], height, width=width, color=BLUE, alpha=0.35, linewidth=0)
    below.set_yscale("log")
    below.set_yticks([])
    below.minorticks_off()
    below.set_ylabel("density")
    below.set_xlabel("confidence")
    axis.set_ylabel("share that is right")
    axis.set_xlim(0, 1.01)
    axis.set_ylim(0, 1.02)
    axis.set_title("Can its probabilities be taken at their word?", color=INK, loc="left", fontweight="bold")
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    _tidy(axis)
    _tidy(below)
    figure.savefig(path, format="png")


def can_be_ranked(targets: np.ndarray, classes: int) -> bool:
    """Say whether any class has test examples of it and others, so that there is a curve to draw."""
    truth = targets if targets.ndim == 2 else targets[:, None] == np.arange(classes)
    return bool(((truth.sum(axis=0) > 0) & (truth.sum(axis=0) < len(truth))).any())


def save_curves(targets: np.ndarray, outputs: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Draw ROC and precision-recall curves, one class against the rest; of many classes those with the smallest area.

    Args:
        targets: Classes, shape `(n,)`, or labels, shape `(n, classes)`.
        outputs: Probabilities, shape `(n, classes)`.
        classes: The class names.
        path: Where to write the PNG.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

    truth = targets if targets.ndim == 2 else targets[:, None] == np.arange(len(classes))
    columns = [1] if targets.ndim == 1 and len(classes) == 2 else range(len(classes))
    ranked = [column for column in columns if 0 < truth[:, column].sum() < len(truth)]
    area = {column: roc_auc_score(truth[:, column], outputs[:, column]) for column in ranked}
    figure = new_figure(9, 4.2)
    left, right = figure.subplots(1, 2)
    for color, column in zip(PALETTE, sorted(ranked, key=area.__getitem__)[:MOST_CURVES], strict=False):
        true, scores = truth[:, column], outputs[:, column]
        fall_out, recall, _ = roc_curve(true, scores)
        name = shorten(classes[column])
        left.plot(fall_out, recall, color=color, linewidth=1.4, label=f"{name} {area[column]:.3f}")
        precision, found, _ = precision_recall_curve(true, scores)
        precise = average_precision_score(true, scores)
        right.plot(found, precision, color=color, linewidth=1.4, drawstyle="steps-post", label=f"{name} {precise:.3f}")
        right.axhline(true.mean(), color=color, linestyle=":", linewidth=0.8, alpha=0.5)
    left.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    worst = f" (the {MOST_CURVES} hardest of {len(ranked)} classes)" if len(ranked) > MOST_CURVES else ""
    _frame(left, f"ROC{worst}", "false positive rate", "true positive rate")
    _frame(right, "Precision and recall", "recall", "precision")
    figure.savefig(path, format="png")


def save_slices(slices: Sequence[Slice], overall: Measure, path: Path) -> None:
    """Draw the measure on each slice with its interval, the worst first; what differs beyond chance is filled."""
    shown = list(slices)[:MOST_SLICES]
    figure = new_figure(8, 1.3 + 0.32 * len(shown))
    axis = figure.subplots()
    axis.axvspan(overall.low, overall.high, color=GREY, alpha=0.15, linewidth=0)
    axis.axvline(overall.value, color=GREY, linewidth=1)
    for place, one in enumerate(shown):
        color = ORANGE if one.significant else BLUE
        error = [[one.metric.value - one.metric.low], [one.metric.high - one.metric.value]]
        axis.errorbar(one.metric.value, place, xerr=error, fmt="o", color=color, capsize=2, markersize=5)
    names = [f"{shorten(one.column)} = {shorten(one.value)}   n {one.n}" for one in shown]
    axis.set_yticks(range(len(shown)), names, fontsize=8)
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.set_xlabel(f"{shown[0].measure.replace('_', ' ')}, 95 % interval; the line is all test examples")
    beyond = "orange differs" if any(one.significant for one in shown) else "none differs"
    title = f"Slices: {beyond} from the rest beyond chance"
    axis.set_title(title, color=INK, loc="left", fontweight="bold", fontsize=11)
    _tidy(axis)
    figure.savefig(path, format="png")


def save_robustness(points: Sequence[Robustness], measure: str, path: Path) -> None:
    """Draw the measure against the strength of each corruption."""
    figure = new_figure(7, 4)
    axis = figure.subplots()
    kinds = list(dict.fromkeys(point.corruption for point in points))
    for place, (color, kind) in enumerate(zip(PALETTE, kinds, strict=False)):
        rows = [point for point in points if point.corruption == kind]
        x = np.array([point.severity for point in rows]) + 0.04 * (place - len(kinds) / 2)
        value, low, high = (np.array([getattr(point.metric, name) for point in rows]) for name in ("value", "low", "high"))
        axis.errorbar(x, value, yerr=[value - low, high - value], color=color, marker="o", markersize=4, capsize=2, label=kind)
    axis.set_xticks(range(6), ["as it is", *map(str, range(1, 6))])
    axis.set_xlabel("strength")
    axis.set_ylabel(measure.replace("_", " "))
    axis.set_title("Spoilt inputs", color=INK, loc="left", fontweight="bold")
    axis.legend(frameon=False, fontsize=9)
    _tidy(axis)
    figure.savefig(path, format="png")


def _frame(axis: Any, title: str, x: str, y: str) -> None:
    axis.set_title(title, color=INK, loc="left", fontweight="bold", fontsize=11)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.set_xlim(-0.01, 1.01)
    axis.set_ylim(-0.01, 1.02)
    axis.legend(frameon=False, fontsize=8, loc="lower right" if title.startswith("ROC") else "lower left")
    _tidy(axis)


def _tidy(axis: Any) -> None:
    axis.grid(color=GRID, linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
