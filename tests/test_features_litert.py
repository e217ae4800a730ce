import logging
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.export_models import SIZE, image_model, plain, text_model
from tlkeras.errors import TlkerasError
from tlkeras.features.litert import convert, load_litert, quiet


@pytest.fixture(scope="module")
def network():
    """Two named outputs and a kernel that outweighs the file's overhead."""
    keras.utils.set_random_seed(0)
    x = keras.Input((64,), name="x")
    hidden = keras.layers.Dense(256, activation="relu")(x)
    return keras.Model({"x": x}, {"hidden": hidden, "sum": keras.ops.sum(hidden, axis=-1)})


@pytest.fixture(scope="module")
def content(network):
    return convert(network)


def test_a_converted_network_computes_what_keras_computes_at_any_batch_size(network, content):
    model = load_litert(content)
    assert (set(model.inputs), set(model.outputs)) == ({"x"}, {"hidden", "sum"})
    for batch in (1, 5, 2):
        x = np.random.default_rng(batch).normal(size=(batch, 64)).astype(np.float32)
        kernel, bias = network.layers[1].get_weights()
        hidden = np.maximum(x @ kernel + bias, 0)
        outputs = model(x=x)
        np.testing.assert_allclose(outputs["hidden"], hidden, atol=1e-5)
        np.testing.assert_allclose(outputs["sum"], hidden.sum(axis=-1), atol=1e-4)


def test_float16_halves_the_weights_and_hardly_moves_the_outputs(network, content):
    half = convert(network, quantize="float16")
    weights = 64 * 256 * 4
    assert len(content) > weights > len(half) > weights / 2
    x = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    difference = np.abs(load_litert(half)(x=x)["hidden"] - load_litert(content)(x=x)["hidden"]).max()
    assert 0 < difference < 1e-2


def test_dynamic_int8_quarters_the_weights(network, content):
    small = convert(network, quantize="dynamic")
    assert len(content) > 64 * 256 * 4 > 64 * 256 * 2 > len(small) > 64 * 256
    x = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    difference = np.abs(load_litert(small)(x=x)["hidden"] - load_litert(content)(x=x)["hidden"]).max()
    assert 1e-4 < difference < 0.1


def test_a_signature_fixes_the_shape(network):
    import tensorflow as tf

    model = load_litert(convert(network, input_signature=[tf.TensorSpec((2, 64), tf.float32, name="rows")]))
    assert model.inputs["rows"] == (np.dtype(np.float32), (2, 64))


def test_text_networks_run_at_any_batch_size_and_length():
    network = plain(text_model())
    model = load_litert(convert(network))
    random = np.random.default_rng(0)
    for batch, length in ((1, 8), (4, 8), (3, 17), (2, 256), (1, 1)):
        token_ids = random.integers(1, 16, (batch, length)).astype(np.int32)
        token_ids[0, length // 2 + 1 :] = 0
        (output,) = model(token_ids=token_ids).values()
        np.testing.assert_allclose(output, network(token_ids).numpy(), atol=1e-6)


def test_image_networks_run():
    network = plain(image_model())
    pixels = np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 3)).astype(np.float32)
    model = load_litert(convert(network))
    (output,) = model(**{next(iter(model.inputs)): pixels}).values()
    np.testing.assert_allclose(output, network(pixels).numpy(), atol=1e-5)


def test_operations_that_litert_lacks_are_named():
    x = keras.Input((4,), name="x")
    network = keras.Model(x, keras.ops.erfinv(keras.ops.fft((x, x))[0]))
    with pytest.raises(TlkerasError, match=r"Complex, Erfinv, FFT, .*saved_model"):
        convert(network)


def test_an_unknown_quantization_is_refused(network):
    with pytest.raises(ValueError, match=r"int3.*float16"):
        convert(network, quantize="int3")  # type: ignore[arg-type]


def test_converting_and_loading_print_nothing(network, capfd):
    load_litert(convert(network))(x=np.zeros((1, 64), np.float32))
    print("after")
    assert capfd.readouterr() == ("after\n", "")


def test_wrong_names_dtypes_and_shapes_are_refused(content):
    model = load_litert(content)
    for wrong in ({"y": np.zeros((1, 64), np.float32)}, {"x": np.zeros((1, 64))}, {"x": np.zeros((1, 63), np.float32)}):
        with pytest.raises(ValueError, match=r"Received"):
            model(**wrong)


def test_files_that_are_no_model_are_refused(content, tmp_path):
    for name, data in {
        "empty": b"",
        "text": b"hello world",
        "hollow": b"\0\0\0\0TFL3" + b"\0" * 99,
        "cut": content[:2000],
    }.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(data)
        with pytest.raises(TlkerasError, match=name):
            load_litert(path)
        with pytest.raises(TlkerasError, match=r"The data"):
            load_litert(data)


def test_running_needs_neither_tensorflow_nor_keras(content, tmp_path):
    (tmp_path / "m.tflite").write_bytes(content)
    code = (
        "import sys, numpy; from tlkeras.features.litert import load_litert;"
        f"load_litert({str(tmp_path / 'm.tflite')!r})(x=numpy.zeros((1, 64), 'float32'));"
        "print({'tensorflow', 'keras', 'pandas', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_logging_handler_made_while_it_is_quiet_works_afterwards(capsys):
    with quiet():
        handler = logging.StreamHandler()
        print("swallowed", file=sys.stderr)
    logger = logging.getLogger("made while it was quiet")
    logger.addHandler(handler)
    logger.propagate = False
    logger.warning("heard")
    assert capsys.readouterr().err == "heard\n"
