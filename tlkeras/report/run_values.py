"""What a report shows of a run: rows and texts, ready for a template."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkeras.report.numbers import gain, interval, is_share, number, words
from tlkeras.report.run_record import RunRecord
from tlkeras.summary import format_size

NOT_MEASURED = {
    "calibration": "whether its probabilities can be taken at their word",
    "rejection": "whether it refuses inputs unlike its training data",
    "slices": "whether it fails on some groups of examples",
    "fairness": "whether it treats groups differently",
    "robustness": "what blur, noise, typing errors and the like do to it",
    "forgetting": "what training made it forget",
    "privacy": "whether its answers give away what it was trained on",
}
"""Parts of `metrics.json` that are there only where they were measured, and what each would say."""


@dataclass(frozen=True)
class Bar:
    """A measure drawn from 0 to 100: its name, the numbers as text, and where bar and interval end."""

    name: str
    text: str
    interval: str
    n: int
    width: float
    low: float
    high: float
    own: bool = False


@dataclass(frozen=True)
class Headline:
    """The three numbers: the model's, that of the best null, and what lies between.

    Attributes:
        name: The measure.
        value: The model's value and its interval, as texts; and the number of test examples.
        null: The best null's name and value; empty where none was measured.
        gain: The difference and its interval; empty likewise.
        tone: `"good"`, `"warning"` or `"error"`.
        bars: The model and all nulls.
    """

    name: str
    value: tuple[str, str, int]
    null: tuple[str, str]
    gain: tuple[str, str]
    tone: str
    bars: tuple[Bar, ...]


def headline(run: RunRecord) -> Headline:
    """Return the first measure of a run beside its nulls."""
    test, nulls = run.metrics.get("test") or {}, run.metrics.get("nulls") or {}
    name = next(iter(test), "")
    own, share = test.get(name, {"value": None, "low": None, "high": None, "n": 0}), is_share(name)
    best = (max if share else min)(nulls, key=lambda null: nulls[null]["value"], default="")
    difference = run.metrics.get("gain")
    return Headline(
        name=words(name),
        value=(number(own["value"], share=share), interval(own, share=share), own["n"]),
        null=(best, number(nulls[best]["value"], share=share)) if best else ("", ""),
        gain=gain(difference, share=share) if difference else ("", ""),
        tone=tone(difference),
        bars=bars({"this model": own, **nulls}, share=share),
    )


def tone(difference: Mapping[str, Any] | None) -> str:
    """Return the colour of a difference: good if surely above 0, an error if surely below."""
    if not difference:
        return "warning"
    return "good" if difference["low"] > 0 else "error" if difference["high"] < 0 else "warning"


def bars(measures: Mapping[str, Mapping[str, Any]], *, share: bool, own: str = "this model") -> tuple[Bar, ...]:
    """Return measures as bars of one scale: 0 to 1 for shares, 0 to the highest otherwise."""
    ends = [abs(one.get("high") or one["value"] or 0) for one in measures.values()]
    top = 1.0 if share else max(ends, default=1.0) or 1.0

    def place(value: float | None) -> float:
        return round(100 * min(max((value or 0) / top, 0), 1), 2)

    return tuple(
        Bar(
            name=name,
            text=number(one["value"], share=share),
            interval=interval(one, share=share),
            n=one["n"],
            width=place(one["value"]),
            low=place(one.get("low")),
            high=place(one.get("high")),
            own=name == own,
        )
        for name, one in measures.items()
    )


def other_measures(run: RunRecord) -> list[tuple[str, str, str]]:
    """Return the measures after the headline: name, value, interval."""
    rest = list((run.metrics.get("test") or {}).items())[1:]
    return [
        (words(name), number(one["value"], share=is_share(name)), interval(one, share=is_share(name))) for name, one in rest
    ]


def worst_classes(run: RunRecord) -> list[dict[str, Any]]:
    """Return the classes, the lowest F1 first, with what each is most often taken for."""
    per_class, confusion = run.metrics.get("per_class") or {}, run.metrics.get("confusion")
    names = list(run.metrics.get("classes") or per_class)
    rows = []
    for name, one in per_class.items():
        row = {"name": name, **one, "taken_for": "", "times": 0}
        if confusion and name in names:
            others = {other: count for other, count in zip(names, confusion[names.index(name)], strict=True) if other != name}
            other = max(others, key=lambda key: others[key], default="")
            if other and others[other]:
                row |= {"taken_for": other, "times": others[other]}
        rows.append(row)
    return sorted(rows, key=lambda row: row["f1"])


def slices(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return slices as rows, the worst difference first; those that are surely worse before the others."""
    rows = []
    for one in found:
        share = is_share(str(one.get("measure", "accuracy")))
        rows.append(
            {
                **one,
                "text": number(one["metric"]["value"], share=share),
                "interval": interval(one["metric"], share=share),
                "shown": f"{100 * one['difference']:+.1f} points" if share else number(one["difference"]),
            }
        )
    return sorted(rows, key=lambda row: (not (row["significant"] and row["difference"] < 0), row["difference"]))


