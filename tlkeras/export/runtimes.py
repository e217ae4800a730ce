"""Artefacts in their own runtimes: from a file or folder to a function of one batch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkeras.export.artifact import ArtifactError
from tlkeras.export.metadata import Embedded, read_saved_model, read_tflite

if TYPE_CHECKING:
    from tlkeras.features.litert import LiteRTModel

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""One batch of an artefact's own input (uint8 pictures, int32 token ids or strings) to its outputs by name, float32, a row for
each: the task's output and, where the contract has a `rejection`, the similarity."""


def open_artifact(path: Path, *, threads: int | None = None) -> tuple[Embedded, Run]:
    """Check an exported file or folder and load it into its runtime.

    Args:
        path: What `export_model` wrote.
        threads: Threads that compute, for `.tflite` and `.onnx`; all cores if not given.

    Raises:
        ArtifactError: It is damaged, foreign, or not a model at all.
    """
    if not path.exists():
        raise ArtifactError(f"There is no such artefact. Received: {path}. Give a .tflite file or a saved_model folder.")
    if path.suffix == ".mlpackage":
        raise ArtifactError(f"{path} is a Core ML package, which runs on Apple's systems only. Give another artefact.")
    if path.is_dir():
        _refuse_run(path)
        embedded = read_saved_model(path)
        return embedded, _saved_model(path, embedded)
    if path.suffix == ".onnx":
        from tlkeras.export.onnx_file import load_onnx, run_onnx

        embedded, session = load_onnx(path, threads=threads)
        return embedded, lambda batch: run_onnx(session, embedded.contract, batch)
    embedded = _read_file(path)
    return embedded, _litert(path, embedded, threads)


def _refuse_run(folder: Path) -> None:
    """Name the exports where a folder is a run, or holds exports, and is none itself."""
    models = sorted({*folder.glob("*.tflite"), *(folder / "exports").glob("*.tflite")})
    inside = [str(path) for path in models if ".rejected" not in path.suffixes]
    if inside:
        raise ArtifactError(f"{folder} is a folder with exports, not an export. Give one of them: {', '.join(inside)}")


def _similarity_name(embedded: Embedded) -> tuple[str, ...]:
    """Return the name of the output that says how familiar an input is, where there is one."""
    terms = embedded.contract.get("rejection")
    return (terms["output"],) if terms else ()


def _read_file(path: Path) -> Embedded:
    with path.open("rb") as stream:
        start = stream.read(8)
    if start[4:] != b"TFL3":
        raise ArtifactError(
            f"{path} is not a .tflite model (byte 4 on should read 'TFL3'). Received: {start[4:]!r}. "
            "Give a .tflite file or a saved_model folder that tlkeras exported."
        )
    return read_tflite(path)


def _litert(path: Path, embedded: Embedded, threads: int | None) -> Run:
    from tlkeras.features.litert import load_litert

    model = load_litert(path, threads=threads)
    name, output = embedded.contract["input"]["name"], embedded.contract["output"]["name"]
    missing = {output, *_similarity_name(embedded)} - set(model.outputs)
    if name not in model.inputs or missing:
        raise ArtifactError(
            f"{path} contradicts its own contract: it has no input {name!r} or no output {output!r} or what it refuses by "
            f"(it has {', '.join(model.outputs)}). Export again."
        )
    if "tensors" in embedded.contract["input"]:
        return _one_by_one(model, embedded.contract["input"])
    return lambda batch: model(**{name: batch})


def _one_by_one(model: "LiteRTModel", terms: Mapping[str, Any]) -> Run:
    """Run a model that takes ids, mask and segments of one example of full length."""
    ids, mask, segments = terms["tensors"]
    length, pad = terms["sequence_length"], terms["pad_id"]

    def run(batch: np.ndarray) -> Mapping[str, np.ndarray]:
        full = np.full((len(batch), length), pad, np.int32)
        full[:, : batch.shape[1]] = batch
        there = (full != pad).astype(np.int32)
        rows = ({ids: full[[i]], mask: there[[i]], segments: np.zeros((1, length), np.int32)} for i in range(len(batch)))
        answers = [model(**row) for row in rows]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in model.outputs}

    return run


def read_carried(path: Path) -> Embedded:
    """Read and check what an artefact carries, whatever its form.

    Raises:
        ArtifactError: It is damaged or foreign.
    """
    if path.suffix == ".onnx":
        return open_artifact(path, threads=1)[0]
    return read_saved_model(path) if path.is_dir() else read_tflite(path)


def open_encoded(path: Path) -> tuple[Embedded, Run] | None:
    """Load what a SavedModel offers to servers for picture files: a function of their contents, an array of bytes objects.

    Returns:
        None where the artefact has no such signature.
    """
    if not path.is_dir():
        return None
    embedded = read_saved_model(path)
    return (embedded, _saved_model(path, embedded, encoded=True)) if "encoded" in embedded.contract else None


def _saved_model(path: Path, embedded: Embedded, *, encoded: bool = False) -> Run:
    terms = embedded.contract["encoded" if encoded else "input"]
    signature = _signature(path, embedded, terms.get("signature", "serving_default"), name=terms["name"])
    names = [embedded.contract["output"]["name"], *_similarity_name(embedded)]

    def run(batch: np.ndarray) -> Mapping[str, np.ndarray]:
        found = signature(batch)
        return {one: found[one].numpy() for one in names}

    return run


def _signature(path: Path, embedded: Embedded, which: str, *, name: str | None = None) -> Callable[[np.ndarray], Any]:
    """Load one of the functions of a SavedModel; its argument is the contract's input if no name is given."""
    import tensorflow as tf

    if embedded.contract["input"]["dtype"] == "string":
        import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)
    loaded = tf.saved_model.load(str(path))
    signature, argument = loaded.signatures[which], name or embedded.contract["input"]["name"]

    def run(batch: np.ndarray, keep: Any = loaded) -> Any:  # a signature does not keep its variables alive
        return signature(**{argument: tf.constant(batch)})

    return run
