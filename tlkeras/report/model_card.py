"""The model card of a run, `README.md` in the format of the Hugging Face hub, filled only with what was measured."""

import re
from pathlib import Path
from typing import Any

import yaml

from tlkeras.report import run_values
from tlkeras.report.in_words import in_words
from tlkeras.report.numbers import facts, interval, is_share, number, words
from tlkeras.report.run_record import RunRecord
from tlkeras.sources.catalog import SourceRow, list_sources

_PIPELINES = {("image", "classification"): "image-classification", ("text", "classification"): "text-classification"}
_SPECIAL = re.compile(r"([\\`*{}\[\]<>#|~]|(?<!\w)_|_(?!\w))")


def render_card(run: RunRecord) -> str:
    """Return the model card of a run as Markdown with a head of YAML."""
    import jinja2

    # Markdown, no HTML: `finalize` escapes every value.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=as_markdown,
    )
    environment.filters["plain"] = _Plain
    test, exports = run.metrics.get("test") or {}, run_values.exports(run)
    card = environment.get_template("model_card.md.j2").render(
        run=run,
        data=run_values.data_name(run),
        headline=run_values.headline(run),
        measures=[(words(name), *_texts(name, one), one["n"]) for name, one in test.items()],
        nulls=[(name, *_texts(next(iter(test), ""), one)) for name, one in (run.metrics.get("nulls") or {}).items()],
        classes=run_values.worst_classes(run),
        slices=run_values.slices(run.metrics.get("slices") or [])[:10],
        exports=exports,
        phone=next((row["path"] for row in exports if row["passed"] and row["path"].endswith(".tflite")), ""),
        evidence={name: _evidence(run, name) for name in _EVIDENCE if run.metrics.get(name)},
        words=in_words(run.metrics),
        missing=run_values.not_measured(run),
        versions=run.environment.get("versions") or {},
        source=source_facts(run.source),
        command=run_values.command(run).replace("`", "'"),
    )
    return f"---\n{_head(run)}---\n\n{card.strip()}\n".encode("utf-8", "backslashreplace").decode()


_EVIDENCE = ("thresholds", "calibration", "rejection", "fairness", "robustness", "forgetting", "privacy")


class _Plain(str):
    """Text that is to stand as it is, inside a fence."""


def as_markdown(value: object) -> object:
    """Return a value as Markdown that shows it as it is: no markup, no HTML, one line."""
    if isinstance(value, _Plain) or not isinstance(value, str):
        return value
    return _SPECIAL.sub(r"\\\1", re.sub(r"\s*[\r\n\v\f\x85\u2028\u2029]\s*", " ", value))


def source_facts(name: str) -> SourceRow | None:
    """Return what the table of source models says of one; None for a network of the user's own."""
    return next((row for row in list_sources() if row.name == name), None)


def _texts(name: str, measure: Any) -> tuple[str, str]:
    share = is_share(name)
    return number(measure["value"], share=share), interval(measure, share=share)


def _evidence(run: RunRecord, name: str) -> list[tuple[str, str]]:
    if name == "robustness":  # a line for each corruption, by strength
        rows = run_values.robustness(run)
        return [(row["corruption"], ", ".join(f"{one}: {value}" for one, value in row["values"].items())) for row in rows]
    return list(facts(_in_short(run.metrics[name])))


def _in_short(value: Any) -> Any:
    """Leave out what a card is too short for: the bars of a reliability diagram, and slices, which the report shows."""
    if isinstance(value, dict):
        return {name: _in_short(part) for name, part in value.items() if name not in ("bins", "slices_before")}
    return value


def _head(run: RunRecord) -> str:
    """The head that the hub reads: https://huggingface.co/docs/hub/model-cards."""
    pipeline = _PIPELINES.get((run.modality, run.task))
    test = run.metrics.get("test") or {}
    head: dict[str, Any] = {"library_name": "keras", "tags": ["tlkeras", "transfer-learning", "litert"]}
    if pipeline:
        head["pipeline_tag"] = pipeline
        head["metrics"] = list(test)
        head["model-index"] = [
            {
                "name": run_values.data_name(run),
                "results": [
                    {
                        "task": {"type": pipeline},
                        "dataset": {"name": run_values.data_name(run), "type": run_values.data_name(run), "split": "test"},
                        "metrics": [{"type": name, "value": round(one["value"], 4)} for name, one in test.items()],
                    }
                ],
            }
        ]
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
