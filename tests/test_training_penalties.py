"""Penalties: identities and numbers; the loss on validation stays the task's own."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.networks import square_splits, tiny_source
from tlkeras.sources.model import Block, SourceModel
from tlkeras.strategies.penalties import Penalties, parse_penalties
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.tasks.regression import build_regressor
from tlkeras.training.balance import Balance
from tlkeras.training.examples import TrainingData
from tlkeras.training.fit import fit
from tlkeras.training.freezing import set_trainable
from tlkeras.training.part import compile_part, keep_reference

GENERATOR = np.random.default_rng(0)
X, Y = GENERATOR.normal(size=(20, 5)).astype("float32"), GENERATOR.normal(size=(20, 1)).astype("float32")
ONES = np.ones(20, np.float32)
DATA = TrainingData(((),), (Y,), (), Y, Balance("none", ONES, ""))  # type: ignore[arg-type]


def _linear():
    """`x @ w`, with the head fixed at the identity."""
    x = keras.Input((5,))
    network = keras.Model(x, keras.layers.Dense(1, use_bias=False, name="w")(x), name="block_0")
    network.set_weights([GENERATOR.normal(size=(5, 1))])
    source = SourceModel("linear", "image", network, (Block("block_0", network),), 5, pretrained=True)
    model = build_regressor(source, np.arange(3.0), dropout=0.0)
    model.head.network.set_weights([np.ones((1, 1)), np.zeros(1)])
    return model


def _part(model, data=DATA, **penalties):
    phase = Phase(name="x", trainable="block_0", penalties=Penalties(**penalties))
    return _compiled(model, phase, data)


def _compiled(model, phase, data=DATA):
    reference = keep_reference(model, [phase])
    cut = set_trainable(model, phase)
    return compile_part(model, phase, cut, data, 1, reference=reference)


def _loss(part, x, y, *, training=True):
    return float(part.compute_loss(x=x, y=y, y_pred=part(x, training=training), training=training))


def test_l2_sp_of_a_linear_model_has_its_minimum_at_ridge_regression_from_the_origin():
    model, alpha = _linear(), 0.7
    part = _part(model, l2_sp=alpha)
    (origin,) = model.source.blocks[0].network.get_weights()
    x, y = X.astype("float64"), Y.astype("float64")
    gram = 2 / len(x) * x.T @ x + alpha * np.eye(5)
    best = origin + np.linalg.solve(gram, 2 / len(x) * x.T @ (y - x @ origin))
    model.source.blocks[0].network.set_weights([best])
    with tf.GradientTape() as tape:
        loss = part.compute_loss(x=X, y=Y, y_pred=part(X, training=True), training=True)
    (gradient,) = tape.gradient(loss, [weight.value for weight in part.trainable_weights])
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    assert np.abs(best - origin).max() > 0.05


def test_what_l2_sp_holds_gets_no_weight_decay():
    def step(**penalties):
        model = _linear()
        part = _part(model, **penalties)
        (before,) = model.source.blocks[0].network.get_weights()
        part.optimizer.apply([keras.ops.zeros((5, 1))], part.trainable_weights)
        return np.abs(model.source.blocks[0].network.get_weights()[0] - before).max()

    assert step(l2_sp=0.1) == 0
    assert step() > 0


def test_l1_and_l2_are_sums_over_the_kernel_of_the_head():
    model = _linear()
    model.head.network.set_weights([np.array([[-3.0]]), np.array([5.0])])
    phase = Phase(name="x", trainable="all", penalties=Penalties(l1=0.1, l2=0.01))
    part, plain = _compiled(model, phase), _compiled(model, replace(phase, penalties=Penalties()))
    # 0.1 * |-3| + 0.01 / 2 * 9; the bias is free.
    assert _loss(part, X, Y) - _loss(plain, X, Y) == pytest.approx(0.345, abs=1e-5)


def test_distillation_is_the_share_by_which_the_features_moved():
    model = _linear()
    part = _part(model, distillation=2.0)
    (origin,) = model.source.blocks[0].network.get_weights()
    assert _loss(part, X, Y) == pytest.approx(float(np.mean((X @ origin - Y) ** 2)), rel=1e-5)
    model.source.blocks[0].network.set_weights([1.5 * origin])
    error = float(np.mean((1.5 * X @ origin - Y) ** 2))
    assert _loss(part, X, Y) == pytest.approx(error + 2.0 * 0.25, rel=1e-5)
    assert len(part.weights) == 3, "the weights of the frozen copy do not belong to what is trained"


def test_label_smoothing_is_cross_entropy_with_smoothed_targets():
    model = build_classifier(tiny_source(), ("a", "b", "c"), dropout=0.0, seed=1)
    labels = np.array([0, 2, 1, 2], np.int32)
    data = replace(DATA, targets=(labels,))
    phase = Phase(name="x", trainable="head", penalties=Penalties(label_smoothing=0.3))
    part = _compiled(model, phase, data)
    features = GENERATOR.normal(size=(4, 10)).astype("float32")
    logits = np.asarray(part(features))
    targets = 0.7 * np.eye(3)[labels] + 0.1
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert _loss(part, features, labels) == pytest.approx(-(targets * logs).sum(axis=1).mean(), rel=1e-5)


def test_the_loss_on_validation_has_no_penalty():
    model = _linear()
    part = _part(model, l2_sp=1.0, distillation=1.0, l1=1.0)
    model.source.blocks[0].network.set_weights([np.full((5, 1), 2.0)])
    error = float(np.mean((X @ np.full((5, 1), 2.0) - Y) ** 2))
    assert _loss(part, X, Y, training=False) == pytest.approx(error, rel=1e-5)
    assert part.evaluate(X, Y, verbose=0)[0] == pytest.approx(error, rel=1e-5)
    assert _loss(part, X, Y) > 1.1 * error


def test_a_dropout_of_its_own_drops_that_share_and_leaves_the_head_alone():
    model = build_classifier(tiny_source(), ("a", "b", "c"), dropout=0.0, seed=1)
    model.head.network.get_layer("logits").set_weights([np.ones((10, 3)), np.zeros(3)])
    phase = Phase(name="x", trainable="head", penalties=Penalties(dropout=0.75))
    part = _compiled(model, phase, replace(DATA, targets=(np.zeros(20, np.int32),)))
    sums = np.asarray(part(np.ones((500, 10), np.float32), training=True))[:, 0]
    # Each of ten features counts 4 with probability 1 / 4: mean 10, deviation of the mean below 0.25.
    assert sums.mean() == pytest.approx(10, abs=1)
    assert set(np.round(sums / 4, 3) % 1) == {0.0}
    assert np.asarray(model.head.network(np.ones((1, 10)), training=True))[0, 0] == 10


def test_l2_sp_keeps_fine_tuned_weights_nearer_to_where_they_began():
    def moved(penalties):
        splits, model = square_splits(), build_classifier(tiny_source(), ("a", "b", "c"), seed=1)
        before = model.source.network.get_weights()
        fit(model, splits, [Phase(name="x", trainable="all", epochs=3, learning_rate=1e-2, penalties=penalties)])
        pairs = zip(before, model.source.network.get_weights(), strict=True)
        return sum(float(np.square(after - w).sum()) for w, after in pairs if w.ndim == 4)

    assert moved(Penalties(l2_sp=10.0)) < 0.5 * moved(Penalties())


def test_penalties_are_read_from_a_line():
    assert parse_penalties("l2_sp=0.01, dropout=0.5") == Penalties(l2_sp=0.01, dropout=0.5)
    assert parse_penalties(None) == Penalties()
    head, top = plan_phases("fine_tune", penalties="label_smoothing=0.1")
    assert (head.penalties, top.penalties) == (Penalties(), Penalties(label_smoothing=0.1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("l2sp=1", r"Received: 'l2sp'. Did you mean 'l2_sp'"),
        ("l2_sp", r"name=number. Received: 'l2_sp'"),
        ("l2=-1", r"at least 0. Received: -1"),
        ("dropout=1", r"below 1. Received: 1"),
    ],
)
def test_a_penalty_that_cannot_be_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_penalties(text)


def test_holding_on_to_pre_trained_weights_needs_some_that_train():
    with pytest.raises(ValueError, match=r"hold on to pre-trained weights that train.*initialise='random'"):
        Phase(name="x", initialise="random", penalties=Penalties(l2_sp=0.1))
    with pytest.raises(ValueError, match=r"phase 'x' trains the head only"):
        _compiled(_linear(), Phase(name="x", trainable="head", penalties=Penalties(l2_sp=0.1)))
