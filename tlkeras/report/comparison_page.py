"""The page of a comparison: verdict, curves, costs, depth, signs."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tlkeras.evaluation.compare import Comparison
from tlkeras.evaluation.learning_curves import Point
from tlkeras.report.numbers import interval, number
from tlkeras.report.page import picture_address, render_page
from tlkeras.report.run_values import flags
from tlkeras.summary import format_size


def render_comparison(found: Comparison, folder: Path, source: str, recipe: Mapping[str, Any]) -> str:
    """Return a comparison as a page of HTML; its picture is read from the folder."""
    curves = curve_rows(found)
    last = {name: points[-1] for name, points in found.curves.items()}
    gain = found.gain
    return render_page(
        "comparison.html.j2",
        found=found,
        source=source,
        data=Path(str(recipe.get("data", ""))).name,
        tone="warning" if gain is None else "good" if gain.low > 0 else "error" if gain.high < 0 else "warning",
        best=_alone(found, last[found.best_transfer]) if found.best_transfer else ("not measured", ""),
        other=_alone(found, last[found.best_other]) if found.best_other else ("not measured", ""),
        gain=_gain(found),
        picture=picture_address(folder, "comparison.png"),
        header=curves[0],
        rows=curves[1],
        costs=[_cost(found, name, points[-1]) for name, points in found.curves.items()],
        chance=number(found.chance, share=found.task != "regression"),
        worth=[one for one in found.worth if one.times > 1 or not one.at_least],
        depth=[(share, *_alone(found, point), f"{point.seconds:.1f} s") for share, point in sorted(found.depth.items())],
        goal=None if found.goal is None else number(found.goal, share=True),
        command=shlex.join(["tlkeras", "compare", str(recipe.get("recipe", "")), *flags(recipe), "--output", "FOLDER"]),
    )


def curve_rows(found: Comparison) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the learning curves as a table: a row for each arm, a column for each number of examples."""
    sizes = [point.n_train for point in next(iter(found.curves.values()))]
    unit = "" if found.task == "regression" else " in %"
    header = (f"{found.metric}{unit} with", *(f"{size:,} examples" for size in sizes), "gap", "seconds")
    rows = []
    for name, points in found.curves.items():
        cells = [" ".join(_value(found, point)) for point in points]
        gap = number(points[-1].gap) if found.task == "regression" else f"{100 * points[-1].gap:+.1f}"
        rows.append((name, *cells, gap, f"{points[-1].seconds:.1f}"))
    return header, rows


def _value(found: Comparison, point: Point) -> tuple[str, str]:
    factor, digits = (1, 3) if found.task == "regression" else (100, 1)
    value, low, high = (factor * end for end in (point.score.value, point.score.low, point.score.high))
    return f"{value:.{digits}f}", f"[{low:.{digits}f}, {high:.{digits}f}]"


def _alone(found: Comparison, point: Point) -> tuple[str, str]:
    share, score = found.task != "regression", asdict(point.score)
    return number(score["value"], share=share), interval(score, share=share)


def _gain(found: Comparison) -> tuple[str, str]:
    if found.gain is None:
        return "not measured", ""
    factor, digits, unit = (1, 3, "") if found.task == "regression" else (100, 1, " points")
    value, low, high = (factor * end for end in (found.gain.value, found.gain.low, found.gain.high))
    return f"{value:+.{digits}f}{unit}", f"{low:+.{digits}f} to {high:+.{digits}f}"


def _cost(found: Comparison, name: str, point: Point) -> Sequence[str]:
    cost = found.costs.get(name)
    trained = "–" if point.trained is None else f"{point.trained:,}"
    whole = (name, trained, f"{point.seconds:.1f} s", format_size(point.peak_bytes))
    if cost is None or cost.seconds is None or cost.epochs is None:
        return (*whole, "–" if cost is None else "not reached", "", "")
    epochs = f"{cost.epochs:.1f}" + ("" if cost.reached == found.seeds else f" ({cost.reached} of {found.seeds} seeds)")
    return (*whole, f"{cost.seconds:.1f} s", epochs, "–" if cost.macs is None else f"{cost.macs / 1e12:.2f}")