def robustness(run: RunRecord) -> list[dict[str, Any]]:
    """Return a row for each corruption: what is left at each severity."""
    found: dict[str, dict[int, str]] = {}
    name = next(iter(run.metrics.get("test") or {}), "")
    for one in run.metrics.get("robustness") or []:
        metric = one["metric"]
        value = metric["value"] if isinstance(metric, dict) else metric
        found.setdefault(words(one["corruption"]), {})[one["severity"]] = number(value, share=is_share(name))
    return [{"corruption": corruption, "values": dict(sorted(values.items()))} for corruption, values in found.items()]


def exports(run: RunRecord) -> list[dict[str, Any]]:
    """Return the exported files: path, size, whether they do as Keras does, latency where it was measured.

    Forms that were refused and set apart come last.
    """
    rows = []
    artifacts = run.metadata.get("artifacts") or []
    for artifact in artifacts:
        result = run.parity.get(artifact["target"])
        rows.append(
            {
                "path": f"exports/{artifact['path']}",
                "size": format_size(artifact["size_bytes"]),
                "parity": _parity(result),
                "passed": bool(result and (result["passed"] or not result["n"])),
                "latency": _latency(run.benchmarks.get(artifact["path"])),
            }
        )
    listed = {artifact["target"] for artifact in artifacts}
    for target, result in run.parity.items():
        if target not in listed and not result["passed"]:
            path = f"{target}, set apart as *.rejected*"
            rows.append({"path": path, "size": "", "parity": _parity(result), "passed": False, "latency": ""})
    return rows


def _parity(result: Mapping[str, Any] | None) -> str:
    if not result:
        return "not measured"
    if not result["n"]:
        return "not measured: runs on Apple's systems"
    if result.get("problem") or not result["passed"]:
        return f"FAILED {result.get('problem') or ''}".strip()
    if result["label_agreement"] is None:
        return f"same value within {result['max_difference']:.2g} deviations, {result['n']:,} values"
    refusals = result.get("refusal_agreement")
    more = "" if refusals is None else f", same refusals for {refusals:.1%}"
    return f"same label for {result['label_agreement']:.1%} of {result['n']:,}{more}"


def _latency(measured: Mapping[str, Any] | None) -> str:
    """The shortest time, by the 90th percentile, over the numbers of threads."""
    if not measured:
        return "not measured"
    fastest = min(measured["latencies"], key=lambda one: one["p90"])
    return f"{fastest['p90']:.1f} ms ({fastest['threads']} thread{'' if fastest['threads'] == 1 else 's'})"


def command(run: RunRecord) -> str:
    """Return the command that makes the run again."""
    return shlex.join(["tlkeras", "run", run.recipe, *flags(run.config)])


def flags(config: Mapping[str, Any]) -> list[str]:
    """Return a configuration as flags of the command line; without its recipe and its place."""
    words = []
    for name, value in config.items():
        flag = name.replace("_", "-")
        if name in ("recipe", "output", "resume") or value is None:
            continue
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def not_measured(run: RunRecord) -> dict[str, str]:
    """Return what was not measured, and what it would have said."""
    return {name: why for name, why in NOT_MEASURED.items() if not run.metrics.get(name)}


def data_name(run: RunRecord) -> str:
    """Return the data's name without its folder."""
    data = str(run.config.get("data", ""))
    return Path(data).name or data
