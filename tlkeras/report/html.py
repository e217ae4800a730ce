"""The report of a run: `report.html`, one file that a stranger understands, and `README.md`, the model card."""

from pathlib import Path

from tlkeras.files import write_text
from tlkeras.report import run_values
from tlkeras.report.gallery import gallery
from tlkeras.report.in_words import in_words
from tlkeras.report.model_card import render_card, source_facts
from tlkeras.report.numbers import facts, number
from tlkeras.report.page import picture_address, render_page
from tlkeras.report.run_record import RunRecord, read_run
from tlkeras.report.tracking import track
from tlkeras.runs import Run

PICTURES = ("confusion_matrix", "predicted", "curves", "slices", "calibration", "robustness", "training", "augmentation")
WORST = 5
"""Classes and slices that are shown at once; the others unfold."""


def write_report(run: Run | str | Path) -> Path:
    """Write `report.html` and `README.md` (a model card in Hugging Face's format) into a run folder.

    Both are made from the files of the folder alone, show what was measured, and name what was not. The page is whole in one
    file: no network, no script. The numbers of a run that is just being made also go to the trackers that `TLKERAS_TRACK`
    names, see `tlkeras.report.tracking`.

    Args:
        run: A run, or its folder; it must have been evaluated.

    Returns:
        The path of the page.

    Raises:
        ValueError: It is no run folder, or the run was not evaluated.
        TlkerasError: A file in it is damaged.
    """
    record = read_run(run.path if isinstance(run, Run) else run)
    write_text(record.path / "README.md", render_card(record))
    page = record.path / "report.html"
    write_text(page, render_report(record))
    if isinstance(run, Run):
        track(record)
    return page


def render_report(run: RunRecord) -> str:
    """Return the report of a run as a page of HTML."""
    versions = {name: version for name, version in (run.environment.get("versions") or {}).items() if version}
    forgetting = run.metrics.get("forgetting") or {}
    return render_page(
        "report.html.j2",
        run=run,
        data=run_values.data_name(run),
        verdict=run.metrics.get("verdict") or "No comparison with what needs no transfer was made.",
        headline=run_values.headline(run),
        measures=run_values.other_measures(run),
        classes=run_values.worst_classes(run),
        slices=run_values.slices(run.metrics.get("slices") or []),
        fairness=run.metrics.get("fairness") or [],
        gallery=gallery(run),
        words=in_words(run.metrics),
        calibration=_calibration(run),
        rejection=list(facts(run.metrics.get("rejection") or {})),
        robustness=run_values.robustness(run),
        forgetting=list(facts({name: value for name, value in forgetting.items() if name != "slices_before"})),
        slices_before=run_values.slices(forgetting.get("slices_before") or []),
        privacy=list(facts(run.metrics.get("privacy") or {})),
        thresholds=list(facts(run.metrics.get("thresholds") or {})),
        pictures={name: picture_address(run.path, f"{name}.png") for name in PICTURES},
        exports=run_values.exports(run),
        source=_source(run.source),
        command=run_values.command(run),
        versions=versions,
        missing=run_values.not_measured(run),
        worst=WORST,
        number=number,
    )


def _source(name: str) -> list[tuple[str, str]]:
    """What is known of a source model: the model can be no better than what it learnt there, and no less biased."""
    found = source_facts(name)
    if found is None:
        return []
    return [
        ("trained on", found.source_data or "nothing: its weights are random"),
        ("its task there", found.source_task or "none"),
        ("accuracy there", found.accuracy or "not stated"),
        ("regularised by", found.regularization or "not stated"),
        ("parameters", f"{found.parameters:,}"),
        ("licence", found.licence),
    ]


def _calibration(run: RunRecord) -> list[tuple[str, str]]:
    """The numbers of a calibration, without its bins, which the picture shows."""
    found = dict(run.metrics.get("calibration") or {})
    after = dict(found.pop("after", None) or {})
    for one in (found, after):
        one.pop("bins", None)
    return [*facts(found), *facts(after, "after scaling")]
