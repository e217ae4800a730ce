"""A network that was just compiled is not compiled again, and never answers for another one."""

import os
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import tlkeras as tl
from tlkeras.evaluation import responses
from tlkeras.evaluation.responses import respond

SPLITS = tl.load_images("sample:40")


@pytest.fixture
def model():
    return tl.build_model(tl.load_image_source("tiny_cnn", image_size=33), SPLITS, seed=0)


def _outputs(model):
    from tlkeras.features.engine import run_network
    from tlkeras.features.inputs import read_inputs

    (found,) = run_network(model.network, [read_inputs(SPLITS.test, model.source)])
    return found.values


def test_the_same_network_is_compiled_once_and_answers_with_the_weights_that_it_has(model, monkeypatch):
    compile_ = Mock(side_effect=responses.compiled)
    monkeypatch.setattr(responses, "compiled", compile_)
    before = respond(model, SPLITS.test).outputs
    random = np.random.default_rng(0)
    model.network.set_weights([weight + random.normal(0, 0.1, weight.shape) for weight in model.network.get_weights()])
    after = respond(model, SPLITS.test)
    assert compile_.call_count == 1
    np.testing.assert_allclose(after.outputs, _outputs(model), atol=1e-6)
    assert np.abs(after.outputs - before).max() > 0.01


def test_a_layer_that_got_other_variables_is_compiled_again(model):
    respond(model, SPLITS.test)
    layer = model.head.network.get_layer("logits")
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    np.testing.assert_allclose(respond(model, SPLITS.test).outputs, _outputs(model), atol=1e-6)


def test_another_model_is_asked_itself(model):
    other = tl.build_model(tl.load_image_source("tiny_cnn", image_size=33, seed=5), SPLITS, seed=1)
    respond(model, SPLITS.test)
    np.testing.assert_allclose(respond(other, SPLITS.test).outputs, _outputs(other), atol=1e-6)


def test_the_same_examples_are_computed_once_until_a_weight_changes(model, monkeypatch):
    run = Mock(side_effect=responses.run_step)
    monkeypatch.setattr(responses, "run_step", run)
    first = respond(model, SPLITS.test)
    respond(model, SPLITS.val)
    assert respond(model, SPLITS.test) is first
    assert run.call_count == 2
    backwards = SPLITS.test.take(np.arange(len(SPLITS.test))[::-1])
    np.testing.assert_allclose(respond(model, backwards).outputs, first.outputs[::-1], atol=1e-6)
    layer = model.head.network.get_layer("logits")
    layer.bias.assign(np.eye(10)[0])
    np.testing.assert_allclose(respond(model, SPLITS.test).outputs, _outputs(model), atol=1e-6)
    assert run.call_count == 4


def test_answers_that_take_too_much_memory_are_not_kept(model, monkeypatch):
    first = respond(model, SPLITS.test)
    monkeypatch.setattr(responses, "_MOST_BYTES", first.features.nbytes)
    respond(model, SPLITS.val)
    assert respond(model, SPLITS.test) is not first


def test_kept_answers_cannot_be_changed(model):
    with pytest.raises(ValueError, match="read-only"):
        respond(model, SPLITS.test).outputs[:] = 0


def test_a_picture_that_was_written_again_is_read_again(tmp_path):
    for number in range(12):
        path = tmp_path / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((9, 9, 3), 20 * number, np.uint8)).save(path)
    splits = tl.load_images(tmp_path, near_duplicates=False)
    model = tl.build_model(tl.load_image_source("tiny_cnn", image_size=33), splits, seed=0)
    before = respond(model, splits.test).outputs
    changed = splits.test.store.where(0)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)).save(changed)
    os.utime(changed, ns=(1, 1))
    after = respond(model, splits.test).outputs
    assert not np.array_equal(after[0], before[0])
    np.testing.assert_allclose(after[1:], before[1:], atol=1e-6)
