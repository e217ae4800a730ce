import keras
import numpy as np
import pytest

from tlkeras.sources.graph import find_cuts, replay, trace


def names_after(network, **options):
    graph = trace(network)
    return [graph.steps[index].operation.name for index in find_cuts(graph, **options)]


def residual():
    x = keras.Input((4,), name="x")
    first = keras.layers.Dense(4, name="first")(x)
    inner = keras.layers.Dense(4, name="inner")(first)
    outer = keras.layers.Dense(4, name="outer")(inner)
    added = keras.layers.Add(name="added")([first, outer])
    return keras.Model(x, keras.layers.Dense(2, name="last")(added))


def test_boundaries_lie_outside_a_residual_connection():
    # Between `first` and `added` the sum is still to come, so `inner` and `outer` cannot be cut after.
    assert names_after(residual()) == ["first", "added", "last"]


def test_a_tensor_that_is_used_again_later_leaves_no_boundary_in_between():
    x = keras.Input((4,))
    one = keras.layers.Dense(4, name="one")(x)
    two = keras.layers.Dense(4, name="two")(one)
    three = keras.layers.Dense(4, name="three")(two)
    assert names_after(keras.Model(x, keras.layers.Add(name="sum")([one, three]))) == ["one", "sum"]
    assert names_after(keras.Model(x, keras.layers.Add(name="sum")([x, three]))) == ["sum"]


def test_a_layer_that_is_called_twice_stays_in_one_piece():
    x = keras.Input((4,))
    shared = keras.layers.Dense(4, name="shared")
    y = keras.layers.Dense(4, name="between")(shared(x))
    network = keras.Model(x, keras.layers.Dense(4, name="last")(shared(y)))
    # "shared" appears once: after its second call.
    assert names_after(network) == ["shared", "last"]


def test_a_carried_input_may_cross_every_cut():
    hidden, mask = keras.Input((4,), name="hidden"), keras.Input((4,), name="mask")
    one = keras.layers.Multiply(name="one")([keras.layers.Dense(4, name="dense")(hidden), mask])
    network = keras.Model([hidden, mask], keras.layers.Multiply(name="two")([one, mask]))
    assert names_after(network) == ["two"]
    assert names_after(network, carried=("mask",)) == ["dense", "one", "two"]


def test_replay_shares_the_layers_and_computes_the_same():
    network = residual()
    graph = trace(network)
    x = keras.Input((4,))
    again = keras.Model(x, replay(graph.steps, {id(graph.inputs[0]): x})[id(graph.output)])
    values = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    assert {id(w) for w in again.weights} == {id(w) for w in network.weights}
    np.testing.assert_array_equal(again(values), network(values))


def test_the_graph_of_a_sequential_network_is_found():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")])
    assert names_after(network) == ["a", "b"]


def test_a_network_that_is_not_functional_or_has_two_outputs_is_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"must be a functional keras.Model .* Received: Subclassed"):
        trace(Subclassed())
    x = keras.Input((4,))
    with pytest.raises(ValueError, match=r"must have one output\. Received: 2 outputs"):
        trace(keras.Model(x, [keras.layers.Dense(1)(x), keras.layers.Dense(2)(x)]))
