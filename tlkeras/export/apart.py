"""Keep an export that was refused apart from those that are good, so that nobody ships it by mistake."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkeras.errors import ParityError
from tlkeras.export import metadata
from tlkeras.export.artifact import Artifact, Parity
from tlkeras.export.bounds import may_lose
from tlkeras.export.verify import compare_with_keras, complaint, save_parity
from tlkeras.files import write_file

if TYPE_CHECKING:
    from tlkeras.data.examples import Examples
    from tlkeras.tasks.model import TransferModel


def verify_each(
    artifacts: Sequence[Artifact],
    model: "TransferModel",
    examples: "Examples",
    *,
    max_drop: float | None = None,
    output: str | Path | None = None,
) -> tuple[tuple[Artifact, ...], tuple[Parity, ...]]:
    """Verify as `verify` does, but let no quantised form that lost too much spoil the others.

    Such a file is renamed to `*.rejected.tflite` and leaves `metadata.json`; `finish_run` ends the run and then raises.

    Args:
        artifacts: What `export_model` returned.
        model: The model they were exported from.
        examples: What to compare on, usually the test split.
        max_drop: See `verify`.
        output: A file for the results, JSON; written before a failure is raised.

    Returns:
        The artefacts that passed, and the comparisons of all.

    Raises:
        ParityError: A form that may not lose anything (float32, SavedModel) differs, or there is nothing to compare with.
    """
    parity = compare_with_keras(artifacts, model, examples, max_drop=max_drop)
    if output is not None:
        save_parity(parity, output)
    pairs = list(zip(artifacts, parity, strict=True))
    different = [pair for pair in pairs if not pair[1].passed and not may_lose(pair[1].target)]
    if different:
        raise ParityError("\n".join(complaint(*pair) for pair in different))
    set_apart(artifacts, parity)
    return tuple(artifact for artifact, result in pairs if result.passed), parity


def require_parity(artifacts: Sequence[Artifact], parity: Sequence[Parity]) -> None:
    """Raise where an export was refused.

    Raises:
        ParityError: With what is wrong, the worst examples and where the file is now.
    """
    pairs = [(artifact, result) for artifact, result in zip(artifacts, parity, strict=True) if not result.passed]
    if pairs:
        lines = [f"{complaint(artifact, result)}\nIt was renamed to {rejected(artifact.path)}." for artifact, result in pairs]
        raise ParityError("\n".join(lines))


def rejected(path: Path) -> Path:
    """Return the name that a refused artefact gets."""
    return path.with_name(f"{path.stem}.rejected{path.suffix}")


def set_apart(artifacts: Sequence[Artifact], parity: Sequence[Parity]) -> None:
    """Rename what was refused and take it out of `metadata.json`; an earlier one goes where its successor passed."""
    for artifact, result in zip(artifacts, parity, strict=True):
        if not result.passed:
            write_file(rejected(artifact.path), artifact.path.rename)
        elif rejected(artifact.path).is_dir():
            shutil.rmtree(rejected(artifact.path))
        else:
            rejected(artifact.path).unlink(missing_ok=True)
    refused = {result.target for result in parity if not result.passed}
    if refused:
        summary = artifacts[0].path.parent / metadata.CONTRACT
        terms = json.loads(summary.read_text(encoding="utf-8"))
        terms["artifacts"] = [entry for entry in terms["artifacts"] if entry["target"] not in refused]
        write_file(summary, lambda path: path.write_bytes(metadata.to_json(terms)))
