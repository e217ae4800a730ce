"""Mixed precision: 16 bits in training; weights, files and answers are those of float32."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.networks import SIZE, square_splits, tiny_source
from tlkeras.data.decode import read_pixels
from tlkeras.errors import TrainingError
from tlkeras.sources.blocks import nested_layers
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.callbacks import StopOnNaN
from tlkeras.training.fit import fit
from tlkeras.training.precision import chosen_precision, computing_in, with_loss_scale

SPLITS = square_splits()
PIXELS = read_pixels(SPLITS.test.store, SIZE).astype(np.float32)
TOP = Phase(name="top", trainable="top:2", epochs=1, learning_rate=1e-3, batch_norm="train")


class Watch(keras.callbacks.Callback):
    """Notes what the layers compute in while a phase trains."""

    def on_train_begin(self, logs=None):
        weighty = [layer for layer in nested_layers(self.model) if isinstance(layer, keras.layers.Conv2D)]
        self.computed = {layer.compute_dtype for layer in weighty}
        self.head = next(layer for layer in nested_layers(self.model) if layer.name == "logits").compute_dtype
        self.scaled = isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer)


def _trained(precision, **changes):
    model, watch = build_classifier(tiny_source(), SPLITS.classes, seed=1), Watch()
    for layer in nested_layers(model.network):
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # in 16 bits it draws other masks
    history = fit(model, SPLITS, [replace(TOP, precision=precision, **changes)], callbacks=[watch])
    return model, watch, history


@pytest.mark.parametrize(
    ("precision", "changes"), [("bfloat16", {}), ("float16", {"layer_decay": 0.9, "ema": 0.5}), ("bfloat16", {"adapters": 2})]
)
def test_a_phase_in_16_bits_ends_near_one_in_32_and_leaves_a_float32_model(precision, changes, tmp_path):
    changes = {"batch_norm": "frozen", **changes} if "adapters" in changes else changes
    model, watch, found = _trained(precision, **changes)
    reference, plain, expected = _trained("float32", **changes)
    assert (watch.computed, watch.head, watch.scaled) == ({precision}, "float32", precision == "float16")
    assert plain.computed == {"float32"}
    assert found.rows[0]["loss"] == pytest.approx(expected.rows[0]["loss"], rel=0.02)
    assert found.rows[0]["loss"] != expected.rows[0]["loss"], "it was not computed in 16 bits"
    assert {weight.dtype for weight in model.network.weights if "seed" not in weight.path} == {"float32"}
    assert {layer.dtype_policy.name for layer in nested_layers(model.network)} == {"float32"}
    model.network.save(tmp_path / "model.keras")
    saved = keras.models.load_model(tmp_path / "model.keras")
    pixels = PIXELS[:8]
    np.testing.assert_array_equal(saved(pixels), model.network(pixels))
    np.testing.assert_allclose(model.network(pixels), reference.network(pixels), atol=0.03)


def test_the_exported_file_of_a_phase_in_16_bits_is_float32_and_says_the_same(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    from tlkeras.export.targets import export_model

    model, _, _ = _trained("bfloat16")
    (artifact,) = export_model(model, tmp_path, targets=("tflite_float32",))
    interpreter = Interpreter(str(artifact.path))
    interpreter.allocate_tensors()
    dtypes = {detail["dtype"] for detail in interpreter.get_tensor_details()}
    assert np.float32 in dtypes
    assert dtypes <= {np.float32, np.uint8, np.int32}, "pixels, numbers, shapes"
    (reads,) = interpreter.get_input_details()
    pixels = PIXELS[:1]
    interpreter.set_tensor(reads["index"], pixels.astype(reads["dtype"]))
    interpreter.invoke()
    found = [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
    np.testing.assert_allclose(next(x for x in found if x.shape == (1, 3)), model.network(pixels), atol=1e-5)


def test_gradients_that_overflow_leave_the_weights_and_halve_the_scale():
    weight = keras.Variable(np.ones(2, np.float32))
    optimizer = with_loss_scale(keras.optimizers.SGD(1.0), "float16")
    optimizer.build([weight])
    scale = float(optimizer.dynamic_scale)
    optimizer.apply([tf.constant([np.inf, 1.0])], [weight])
    np.testing.assert_array_equal(weight, [1, 1])
    assert float(optimizer.dynamic_scale) == scale / 2
    optimizer.apply([tf.constant([1.0, 2.0]) * scale / 2], [weight])
    np.testing.assert_array_equal(weight, [0, -1])


def test_blocks_below_the_cut_and_the_head_stay_in_float32():
    model = build_classifier(tiny_source(), SPLITS.classes, seed=1)
    with computing_in(model, 1, "bfloat16"):
        policies = [block.network.dtype_policy.name for block in model.blocks]
    assert policies == ["float32", "mixed_bfloat16", "mixed_bfloat16", "float32"]


@pytest.mark.parametrize(
    ("capability", "expected"), [(None, "float32"), ((6, 1), "float32"), ((7, 5), "float16"), ((8, 0), "bfloat16")]
)
def test_auto_goes_by_what_the_device_has(capability, expected, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["gpu"] if capability else [])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": capability})
    assert chosen_precision("auto") == expected


def test_16_bits_on_a_cpu_are_a_warning_and_a_loss_that_overflows_names_the_way_out(caplog):
    assert chosen_precision("float16") == "float16"
    assert "float16 on a CPU is slower" in caplog.text
    with pytest.raises(TrainingError, match="computed in float16: try --precision bfloat16 or float32"):
        StopOnNaN(replace(TOP, precision="float16")).on_train_batch_end(0, {"loss": float("inf")})
    with pytest.raises(ValueError, match="Did you mean 'bfloat16'"):
        plan_phases("fine_tune", precision="bfloat")  # type: ignore[arg-type]
