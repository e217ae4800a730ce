"""What `tlkeras check` does: a check with its files written."""

from collections.abc import Callable
from pathlib import Path

from tlkeras.data.columns import TableOptions
from tlkeras.report.check import CheckReport, check_data
from tlkeras.report.check_files import save_check
from tlkeras.report.check_settings import CheckSettings
from tlkeras.runs import ROOT


def check_and_save(
    data: str, settings: CheckSettings, *, on_progress: Callable[[str, int, int], None] | None = None
) -> tuple[CheckReport, Path]:
    """Check data, write the report, and return it with the folder it lies in.

    Raises:
        ValueError: There is no such data.
        TlkerasError: See `check_data`.
    """
    report = check_data(
        data,
        modality={"pictures": "image", "texts": "text", None: None}[settings.kind],
        options=TableOptions(
            inputs=settings.image_column or settings.text_column,
            labels=settings.label_column,
            split=settings.split_column,
            group=settings.group_column,
            time=settings.time_column,
            target=settings.target,
            separator=settings.label_separator,
            encoding=settings.encoding,
        ),
        splits=settings.splits,
        quarantine=settings.quarantine,
        source=settings.source,
        sequence_length=settings.sequence_length,
        deep=settings.deep,
        personal=settings.personal,
        region=settings.region,
        on_progress=on_progress,
    )
    folder = settings.output or ROOT / "check" / (Path(data).expanduser().resolve().name or "data")
    save_check(report, folder)
    return report, folder
