"""TensorBoard and MLflow get the numbers of a run: what `TLKERAS_TRACK` names, as in `tensorboard,mlflow`."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tlkeras.errors import unknown
from tlkeras.report.run_record import RunRecord

VARIABLE = "TLKERAS_TRACK"
FOLDER = "tensorboard"


def track(run: RunRecord) -> None:
    """Hand the epochs and the test measures of a run to the trackers that `TLKERAS_TRACK` names; to none if it is not set.

    TensorBoard's files go to `tensorboard/` in the run folder. MLflow's go where `MLFLOW_TRACKING_URI` says, in the experiment
    `MLFLOW_EXPERIMENT_NAME`, both as MLflow reads them, with the configuration as parameters and the report as an artifact.

    Raises:
        ValueError: The variable names something else.
        ImportError: A tracker is not installed; the message is the line that installs it.
    """
    for name in filter(None, (word.strip() for word in os.environ.get(VARIABLE, "").split(","))):
        if name not in TRACKERS:
            raise unknown(f"tracker in {VARIABLE}", name, TRACKERS, ", ".join(TRACKERS))
        try:
            TRACKERS[name](run)
        except ModuleNotFoundError as error:
            raise ImportError(f"{VARIABLE}={name} needs {error.name}: pip install 'tlkeras[tracking]'") from error


def _epochs(run: RunRecord) -> Iterator[tuple[int, dict[str, float]]]:
    """The rows of the history by a number that counts over all phases, from 1 on."""
    for step, row in enumerate(run.history, 1):
        yield step, {name: value for name, value in ((key, _number(cell)) for key, cell in row.items()) if value is not None}


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _measures(run: RunRecord) -> dict[str, float]:
    found: Mapping[str, Mapping[str, Any]] = run.metrics.get("test") or {}
    return {f"test_{name}": one["value"] for name, one in found.items() if one["value"] is not None}


def _tensorboard(run: RunRecord) -> None:
    from tensorboard.summary import Writer

    writer = Writer(str(run.path / FOLDER))
    for step, row in _epochs(run):
        for name, value in row.items():
            writer.add_scalar(name, value, step)
    for name, value in _measures(run).items():
        writer.add_scalar(name, value, len(run.history))
    writer.close()


def _mlflow(run: RunRecord) -> None:
    import mlflow

    with mlflow.start_run(run_name=f"{run.recipe} {run.path.name}"):
        mlflow.log_params({name: value for name, value in run.config.items() if value is not None})
        for step, row in _epochs(run):
            mlflow.log_metrics(row, step=step)
        mlflow.log_metrics(_measures(run))
        mlflow.set_tag("verdict", run.metrics.get("verdict") or "")
        if (run.path / "report.html").exists():
            mlflow.log_artifact(str(run.path / "report.html"))


TRACKERS: dict[str, Callable[[RunRecord], None]] = {"tensorboard": _tensorboard, "mlflow": _mlflow}
