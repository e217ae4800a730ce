"""Quick conversions: right, checked, and by the slow way where they are not."""

import keras
import numpy as np
import pytest

from tlkeras.errors import TlkerasError
from tlkeras.features import litert_quick
from tlkeras.features.litert import load_litert
from tlkeras.features.litert_quick import convert_quickly, open_runner


def _network(outputs: int, *, length: int | None = 8, shift: float = 0.0) -> keras.Model:
    """The k-th output is `k` times the sum of the input, and a shift."""
    x = keras.Input((length,), name="x")
    total = keras.layers.Dense(1, kernel_initializer="ones", name="total")(x) if length else keras.ops.sum(x, -1, keepdims=True)
    return keras.Model(x, [(place + 1.0) * total + shift for place in range(outputs)])


def _answers(network: keras.Model, sample: np.ndarray) -> list[np.ndarray]:
    outputs = network(sample)
    return [np.asarray(values) for values in (outputs if isinstance(outputs, list) else [outputs])]


@pytest.fixture
def sample():
    return np.random.default_rng(0).normal(size=(1, 8)).astype(np.float32)


@pytest.fixture
def quick_only(monkeypatch):
    monkeypatch.setattr(litert_quick, "convert", lambda _: pytest.fail("went by way of a SavedModel"))


@pytest.mark.usefixtures("quick_only")
def test_twelve_outputs_come_in_their_order_for_batches_of_any_size(sample, caplog, capfd):
    network = _network(12)  # by name, output_10 would come before output_2
    run = open_runner(convert_quickly(network, sample, _answers(network, sample)))
    for batch in (1, 5, 2):
        x = np.random.default_rng(batch).normal(size=(batch, 8)).astype(np.float32)
        found = run(x)
        assert len(found) == 12
        for place, values in enumerate(found):
            np.testing.assert_allclose(values[:, 0], (place + 1) * x.sum(axis=1), atol=1e-4)
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


@pytest.mark.parametrize("wrong", ["another network", "fewer outputs", "NaN"])
def test_a_quick_file_that_answers_otherwise_is_not_used(sample, monkeypatch, wrong):
    network = _network(2)
    other = {"another network": _network(2, shift=0.1), "fewer outputs": _network(1), "NaN": _network(2, shift=np.nan)}[wrong]
    made = litert_quick._from_constants
    monkeypatch.setattr(litert_quick, "_from_constants", lambda _: made(other))
    content = convert_quickly(network, sample, _answers(network, sample))
    assert set(load_litert(content).outputs) == {"output_0", "output_1"}  # so it comes from a SavedModel
    found = open_runner(content)(sample)
    np.testing.assert_allclose([values[0, 0] for values in found], [sample.sum(), 2 * sample.sum()], atol=1e-5)


@pytest.mark.parametrize("reason", ["a free length", "many weights"])
def test_what_constants_would_slow_down_goes_by_way_of_a_saved_model(sample, monkeypatch, reason):
    monkeypatch.setattr(litert_quick, "_from_constants", lambda _: pytest.fail("made of constants"))
    if reason == "many weights":
        monkeypatch.setattr(litert_quick, "MOST_BYTES", 35)  # nine weights of four bytes are 36
    network = _network(1, length=None if reason == "a free length" else 8)
    run = open_runner(convert_quickly(network, sample, _answers(network, sample)))
    np.testing.assert_allclose(run(sample)[0][0, 0], sample.sum(), atol=1e-5)


def test_an_operation_that_litert_lacks_is_named(sample):
    x = keras.Input((8,))
    network = keras.Model(x, keras.ops.real(keras.ops.fft((x, x))[0]))
    with pytest.raises(TlkerasError, match="no operation for"):
        convert_quickly(network, sample, _answers(network, sample))
