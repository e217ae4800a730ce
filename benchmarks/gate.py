"""How good is `verify`? Plants defects into good exports and counts those it refuses; and how many clean exports it refuses.

    python benchmarks/gate.py clean_images clean_texts image_files text_files images texts large --results gate.json --table

Small networks, trained on the samples: silhouettes in colours, some of them turned (EXIF) and none of them square, and movie
reviews; 200 test examples. A defect counts as one where the outputs that it moves, measured against the undamaged export of the
same target, move by more than the target may move from Keras: what is less is listed apart, refused or not. Where the undamaged
export of a target is itself refused, nothing is planted into it, because that would prove nothing.

Results are written after every few exports. A part that was stopped goes on where it was when it is called again.
"""

import argparse
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TLKERAS_CACHE", "off")

import gate_defects as defects
import numpy as np
from PIL import Image

import tlkeras as tl
from tlkeras.data.decode import read_pixels
from tlkeras.data.encoded import EncodedColumn
from tlkeras.data.examples import EncodedImages, Examples, Splits, Texts
from tlkeras.data.samples import load_image_sample, load_text_sample
from tlkeras.data.splits import make_splits
from tlkeras.export import metadata, predict
from tlkeras.export.artifact import Artifact
from tlkeras.export.bounds import BOUNDS
from tlkeras.export.targets import export_model
from tlkeras.export.verify import compare_with_keras
from tlkeras.files import write_json
from tlkeras.tasks.model import TransferModel

ALL = ("saved_model", "tflite_float32", "tflite_float16", "tflite_dynamic", "tflite_int8")
TARGETS = {"image": ALL, "text": ALL[:4]}
STEPS = (0, 2)
"""Which targets a defect of the network goes into: those that come so many places after its own."""
Rows = list[dict[str, Any]]
Kinds = set[str]
"""What was done already."""


