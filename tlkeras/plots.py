"""The few pictures that every run has."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, GRID, BLUE, ORANGE = "#1f2933", "#d9dee4", "#2563eb", "#d97706"
LONGEST_NAME = 24


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of so many inches, with no window and no global state behind it."""
    # Figure instead of pyplot: no window, no global state, no backend to choose.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")


def shorten(name: str) -> str:
    """Return a name that fits an axis, with dollar signs kept from being read as formulas."""
    cut = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return cut.replace("$", r"\$")


def save_training(rows: Sequence[Mapping[str, Any]], path: Path, *, metric: str = "accuracy") -> None:
    """Draw loss and metric by epoch, phases one after the other; the best epoch of each phase carries a ring.

    Args:
        rows: The history's rows.
        path: Where to write the PNG.
        metric: The name of the metric's column.
    """
    figure = new_figure(9, 3.6)
    axes = figure.subplots(1, 2)
    x = np.arange(1, len(rows) + 1)
    for axis, name, title in zip(axes, ("loss", metric), ("Loss", metric.capitalize()), strict=True):
        for column, color, label in ((name, BLUE, "training"), (f"val_{name}", ORANGE, "validation")):
            values = np.array([float(row.get(column, np.nan)) for row in rows])
            for part in _phases(rows):
                axis.plot(x[part], values[part], color=color, marker="o", markersize=3.5, label=label)
                label = "_again"
        best = _best_epochs(rows)
        axis.plot(x[best], values[best], "o", color=ORANGE, markersize=9, fillstyle="none")
        _mark_phases(axis, rows)
        axis.set_title(title, color=INK, loc="left", fontweight="bold")
        axis.set_xlabel("epoch (over all phases)")
        axis.set_xticks(x[:: max(1, len(x) // 12)])
        axis.set_xlim(0.5, max(len(x), 2) + 0.5)  # the names of the phases must lie inside
        axis.grid(color=GRID, linewidth=0.7)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    figure.savefig(path, format="png")


def _best_epochs(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """The index of the last row marked best in each phase: the weights that were kept."""
    last = {row["phase"]: index for index, row in enumerate(rows) if row.get("best")}
    return sorted(last.values())


def _phases(rows: Sequence[Mapping[str, Any]]) -> list[slice]:
    """The rows of each phase; lines are not drawn across, because the phases' losses need not be of one kind."""
    starts = [index for index, row in enumerate(rows) if index == 0 or rows[index - 1]["phase"] != row["phase"]]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True)]


def _mark_phases(axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.12 * (high - low))  # the names stand above the curves
    for number, part in enumerate(_phases(rows)):
        if part.start:
            axis.axvline(part.start + 0.5, color=GRID, linestyle="--")
        at = axis.get_xaxis_transform()
        name = shorten(str(rows[part.start]["phase"]))
        height = 0.99 - 0.05 * (number % 2)  # a phase of one epoch is narrower than its name
        axis.text(part.start + 0.6, height, name, transform=at, va="top", fontsize=8, color="#6b7280")


def save_confusion(confusion: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix: counts, shaded by the share of their row.

    Args:
        confusion: Counts, int, shape `(classes, classes)`; rows are the true classes.
        classes: The class names, in that order.
        path: Where to write the PNG.
    """
    count = len(classes)
    side = min(14.0, 2.6 + 0.42 * count)
    figure = new_figure(side + 0.6, side)
    axis = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if count <= 30:
        for row, column in np.ndindex(count, count):
            color = "white" if share[row, column] > 0.55 else INK
            text = str(confusion[row, column]) if confusion[row, column] else ""
            axis.text(column, row, text, ha="center", va="center", color=color, fontsize=9 if count <= 15 else 6)
    names = [shorten(name) for name in classes]
    size = 9 if count <= 30 else 5
    axis.set_xticks(range(count), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    axis.set_yticks(range(count), names, fontsize=size)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title("Confusion on the test split", color=INK, loc="left", fontweight="bold")
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    figure.savefig(path, format="png")


def save_values(true: np.ndarray, predicted: np.ndarray, path: Path) -> None:
    """Draw predicted against true values; on the diagonal they are equal.

    Args:
        true: float, shape `(n,)`.
        predicted: float, shape `(n,)`.
        path: Where to write the PNG.
    """
    figure = new_figure(5, 5)
    axis = figure.subplots()
    low, high = (float(end(np.concatenate([true, predicted]))) for end in (np.min, np.max))
    axis.plot([low, high], [low, high], color=GRID, linewidth=1.5)
    axis.scatter(true, predicted, s=14, color=BLUE, alpha=0.6, linewidths=0)
    axis.set_xlabel("true")
    axis.set_ylabel("predicted")
    axis.set_title("Values on the test split", color=INK, loc="left", fontweight="bold")
    axis.set_aspect("equal")
    axis.grid(color=GRID, linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png")


def save_views(views: Sequence[Any], path: Path, *, count: int = 6) -> None:
    """Draw some training pictures (a row each) and their augmented views, as training reads them.

    Args:
        views: `Rows` of uint8 pictures, shape `(n, size, size, 3)`; the first holds them as they are.
        path: Where to write the PNG.
        count: The most pictures.
    """
    pictures = min(count, len(views[0]))
    figure = new_figure(1.6 * len(views), 1.6 * pictures + 0.3)
    axes: Any = figure.subplots(pictures, len(views), squeeze=False)
    for row, column in np.ndindex(pictures, len(views)):
        axis = axes[row, column]
        axis.imshow(views[column].values[row])
        axis.set_axis_off()
        if row == 0:
            axis.set_title("as it is" if column == 0 else f"view {column}", fontsize=9, color=INK)
    figure.savefig(path, format="png")


def save_ranking(rows: Sequence[Mapping[str, Any]], path: Path, *, metric: str, null: float | None = None) -> None:
    """Draw scores against latency, and what orders the sources, with their intervals; the numbers are places.

    Args:
        rows: For each source, best first: `name`, `score`, `low`, `high`, `milliseconds` (None: not in the left part), `tied`
            (with the first), and what it was ordered by: `order`, `order_low`, `order_high`.
        path: Where to write the PNG.
        metric: What the score is.
        null: The score of random weights.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    figure = new_figure(10, max(3.6, 1.2 + 0.3 * len(rows)))
    speed, places = figure.subplots(1, 2, sharey=False, width_ratios=(1.1, 1))
    for place, row in enumerate(rows, start=1):
        color = BLUE if place == 1 else ORANGE if row["tied"] else "#6b7280"
        error = [[row["score"] - row["low"]], [row["high"] - row["score"]]]
        ends = [[row["order"] - row["order_low"]], [row["order_high"] - row["order"]]]
        places.errorbar(row["order"], place, xerr=ends, fmt="o", color=color, markersize=5, capsize=2)
        if row["milliseconds"] is not None:
            speed.errorbar(row["milliseconds"], row["score"], yerr=error, fmt="none", ecolor=color, elinewidth=1, alpha=0.7)
            speed.text(
                row["milliseconds"],
                row["score"],
                str(place),
                ha="center",
                va="center",
                fontsize=8,
                color="white",
                bbox={"boxstyle": "circle,pad=0.25", "facecolor": color, "edgecolor": "white"},
            )
    if null is not None:
        speed.axhline(null, color=INK, linestyle=":", linewidth=1)
        speed.annotate(
            "the first one, random weights", (1, null), xycoords=("axes fraction", "data"), xytext=(-2, 3),
            textcoords="offset points", ha="right", fontsize=8, color=INK,
        )  # fmt: skip
    places.set_yticks(
        range(1, len(rows) + 1), [f"{shorten(str(row['name']))}  {place}" for place, row in enumerate(rows, start=1)]
    )
    places.set_ylim(len(rows) + 0.6, 0.4)
    places.set_xlabel("explained by the probe, 95 % interval")
    places.xaxis.set_major_locator(MaxNLocator(5))  # long numbers, where all are close
    speed.set_xlabel("milliseconds an example, LiteRT, one thread")
    speed.set_ylabel(f"{metric} of the probe")
    times = [row["milliseconds"] for row in rows if row["milliseconds"] is not None]
    if times and max(times) > 10 * min(times):
        speed.set_xscale("log")
        speed.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        speed.xaxis.set_major_formatter("{x:g}")
        speed.xaxis.set_minor_formatter(NullFormatter())
    else:
        speed.set_xlim(0, 1.15 * max(times, default=1.0))
    speed.set_title("Source models for this data", color=INK, loc="left", fontweight="bold")
    for axis in (speed, places):
        axis.grid(color=GRID, linewidth=0.7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png")


def save_depth(rows: Sequence[Mapping[str, Any]], path: Path, *, metric: str, source: str, enough: str) -> None:
    """Draw what a probe reads at each block boundary, with its interval; a line marks where it stops gaining.

    Args:
        rows: For each boundary, from the input up: `block`, `score`, `low`, `high`.
        path: Where to write the PNG.
        metric: What the score is.
        source: The source model's name.
        enough: The block above which nothing is gained.
    """
    figure = new_figure(min(14.0, max(6.0, 2.0 + 0.4 * len(rows))), 4)
    axis = figure.subplots()
    x = np.arange(len(rows))
    value, low, high = (np.array([row[name] for row in rows]) for name in ("score", "low", "high"))
    axis.fill_between(x, low, high, color=BLUE, alpha=0.15, linewidth=0)
    axis.plot(x, value, color=BLUE, marker="o", markersize=4)
    names = [str(row["block"]) for row in rows]
    stop = names.index(enough)
    axis.axvline(stop, color=ORANGE, linestyle="--")
    axis.annotate(
        "enough", (stop, 1), xycoords=("data", "axes fraction"), xytext=(4, -4), textcoords="offset points",
        color=ORANGE, va="top", fontsize=9,
    )  # fmt: skip
    axis.set_xticks(x, [shorten(name) for name in names], rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axis.set_ylabel(f"{metric} of the probe")
    axis.set_title(f"{shorten(source)}: features above each block", color=INK, loc="left", fontweight="bold")
    axis.grid(color=GRID, linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png")


def save_points(
    panels: Mapping[str, tuple[Sequence[float], float | None]],
    values: Sequence[float],
    names: Sequence[str],
    path: Path,
    *,
    measure: str,
    ringed: int | None = None,
    refused: Sequence[bool] = (),
) -> None:
    """Draw what some models cost against what they are worth, a panel for each cost, with its limit as a line.

    Args:
        panels: By the name of a cost, the cost of each model, and the limit or None.
        values: What each model is worth.
        names: The names of the models.
        path: Where to write the PNG.
        measure: What `values` are.
        ringed: The place of the model that was picked.
        refused: Which models are drawn hollow.
    """
    figure = new_figure(9, 3.8)
    axes = figure.subplots(1, len(panels), sharey=True)
    hollow = refused or [False] * len(names)
    for axis, (title, (costs, limit)) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        above = {place: number % 2 == 0 for number, place in enumerate(np.argsort(costs, kind="stable"))}  # neighbours part
        for place, (cost, value, name) in enumerate(zip(costs, values, names, strict=True)):
            axis.plot(cost, value, "o", color=BLUE, markersize=7, fillstyle="none" if hollow[place] else "full")
            if place == ringed:
                axis.plot(cost, value, "o", color=ORANGE, markersize=15, fillstyle="none", markeredgewidth=1.8)
            label = f"{shorten(name)}{' (refused)' if hollow[place] else ''}"
            style: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "color": INK, "fontsize": 9}
            axis.annotate(label, (cost, value), xytext=(0, 11 if above[place] else -19), **style)
        if limit is not None:
            axis.axvline(limit, color=ORANGE, linestyle="--", linewidth=1.2)
            axis.annotate("limit", (limit, 0.02), xycoords=("data", "axes fraction"), color=ORANGE, fontsize=9)
        axis.set_xlim(0, 1.2 * max(*costs, limit or 0))
        axis.margins(y=0.3)
        axis.set_xlabel(title)
        axis.grid(color=GRID, linewidth=0.7)
        axis.spines[["top", "right"]].set_visible(False)
    np.atleast_1d(axes)[0].set_ylabel(measure)
    figure.savefig(path, format="png")
