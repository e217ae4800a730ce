"""Does `verify` refuse a defect of each kind? `benchmarks/gate.py` plants them all, at graded strengths."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks import gate_defects as defects
from tests.export_models import exported_images, exported_texts, image_examples, image_model, text_examples, text_model
from tests.faults.export_catalogue import EXPORT_FAULTS
from tests.faults.test_catalogue import functions
from tlkeras.data import decode
from tlkeras.data.encoded import EncodedColumn
from tlkeras.data.examples import EncodedImages
from tlkeras.errors import ParityError, TlkerasError
from tlkeras.export import metadata, predict
from tlkeras.export.targets import export_model
from tlkeras.export.verify import verify

PICTURES = {
    "outputs: two swapped": "tflite_float32",
    "outputs: logits, no softmax": "tflite_float16",
    "constant model": "saved_model",
    "channels: BGR": "tflite_float32",
    "scaling: x 0.9": "tflite_float16",
    "offset: +5": "tflite_float32",
    "resize: squash instead of crop": "tflite_float32",
    "size: half": "tflite_float16",
    "weights: NaN": "tflite_float32",
    "weights: one channel empty": "saved_model",
    "weights: noise 5%": "tflite_float32",
}
FILES = {**defects.FILES, **defects.IMAGE_FILES}


def refused(artifacts, model, examples):
    """Return what `verify` says of each artefact that it refuses, by path."""
    try:
        verify(artifacts, model, examples)
    except ParityError as error:
        lines = [line.split(" does not behave ", 1) for line in str(error).splitlines() if " does not behave " in line]
        return dict(lines)
    return {}


def reseal(artifact, change, path):
    """Write a LiteRT file again with changed parts, sealed as carefully as a right one."""
    embedded = metadata.read_tflite(artifact.path)
    size = embedded.contract["model"]["size_bytes"]
    parts = change((artifact.path.read_bytes()[:size], embedded.contract, embedded.files))
    path.write_bytes(metadata.seal_tflite(*parts))
    return replace(artifact, path=path)


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """Plant everything and verify it in one call: the reason by kind, empty where a defect was let through."""
    folder, right = tmp_path_factory.mktemp("gate"), exported_images()[1]
    planted = {}
    for number, (kind, target) in enumerate(PICTURES.items()):
        wrong = {**defects.SHARED, **defects.IMAGES}[kind](image_model())
        (planted[kind],) = export_model(wrong, folder / str(number), targets=[target])
    for number, (kind, change) in enumerate(FILES.items()):
        planted[kind] = reseal(right, change, folder / f"{number}.tflite")
    for number, (kind, spoil) in enumerate(defects.BYTES.items()):
        planted[kind] = replace(right, path=folder / f"bytes_{number}.tflite")
        planted[kind].path.write_bytes(spoil(right.path.read_bytes()))
    reasons = refused([*planted.values(), right], image_model(), image_examples())
    assert str(right.path) not in reasons
    return {kind: reasons.get(str(artifact.path), "") for kind, artifact in planted.items()}


@pytest.mark.parametrize("kind", [*PICTURES, *FILES, *defects.BYTES])
def test_one_defect_of_each_kind_is_refused(gate, kind):
    assert gate[kind]


def test_defects_in_what_texts_carry_are_refused(tmp_path):
    right = exported_texts()[1]
    changes = {**defects.FILES, **defects.TEXT_FILES}
    planted = [reseal(right, change, tmp_path / f"{number}.tflite") for number, change in enumerate(changes.values())]
    reasons = refused([*planted, right], text_model(), text_examples())
    assert set(reasons) == {str(artifact.path) for artifact in planted}


def test_operations_that_litert_lacks_are_refused_at_conversion(tmp_path):
    import keras

    wrong = defects.after(image_model(), lambda x: x + keras.ops.erfinv(x / 2) / 100)
    with pytest.raises(TlkerasError, match=r"LiteRT has no operation for Erfinv.*'saved_model' only"):
        export_model(wrong, tmp_path, targets=["tflite_float32"])
    assert not list(tmp_path.glob("*.tflite"))


def test_examples_of_another_kind_do_not_calibrate(tmp_path):
    with pytest.raises(ValueError, match=r"reads images\. Received: texts"):
        export_model(image_model(), tmp_path, targets=["tflite_int8"], calibration=text_examples())
    assert not list(tmp_path.glob("*.tflite"))


def turned(examples):
    """Return the pictures as JPEG files that are upright only after their orientation is applied."""
    contents = []
    for pixels in examples.store.pixels:
        exif = Image.Exif()
        exif[0x0112] = 6
        shaded = (pixels * np.linspace(0, 1, pixels.shape[1])[None, :, None]).astype(np.uint8)
        Image.fromarray(shaded).save(stream := io.BytesIO(), "JPEG", exif=exif)
        contents.append(stream.getvalue())
    names = tuple(f"{number}.jpg" for number in range(len(contents)))
    return replace(examples, store=EncodedImages(EncodedColumn(contents.__getitem__, len(contents)), names))


def test_a_reader_that_ignores_the_orientation_is_noticed(monkeypatch):
    right, examples = exported_images()[1], turned(image_examples())
    assert not refused([right], image_model(), examples)

    def unturned(data, size, *, resize="crop"):
        return decode.resize_pixels(np.asarray(Image.open(io.BytesIO(data))), size, resize=resize)

    monkeypatch.setattr(predict, "decode_image", unturned)
    assert "probabilities differ" in refused([right], image_model(), examples)[str(right.path)]


@pytest.mark.parametrize("number", EXPORT_FAULTS)
def test_the_tests_of_a_fault_of_exports_exist(number):
    for name in EXPORT_FAULTS[number].tests:
        module, _, function = name.partition("::")
        assert function in functions(module), name


def test_every_fault_of_exports_has_a_place():
    assert sorted(EXPORT_FAULTS) == list(range(105, 119))
