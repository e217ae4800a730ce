"""Biases of full int8 files, corrected by the means that channels have in float32."""

import numpy as np
import pytest

from tests.export_models import SIZE, exported_images, exported_small, image_examples
from tlkeras.data.decode import read_pixels
from tlkeras.export import bias_correction, constants
from tlkeras.export.bias_correction import MOST_STEPS, _means, correct_biases
from tlkeras.export.constants import problem_with_constants, read_operations
from tlkeras.export.flatbuffer import operations, pack, unpack
from tlkeras.features.litert import load_litert


@pytest.fixture(scope="module")
def files():
    float32, int8 = exported_images()[1].path.read_bytes(), exported_small()[1].path.read_bytes()
    return float32, int8, read_pixels(image_examples(160).store, SIZE)[:48]


def moved(content, steps):
    """Return a file whose first bias is off by steps of the operation's output, one sign for each other channel."""
    model = unpack(content)
    _, operator = next(one for one in operations(model) if one[0] == "CONV_2D")
    graph = model.subgraphs[0]
    bias, step = graph.tensors[operator.inputs[2]], graph.tensors[operator.outputs[0]].quantization.scale[0]
    values = np.frombuffer(np.asarray(model.buffers[bias.buffer].data, np.uint8).tobytes(), np.int32).copy()
    signs = np.where(np.arange(len(values)) % 2, 1, -1)
    values += np.round(signs * steps * step / np.asarray(bias.quantization.scale)).astype(np.int32)
    model.buffers[bias.buffer].data = np.frombuffer(values.astype(np.int32).tobytes(), np.uint8)
    return pack(model)


def test_means_are_those_of_every_channel_at_its_place(files):
    float32, _, pixels = files
    model = unpack(float32)
    places = [place for place, (name, _) in enumerate(operations(model)) if name == "FULLY_CONNECTED"]
    found = _means(model, places, pixels)[places[0]]
    # Behind the head there is nothing but a softmax: undone up to what all classes share.
    probabilities = load_litert(float32)(image=pixels)["probabilities"].astype(np.float64)
    logits = np.log(probabilities)
    expected = logits.mean(axis=0)
    np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=1e-3)


def test_correction_takes_back_what_moved_a_bias(files):
    float32, int8, pixels = files

    def error(content):
        return np.abs(load_litert(content)(image=pixels)["probabilities"] - right).mean()

    right = load_litert(float32)(image=pixels)["probabilities"]
    spoilt = moved(int8, 3)
    corrected = correct_biases(spoilt, float32, pixels)
    assert error(spoilt) > 2 * error(int8)
    assert error(corrected) < 1.1 * error(int8)


def test_a_bias_moves_by_no_more_than_the_limit_and_the_limit_is_what_the_comparison_allows(files):
    float32, int8, pixels = files
    corrected = correct_biases(moved(int8, 20), float32, pixels)
    assert problem_with_constants(correct_biases(int8, float32, pixels), float32, corrected=True) == ""
    assert problem_with_constants(correct_biases(int8, float32, pixels), float32)
    assert "CONV_2D number" in problem_with_constants(corrected, float32, corrected=True)
    before, after = (list(read_operations(content)) for content in (moved(int8, 20), corrected))
    for old, new in zip(before, after, strict=True):
        for place, constant in old.constants.items():
            most = MOST_STEPS * old.step * 1.01 + constant.slack.max() if place == 2 else 0
            assert np.abs(constant.values - new.constants[place].values).max() <= most


def test_what_was_moved_to_the_limit_and_rounded_still_passes(files, monkeypatch):
    float32, int8, pixels = files
    for module in (bias_correction, constants):
        monkeypatch.setattr(module, "MOST_STEPS", 0.02)
    corrected = correct_biases(int8, float32, pixels)
    assert problem_with_constants(corrected, float32)
    assert problem_with_constants(corrected, float32, corrected=True) == ""


def test_files_of_different_networks_are_refused(files):
    float32, int8, pixels = files
    model = unpack(float32)
    model.subgraphs[0].operators = model.subgraphs[0].operators[:-1]
    with pytest.raises(ValueError, match="computes something else"):
        correct_biases(int8, pack(model), pixels)
