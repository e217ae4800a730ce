"""What each strategy promises, on a network with everything that makes freezing hard."""

import numpy as np
import pytest

from tests.networks import square_splits, tiny_source
from tlkeras.features.inputs import read_inputs
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import plan_phases
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.fit import fit
from tlkeras.training.plan import plan_training

SPLITS = square_splits()


def _model():
    return build_classifier(tiny_source(), SPLITS.classes, seed=1)


@pytest.mark.parametrize(
    ("strategy", "counts"),
    [
        # Biases are the offsets of the normalizations (6, 8 and 10); the head has 10 * 3 + 3.
        ("bias_only", [33, 24 + 33]),
        ("norm_only", [33, 2 * 24 + 33]),
        # Kernels of 3 by 3: 162, 432 and 720 from the input up; the normalizations stay frozen.
        ("lp_ft", [33, 162 + 432 + 720 + 33]),
        ("fine_tune", [33, 432 + 720 + 33]),
        ("gradual_unfreeze", [33, 720 + 33, 432 + 720 + 33, 162 + 432 + 720 + 33, 162 + 432 + 720 + 33]),
        ("from_scratch", [162 + 432 + 720 + 2 * 24 + 33]),
    ],
)
def test_a_strategy_trains_so_many_parameters(strategy, counts):
    assert [plan.trainable for plan in plan_training(_model(), SPLITS, plan_phases(strategy))] == counts


def test_fine_tuning_begins_at_the_loss_of_the_solved_head():
    phases = plan_phases("lp_ft", epochs=1, learning_rate=1e-9)
    head, first = fit(_model(), SPLITS, phases).rows
    assert first["val_loss"] == pytest.approx(head["val_loss"], rel=1e-4)


def test_fine_tuning_from_a_solved_head_moves_the_features_less_than_from_a_random_one():
    def drift(phases):
        model = _model()
        pixels = read_inputs(SPLITS.val, model.source).values.astype("float32")
        before = model.source.network(pixels, training=False).numpy()
        fit(model, SPLITS, phases)
        return np.square(model.source.network(pixels, training=False).numpy() - before).mean()

    head = Phase(name="head", solver="closed_form", epochs=1)
    everything = Phase(name="all", trainable="all", epochs=4, learning_rate=3e-3, keep="last", patience=4)
    assert drift([head, everything]) < drift([everything])


def test_each_stage_of_gradual_unfreezing_leaves_what_is_still_frozen_bit_equal():
    model = _model()
    stages = plan_phases("gradual_unfreeze", epochs=4, learning_rate=0.1)
    frozen = [("block_0", "block_1", "block_2"), ("block_0", "block_1"), ("block_0",), (), ()]
    for stage, names in zip(stages, frozen, strict=True):
        kernels = {block.name: block.network.trainable_weights or block.network.weights for block in model.source.blocks}
        before = {name: [weight.numpy() for weight in weights] for name, weights in kernels.items()}
        fit(model, SPLITS, [stage])
        for block in model.source.blocks:
            same = all(
                np.array_equal(weight.numpy(), old)
                for weight, old in zip(kernels[block.name], before[block.name], strict=True)
                if weight.name != "seed_generator_state"
            )
            assert same or block.name not in names, (stage.name, block.name)
    moved = [block.network.get_weights()[0] for block in model.source.blocks]
    assert all(np.abs(a - b.network.get_weights()[0]).max() > 0 for a, b in zip(moved, _model().source.blocks, strict=True)), (
        "the case needs stages that change something"
    )