def pictures(examples: Examples, seed: int) -> Examples:
    """Put silhouettes, in a colour that goes with the class, beside the middle of wide and tall pictures; a third is turned."""
    random = np.random.default_rng(seed)
    contents = []
    for shape, label in zip(examples.store.pixels, examples.labels, strict=True):  # type: ignore[attr-defined]
        hue = np.array([np.sin(label + phase) for phase in (0, 2, 4)]) * 80 + 140 + random.normal(0, 30, 3)
        canvas = random.integers(0, 120, 3) + random.normal(0, 12, (36, 48, 3))
        inked = shape.reshape(28, 28, 1) / 255
        canvas[4:32, 12:40] = canvas[4:32, 12:40] * (1 - inked) + hue * inked
        image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
        exif = Image.Exif()
        if random.random() < 1 / 3:
            image, exif[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6
        image.save(stream := io.BytesIO(), "JPEG", quality=90, exif=exif)
        contents.append(stream.getvalue())
    names = tuple(f"{name}.jpg" for name in examples.ids)
    return replace(examples, store=EncodedImages(EncodedColumn(contents.__getitem__, len(contents)), names))


def data(modality: str, seed: int = 0) -> Splits:
    """Return 400 training, 200 validation and 200 test examples."""
    if modality == "text":
        return load_text_sample("sample:400", seed=seed)
    splits = load_image_sample("sample:400", seed=seed)
    parts = [pictures(part, seed + number) for number, part in enumerate((splits.train, splits.val, splits.test))]
    return make_splits(*parts, splits.classes)


def train(modality: str, splits: Splits, *, seed: int = 0, size: int | None = None, name: str | None = None) -> TransferModel:
    """Return a trained model: pictures from scratch, texts and pre-trained networks by a head in closed form."""
    if modality == "image":
        source = tl.load_image_source(name or "tiny_cnn", image_size=size or 33, seed=seed)
    else:
        source = tl.load_text_source(name or "tiny_bert", sequence_length=size or 32, seed=seed)
    model = tl.build_model(source, splits, seed=seed)
    if modality == "image" and not name:
        phases = tl.plan_phases("from_scratch", epochs=6, learning_rate=3e-3)
    else:
        phases = tl.plan_phases("feature_extraction", epochs=2)
    tl.fit(model, splits, phases, seed=seed)
    return model


def refused(artifacts: Sequence[Artifact], model: TransferModel, examples: Examples) -> dict[Path, str]:
    """Verify and return the reason for each artefact that was refused."""
    try:
        tl.verify(artifacts, model, examples)
    except tl.ParityError as error:
        words = " does not behave as the Keras model that was evaluated: "
        lines = [line.split(words) for line in str(error).splitlines() if words in line]
        if not lines:
            raise
        return {Path(path): reason for path, reason in lines}
    return {}


def export(model: TransferModel, folder: Path, splits: Splits, targets: Sequence[str]) -> tuple[tuple[Artifact, ...], str]:
    """Export, or return why that was refused."""
    try:
        return export_model(model, folder, targets=targets, calibration=splits.train), ""
    except (tl.TlkerasError, ValueError) as error:
        return (), str(error).splitlines()[0]


def answers(artifact: Artifact, examples: Examples) -> np.ndarray | None:
    """Return what an artefact answers, or nothing where it cannot be asked."""
    store = examples.store
    try:
        loaded = predict.load_artifact(artifact.path)
        if isinstance(store, Texts):
            return np.array([one.probabilities for one in predict.predict_texts(loaded, store.texts)])
        return np.array([one.probabilities for one in predict.predict_images(loaded, store.pictures)])  # type: ignore[attr-defined]
    except Exception:
        return None


def effect(target: str, right: np.ndarray, wrong: np.ndarray | None) -> dict[str, Any]:
    """Say how far a defect moves the outputs, and whether the bounds of its target allow that much."""
    if wrong is None or wrong.shape != right.shape or not np.isfinite(wrong).all():
        return {"largest": None, "mean": None, "changed": None, "allowed": False}
    moved, bounds = np.abs(wrong - right).max(axis=1), BOUNDS[target]
    changed = float((wrong.argmax(axis=1) != right.argmax(axis=1)).mean())
    allowed = moved.max() <= bounds.largest and moved.mean() <= bounds.mean and changed <= bounds.changed
    return {"largest": float(moved.max()), "mean": float(moved.mean()), "changed": changed, "allowed": bool(allowed)}


class Gate:
    """A right model, its exports, and what was found of the wrong ones."""

    def __init__(self, modality: str, model: TransferModel, splits: Splits, folder: Path):
        """Export the right model and ask it everything."""
        self.modality, self.model, self.splits, self.folder = modality, model, splits, folder
        artifacts, _ = export(model, folder / "right", splits, TARGETS[modality])
        bad = refused(artifacts, model, splits.test)
        self.left_out = {one.target: bad[one.path] for one in artifacts if one.path in bad}
        self.right = {one.target: one for one in artifacts if one.path not in bad}
        self.answers = {target: answers(artifact, splits.test) for target, artifact in self.right.items()}
        self.planted: list[tuple[str, Artifact]] = []
        self.rows: Rows = []
        self.count = 0

    def add(self, kind: str, plant: defects.Plant, targets: Sequence[str] | None = None) -> None:
        """Plant a defect into a model and export it."""
        targets = [target for target in targets or self.right if target in self.right]
        if not targets:
            return
        folder = self.folder / str(self.count + len(self.rows) + len(self.planted))
        artifacts, reason = export(plant(self.model), folder, self.splits, targets)
        self.planted += [(kind, artifact) for artifact in artifacts]
        if not artifacts:
            self.rows += [self._row(kind, target, reason, {"allowed": False}) for target in targets]

    def add_file(self, kind: str, target: str, content: bytes) -> None:
        """Put a changed file in the place of a right one."""
        path = self.folder / str(self.count + len(self.rows) + len(self.planted)) / self.right[target].path.name
        path.parent.mkdir()
        path.write_bytes(content)
        self.planted.append((kind, replace(self.right[target], path=path)))

    def finish(self) -> Rows:
        """Verify what was planted since, in one call, and return a row for each."""
        # The right float32 file first: the constants of all others are held against it, so that it is not converted again.
        first = [self.right["tflite_float32"]] if "tflite_float32" in self.right else []
        reasons = refused([*first, *(artifact for _, artifact in self.planted)], self.model, self.splits.test)
        for kind, artifact in self.planted:
            moved = effect(artifact.target, self.answers[artifact.target], answers(artifact, self.splits.test))
            if kind.startswith(("contract", "label", "vocab.txt", "bytes", "similarity")):
                moved["allowed"] = False  # an app reads them, or refuses by them, whatever the probabilities do
            self.rows.append(self._row(kind, artifact.target, reasons.get(artifact.path, ""), moved))
        found, self.rows, self.planted = self.rows, [], []
        self.count += len(found)
        return found

    def _row(self, kind: str, target: str, reason: str, moved: Mapping[str, Any]) -> dict[str, Any]:
        row = {"modality": self.modality, "source": self.model.source.name, "kind": kind, "target": target}
        return {**row, "refused": reason, **moved}


def plant_files(gate: Gate) -> None:
    """Change what travels with the LiteRT models, and the files themselves."""
    changes = {
        **defects.FILES,
        **defects.REJECTION,
        **(defects.IMAGE_FILES if gate.modality == "image" else defects.TEXT_FILES),
    }
    for target in [target for target in gate.right if target != "saved_model"]:
        path = gate.right[target].path
        embedded = metadata.read_tflite(path)
        content = path.read_bytes()
        for kind, change in defects.BYTES.items():
            gate.add_file(kind, target, change(content))
        size = embedded.contract["model"]["size_bytes"]
        more = defects.INT8_FILES if "scale" in embedded.contract["output"] else {}
        for kind, alter in {**changes, **more}.items():
            gate.add_file(kind, target, metadata.seal_tflite(*alter((content[:size], embedded.contract, embedded.files))))


def plant_calibration(gate: Gate) -> None:
    """Calibrate int8 on examples that are no examples."""
    train, right = gate.splits.train, gate.splits
    pixels = read_pixels(train.store, gate.model.source.input_size)
    random = np.random.default_rng(0)
    stores = {
        "zeros": pixels * 0,
        "one picture": np.repeat(pixels[:1], len(pixels), axis=0),
        "0 to 1": (pixels > 127).astype(np.uint8),
        "a 16th of the brightness": pixels // 16,
        "a quarter of the brightness": pixels // 4,
        "noise": random.integers(0, 256, pixels.shape).astype(np.uint8),
        "one class": pixels[train.labels == 0],
    }
    for kind, chosen in stores.items():
        part = Examples(np.arange(len(chosen)).astype(str), tl.ImageArrays(chosen), train.take(np.arange(len(chosen))).targets)
        gate.splits = replace(right, train=part)
        gate.add(f"calibration: {kind}", lambda model: model, ["tflite_int8"])
    gate.splits = right


def plant_flex(gate: Gate) -> None:
    """Put operations into the network that LiteRT lacks."""
    import keras

    def quantile(x: Any) -> Any:
        return x + 0.01 * keras.ops.erfinv(x * 0.5)

    def inverse(x: Any) -> Any:
        eye = keras.ops.eye(x.shape[-1])
        return keras.ops.matmul(x, keras.ops.inv(eye + keras.ops.sum(x) * 0.01 * eye))

    for kind, change in {"erfinv": quantile, "inverse": inverse}.items():
        litert = [target for target in gate.right if target != "saved_model"]
        gate.add(f"Flex op: {kind}", lambda model, change=change: defects.after(model, change), litert)


def plant_readers(gate: Gate) -> None:
    """Read pictures wrongly: in the reader of an app, and in the graph of a SavedModel."""
    from tlkeras.export import decode_graph

    right = predict.decode_image
    for kind, mistake in defects.READERS.items():

        def read(data: bytes, size: int, *, resize: str = "crop", mistake: Any = mistake) -> np.ndarray:
            return right(mistake(data), size, resize=resize)

        predict.decode_image = read
        try:
            reasons = refused(list(gate.right.values()), gate.model, gate.splits.test)
            for target, artifact in gate.right.items():
                moved = effect(target, gate.answers[target], answers(artifact, gate.splits.test))
                # The test pictures have neither transparency nor 16 bits, and users' pictures do.
                moved["allowed"] &= "rotation" in kind
                gate.rows.append(gate._row(f"reader: {kind}", target, reasons.get(artifact.path, ""), moved))
        finally:
            predict.decode_image = right
    if "saved_model" not in gate.right:
        return
    orientation = decode_graph._orientation
    decode_graph._orientation = lambda data: __import__("tensorflow").constant(1)
    try:
        (artifact,), _ = export(gate.model, gate.folder / "unturned", gate.splits, ["saved_model"])
    finally:
        decode_graph._orientation = orientation
    reason = refused([artifact], gate.model, gate.splits.test).get(artifact.path, "")
    gate.rows.append(gate._row("reader: rotation ignored by the server's graph", "saved_model", reason, {"allowed": False}))


def plant_into_files(modality: str, folder: Path, done: Kinds) -> Iterator[Rows]:
    """Plant into the files of one calibrated model, what it compares inputs with, the reader and int8's calibration."""
    splits = data(modality)
    gate = Gate(modality, tl.calibrate(train(modality, splits), splits), splits, folder)
    if "labels.txt: reversed" not in done:
        plant_files(gate)
        for kind, plant in defects.SIMILARITY.items():
            gate.add(kind, plant)
        yield gate.finish()
    if modality == "image" and "calibration: one class" not in done:
        plant_readers(gate)
        plant_calibration(gate)
        yield gate.finish()


def plant_into_networks(modality: str, folder: Path, done: Kinds) -> Iterator[Rows]:
    """Plant into the network or how it reads, before the conversion, into some of the targets in turn."""
    splits = data(modality)
    gate = Gate(modality, train(modality, splits), splits, folder)
    kinds = {**defects.SHARED, **(defects.IMAGES if modality == "image" else defects.TEXTS)}
    kinds["stale: another network"] = lambda model: train(modality, splits, seed=7)
    kinds["stale: another split"] = lambda model: train(modality, data(modality, 3))
    targets = list(gate.right)
    for number, (kind, plant) in enumerate(kinds.items()):
        if kind not in done:
            gate.add(kind, plant, [targets[(number + step) % len(targets)] for step in STEPS])
        if number % 5 == 4 and (gate.planted or gate.rows):
            yield gate.finish()
    plant_flex(gate)
    yield gate.finish()


def clean(modality: str, folder: Path, done: Kinds, *, count: int) -> Iterator[Rows]:
    """Export and verify models of many seeds, sizes and numbers of classes, all of them right."""
    whole = data(modality)
    for seed in range(count):
        classes = 5 + seed % 6 if modality == "image" else 2
        size = (32 + 3 * (seed % 8)) if modality == "image" else (16 + 8 * (seed % 4))
        kind = f"clean, seed {seed}, size {size}, {classes} classes"
        if kind not in done:
            splits = _fewer(whole, classes)
            yield _clean(train(modality, splits, seed=seed, size=size), folder / str(seed), splits, kind)


def large(folder: Path, done: Kinds) -> Iterator[Rows]:
    """Export and verify pre-trained networks of useful sizes, all of them right."""
    for modality, name, size in (("image", "efficientnet_lite0", 97), ("text", "minilm_l6", 32)):
        if f"clean, {name}" not in done:
            splits = data(modality)
            yield _clean(train(modality, splits, name=name, size=size), folder / name, splits, f"clean, {name}")


def _clean(model: TransferModel, folder: Path, splits: Splits, kind: str) -> Rows:
    model = tl.calibrate(model, splits, smallest=50)  # as recipes do, so that each form has its second output
    artifacts, _ = export(model, folder, splits, TARGETS[model.modality])
    row = {"modality": model.modality, "source": model.source.name, "kind": kind}
    found = compare_with_keras(artifacts, model, splits.test)
    shutil.rmtree(folder)
    numbers = ("label_agreement", "max_difference", "mean_difference", "shift", "refusal_agreement", "similarity_difference")
    return [
        {**row, "target": one.target, "refused": one.problem, **{name: getattr(one, name) for name in numbers}} for one in found
    ]


def _fewer(splits: Splits, classes: int) -> Splits:
    if classes == len(splits.classes):
        return splits
    parts = [part.take(np.flatnonzero(part.labels < classes)) for part in (splits.train, splits.val, splits.test)]
    return make_splits(*parts, splits.classes[:classes])


PARTS: dict[str, Callable[[Path, Kinds], Iterator[Rows]]] = {
    "clean_images": partial(clean, "image", count=32),
    "clean_texts": partial(clean, "text", count=10),
    "image_files": partial(plant_into_files, "image"),
    "text_files": partial(plant_into_files, "text"),
    "images": partial(plant_into_networks, "image"),
    "texts": partial(plant_into_networks, "text"),
    "large": large,
}


def table(parts: Mapping[str, Any]) -> str:
    """Return the counts as Markdown."""
    lines = ["| part | target | judged | refused | share | apart | let through |", "|---|---|---:|---:|---:|---:|---|"]
    planted = {name: part["rows"] for name, part in parts.items() if "clean" not in name and name != "large"}
    clean_rows = {name: part["rows"] for name, part in parts.items() if name not in planted}
    for name, found in {**planted, "all parts": list(chain(*planted.values()))}.items():
        for target in (*ALL, "all"):
            rows = [row for row in found if target in (row["target"], "all")]
            judged = [row for row in rows if not row["allowed"]]
            through = "; ".join(sorted({row["kind"] for row in judged if not row["refused"]}))
            lines.append(_line(name, target, judged, f"{len(rows) - len(judged)} | {through}"))
    lines += ["", "| part | target | exports | refused | share | of these for lost accuracy |", "|---|---|---:|---:|---:|---:|"]
    for name, found in {**clean_rows, "all parts": list(chain(*clean_rows.values()))}.items():
        for target in (*ALL, "all"):
            rows = [row for row in found if target in (row["target"], "all")]
            lines.append(_line(name, target, rows, str(sum("lower by" in row["refused"] for row in rows))))
    return "\n".join(lines)


def _line(name: str, target: str, rows: Rows, rest: str) -> str:
    stopped = sum(bool(row["refused"]) for row in rows)
    return f"| {name} | {target} | {len(rows)} | {stopped} | {stopped / max(1, len(rows)):.1%} | {rest} |"


def main() -> None:
    """Run the chosen parts, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    results = json.loads(options.results.read_text()) if options.results.exists() else {}
    for name in options.parts:
        known = results.get(name, {"seconds": 0, "rows": []})
        started, rows = time.process_time(), list(known["rows"])
        with tempfile.TemporaryDirectory() as folder:
            for found in PARTS[name](Path(folder), {row["kind"] for row in rows}):
                rows += found
                seconds = known["seconds"] + round(time.process_time() - started)
                results[name] = {"seconds": seconds, "rows": rows}
                write_json(options.results, results)
    if options.table:
        print(table(results))


if __name__ == "__main__":
    main()
