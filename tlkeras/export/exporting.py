"""Export the model of a finished run into its folder, verify it, and keep a file that is refused apart."""

import json
from collections.abc import Sequence

from tlkeras.export.apart import set_apart
from tlkeras.export.artifact import Artifact, Parity
from tlkeras.export.finished import FinishedRun
from tlkeras.export.targets import export_model
from tlkeras.export.verify import compare_with_keras
from tlkeras.files import plain, write_json

FOLDER, PARITY = "exports", "parity.json"
QUANTIZED = {"none": "tflite_float32", "float16": "tflite_float16", "dynamic": "tflite_dynamic", "int8": "tflite_int8"}


def target_name(form: str, quantize: str, *, for_mediapipe: bool = False) -> str:
    """Return the target for what `--format`, `--quantize` and `--for` say.

    Raises:
        ValueError: The form cannot be quantized, or not for MediaPipe.
    """
    if for_mediapipe:
        allowed = {"none": "mediapipe_float32", "dynamic": "mediapipe_dynamic"}
        if form != "tflite" or quantize not in allowed:
            raise ValueError(f"For MediaPipe: --format tflite, --quantize {' or '.join(allowed)}. Received: {form}, {quantize}")
        return allowed[quantize]
    if form == "tflite":
        return QUANTIZED[quantize]
    if quantize != "none":
        raise ValueError(f"Only tflite is quantized. Received: --format {form} --quantize {quantize}. Leave --quantize out.")
    return form


def export_run(
    run: FinishedRun, targets: Sequence[str], *, max_drop: float | None = None
) -> tuple[tuple[Artifact, ...], tuple[Parity, ...]]:
    """Write a run's model in more forms into `exports/`, and compare each with Keras on the run's test examples.

    Files of other targets stay, and so do their lines in `metadata.json` and `parity.json`. A file that is refused is renamed
    to `*.rejected.tflite` (a folder to `*.rejected`), so that nobody ships it by mistake, and has no line in `metadata.json`.

    Args:
        run: What `load_run` returned.
        targets: Names from `TARGETS`.
        max_drop: See `verify`.

    Returns:
        The artefacts and their comparisons, in the order of the targets.
    """
    folder = run.path / FOLDER
    train, val = run.splits.train, run.splits.val
    artifacts = export_model(
        run.model, folder, targets=targets, calibration=train, validation=val, max_drop=max_drop, keep=True
    )
    parity = compare_with_keras(artifacts, run.model, run.splits.test, max_drop=max_drop)
    file = run.path / PARITY
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    write_json(file, {**known, **{result.target: plain(result) for result in parity}})
    set_apart(artifacts, parity)
    return artifacts, parity
