"""Exports in 8 bits: what calibrates them, whether they are what they say, and that defects in them are caught."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from tests.export_models import (
    SIZE,
    exported_images,
    exported_small,
    image_examples,
    image_model,
    reference,
    text_examples,
    text_model,
    write_pictures,
)
from tests.test_export_verify import constant_head, image_defect
from tlkeras.data.decode import read_pixels
from tlkeras.data.examples import ImageArrays
from tlkeras.errors import DataError, ParityError, TlkerasError
from tlkeras.export import metadata
from tlkeras.export.apart import verify_each
from tlkeras.export.calibration import calibration_inputs, check_calibration, check_int8
from tlkeras.export.predict import load_artifact, predict_images
from tlkeras.export.targets import export_model
from tlkeras.export.verify import verify
from tlkeras.features.inputs import read_inputs
from tlkeras.features.litert import load_litert


def content(artifact) -> bytes:
    return artifact.path.read_bytes()


def test_full_int8_takes_and_gives_bytes_that_the_contract_turns_into_probabilities(tmp_path):
    artifact = exported_small()[1]
    model = load_litert(artifact.path)
    details = model.interpreter.get_signature_runner("serving_default")
    (taken,), (given,) = details.get_input_details().values(), details.get_output_details().values()
    assert (taken["dtype"], given["dtype"]) == (np.uint8, np.uint8)
    terms = metadata.read_tflite(artifact.path).contract
    assert terms["output"] | {"scale": 0, "zero_point": 0} == {
        "name": "probabilities", "dtype": "uint8", "shape": [None, 3], "score": "softmax", "scale": 0, "zero_point": 0,
    }  # fmt: skip
    raw = details(image=read_pixels(image_examples().store, SIZE)[:4])["probabilities"]
    numbers = (raw.astype(float) - terms["output"]["zero_point"]) * terms["output"]["scale"]
    np.testing.assert_allclose(numbers.sum(axis=1), 1, atol=0.02)
    predictions = predict_images(load_artifact(artifact.path), write_pictures(tmp_path, image_examples())[:4])
    np.testing.assert_allclose([prediction.probabilities for prediction in predictions], numbers, atol=1e-6)
    np.testing.assert_allclose(numbers, reference(image_model(), image_examples())[:4], atol=0.1)


def test_both_int8_forms_pass():
    examples = image_examples(200)
    results = verify(exported_small(), image_model(), examples)
    assert [result.target for result in results] == ["tflite_dynamic", "tflite_int8"]
    for result in results:
        assert result.passed
        assert result.label_agreement is not None
        assert result.label_agreement > 0.95
    # Zero would mean that Keras was compared with itself. (Dynamic leaves weights of fewer than 1,024 numbers alone.)
    assert results[1].max_difference is not None
    assert results[1].max_difference > 1e-3


def test_a_file_that_is_not_int8_throughout_is_refused():
    def model(artifact):
        return content(artifact)[: metadata.read_tflite(artifact.path).contract["model"]["size_bytes"]]

    check_int8(model(exported_small()[1]), input_dtype="uint8", output_dtype="uint8")
    with pytest.raises(TlkerasError, match=r"CONV_2D in float32.*tflite_dynamic"):
        check_int8(model(exported_images()[1]), input_dtype="uint8", output_dtype="uint8")
    with pytest.raises(TlkerasError, match=r"FULLY_CONNECTED with float32 weights.*output float32"):
        check_int8(model(exported_images()[2]), input_dtype="uint8", output_dtype="uint8")
    with pytest.raises(TlkerasError, match=r"not int8: input uint8"):
        check_int8(model(exported_small()[1]), input_dtype="int8", output_dtype="uint8")


def test_examples_are_drawn_from_those_given_and_read_as_in_training():
    examples = image_examples(150)
    batches = list(calibration_inputs(image_model(), examples, count=120)())
    known = {pixels.tobytes() for pixels in read_pixels(examples.store, SIZE)}
    assert len(batches) == 120
    assert all(batch["image"].shape == (1, SIZE, SIZE, 3) and batch["image"].tobytes() in known for batch in batches)
    assert len({batch["image"].tobytes() for batch in batches}) == 120
    again = list(calibration_inputs(image_model(), examples, count=120)())
    assert all((a["image"] == b["image"]).all() for a, b in zip(batches, again, strict=True))
    token_ids = read_inputs(text_examples(), text_model().source)
    texts = [batch["token_ids"] for batch in calibration_inputs(text_model(), text_examples())()]
    assert len(texts) == 40
    assert all((a == token_ids.batch(np.array([i]))).all() for i, a in enumerate(texts))


def test_few_examples_are_refused_where_more_are_there_and_else_warned_of(caplog):
    with pytest.raises(ValueError, match=r"count=50.*100 or more"):
        calibration_inputs(image_model(), image_examples(150), count=50)
    with caplog.at_level(logging.WARNING, "tlkeras"):
        assert len(list(calibration_inputs(image_model(), image_examples(150), count=100)())) == 100
        assert not caplog.text
        assert len(list(calibration_inputs(image_model(), image_examples(40), count=100)())) == 40
    assert "measured on 40 examples may cut off what others show. Give 100 or more" in caplog.text


def with_pixels(pixels):
    return replace(image_examples(), store=ImageArrays(pixels))


def test_examples_that_would_give_wrong_ranges_are_refused():
    pixels = read_pixels(image_examples().store, SIZE)
    with pytest.raises(DataError, match=r"there are none"):
        calibration_inputs(image_model(), image_examples().take([]))
    with pytest.raises(DataError, match=r"All 40 .* are alike"):
        calibration_inputs(image_model(), with_pixels(np.repeat(pixels[:1], 40, axis=0)))
    with pytest.raises(DataError, match=r"All 40 .* are alike"):
        calibration_inputs(image_model(), with_pixels(pixels * 0))
    with pytest.raises(DataError, match=r"lie between 0 and 1.*Multiply"):
        calibration_inputs(image_model(), with_pixels((pixels > 127).astype(np.uint8)))
    noise = np.random.default_rng(0).integers(0, 256, (40, SIZE, SIZE, 3)).astype(np.uint8)
    with pytest.raises(DataError, match=r"look like noise.*correlation -?0\.0"):
        calibration_inputs(image_model(), with_pixels(noise))
    for n in (200, 40, 4):
        with pytest.raises(DataError, match=rf"All {n // 2} .* of one class"):
            calibration_inputs(image_model(), image_examples(200).take(range(0, n, 2)))
    with pytest.raises(DataError, match=r"'x' that are not finite"):
        check_calibration([{"x": np.array([1.0, np.nan])}])
    with pytest.raises(DataError, match=r"no examples"):
        check_calibration([])


def test_int8_without_examples_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"calibration=splits\.train.*tflite_dynamic"):
        export_model(image_model(), tmp_path / "out", targets=["tflite_float32", "tflite_int8"])
    assert not (tmp_path / "out").exists()


def test_texts_may_have_int8_weights(tmp_path):
    (artifact,) = export_model(text_model(), tmp_path, targets=["tflite_dynamic"])
    (result,) = verify([artifact], text_model(), text_examples())
    assert result.passed
    assert load_litert(artifact.path).inputs == {"token_ids": (np.dtype(np.int32), (None, None))}
    assert metadata.read_tflite(artifact.path).contract["quantization"] == "dynamic"


@pytest.mark.parametrize("target", ["tflite_dynamic", "tflite_int8"])
@pytest.mark.parametrize("kind", ["labels", "channels", "constant", "stale"])
def test_a_defect_in_an_int8_file_is_caught(kind, target, tmp_path):
    model = constant_head(image_model()) if kind == "constant" else image_defect(kind)
    artifacts = export_model(model, tmp_path, targets=[target], calibration=image_examples(160))
    with pytest.raises(ParityError, match=r"does not behave"):
        verify(artifacts, image_model(), image_examples(200))


def test_bad_calibration_is_caught_by_the_comparison(tmp_path):
    dim = image_examples(160)
    dark = replace(dim, store=ImageArrays(read_pixels(dim.store, SIZE) // 16))
    artifacts = export_model(image_model(), tmp_path, targets=["tflite_int8"], calibration=dark)
    with pytest.raises(ParityError, match=r"in the mean, allowed"):
        verify(artifacts, image_model(), image_examples(200))


def test_an_int8_file_that_lost_too_much_is_set_apart_and_spoils_nothing_else(tmp_path):
    targets, out, results = ("tflite_float32", "tflite_int8"), tmp_path / "exports", tmp_path / "parity.json"
    dark = replace(image_examples(160), store=ImageArrays(read_pixels(image_examples(160).store, SIZE) // 16))
    artifacts = export_model(image_model(), out, targets=targets, calibration=dark)
    verified, parity = verify_each(artifacts, image_model(), image_examples(200), output=results)
    assert [artifact.target for artifact in verified] == ["tflite_float32"]
    assert [result.passed for result in parity] == [True, False]
    assert {"model_float32.tflite", "model_int8.rejected.tflite"} <= {path.name for path in out.iterdir()}
    assert not artifacts[1].path.exists()
    assert [entry["target"] for entry in json.loads((out / "metadata.json").read_text())["artifacts"]] == ["tflite_float32"]
    assert json.loads(results.read_text())["tflite_int8"]["passed"] is False
    # A good successor takes the refused one away.
    artifacts = export_model(image_model(), out, targets=targets, calibration=image_examples(160))
    assert verify_each(artifacts, image_model(), image_examples(200))[0] == artifacts
    assert not (out / "model_int8.rejected.tflite").exists()


def test_a_form_that_may_lose_nothing_still_ends_everything(tmp_path):
    artifacts = export_model(image_defect("labels"), tmp_path, targets=["tflite_float32"])
    with pytest.raises(ParityError, match=r"does not behave"):
        verify_each(artifacts, image_model(), image_examples(40), output=tmp_path / "parity.json")
    assert artifacts[0].path.exists()
    assert (tmp_path / "parity.json").exists()
