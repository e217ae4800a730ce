"""Each strategy, schedule, penalty and step after training is held to an identity or a number; here is by which tests."""

from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from tests.faults.test_catalogue import functions
from tlkeras.strategies.after import AFTER
from tlkeras.strategies.penalties import Penalties
from tlkeras.strategies.phases import Phase
from tlkeras.strategies.table import STRATEGIES

_FIT, _HEAD, _STRATEGIES = "test_training_fit", "test_training_head", "test_training_strategies"
_COUNT = f"{_STRATEGIES}::test_a_strategy_trains_so_many_parameters"
_BEGINS = f"{_STRATEGIES}::test_fine_tuning_begins_at_the_loss_of_the_solved_head"
_SCHEDULES, _PENALTIES, _AFTER, _ADAPTERS = (
    "test_strategies",
    "test_training_penalties",
    "test_training_after",
    "test_training_adapters",
)
_POLICY = (
    f"{_FIT}::test_the_policy_decides_what_batch_normalization_of_trainable_blocks_does",
    f"{_FIT}::test_fit_changes_only_the_chosen_blocks_and_no_moving_statistic",
)

IDENTITIES: dict[str, dict[str, tuple[str, ...]]] = {
    "strategies": {
        "feature_extraction": (
            f"{_HEAD}::test_folded_kernel_and_bias_give_the_probabilities_of_the_chosen_regression",
            f"{_HEAD}::test_several_labels_are_solved_one_by_one_and_constant_ones_stay_what_they_are",
            f"{_HEAD}::test_a_value_is_solved_as_ridge_regression_of_the_standardised_target",
        ),
        "fine_tune": (_COUNT, f"{_FIT}::test_fit_changes_only_the_chosen_blocks_and_no_moving_statistic"),
        "lp_ft": (
            _COUNT,
            _BEGINS,
            f"{_STRATEGIES}::test_fine_tuning_from_a_solved_head_moves_the_features_less_than_from_a_random_one",
        ),
        "discriminative": (f"{_FIT}::test_rates_fall_with_depth_by_the_decay",),
        "gradual_unfreeze": (
            _COUNT,
            f"{_STRATEGIES}::test_each_stage_of_gradual_unfreezing_leaves_what_is_still_frozen_bit_equal",
        ),
        "bias_only": (_COUNT, f"{_FIT}::test_bias_only_and_norm_only_train_these_weights_and_the_head"),
        "norm_only": (_COUNT, f"{_FIT}::test_bias_only_and_norm_only_train_these_weights_and_the_head"),
        "lora": (
            f"{_ADAPTERS}::test_fresh_adapters_change_nothing",
            f"{_ADAPTERS}::test_as_many_parameters_train_as_the_ranks_of_the_kernels_say",
            f"{_ADAPTERS}::test_merged_kernels_give_what_the_adapters_gave",
            f"{_ADAPTERS}::test_training_adapters_changes_the_kernels_by_the_rank_and_nothing_else",
        ),
        "from_scratch": (_COUNT, f"{_FIT}::test_from_scratch_starts_from_new_weights_that_follow_from_the_seed"),
    },
    "schedules": {
        "cosine": (f"{_SCHEDULES}::test_cosine_warms_up_over_a_tenth_and_ends_at_zero",),
        "one_cycle": (f"{_SCHEDULES}::test_one_cycle_rises_over_a_quarter_and_falls_to_nearly_nothing",),
        "slanted": (f"{_SCHEDULES}::test_slanted_triangles_follow_the_formula_of_howard_and_ruder",),
        "plateau": (f"{_FIT}::test_a_plateau_lowers_the_rate",),
        "constant": (f"{_SCHEDULES}::test_the_other_schedules_start_at_the_rate",),
    },
    "batch_norm": {"frozen": _POLICY, "affine_only": _POLICY, "train": _POLICY},
    "penalties": {
        "l2_sp": (
            f"{_PENALTIES}::test_l2_sp_of_a_linear_model_has_its_minimum_at_ridge_regression_from_the_origin",
            f"{_PENALTIES}::test_what_l2_sp_holds_gets_no_weight_decay",
        ),
        "distillation": (f"{_PENALTIES}::test_distillation_is_the_share_by_which_the_features_moved",),
        "l1": (f"{_PENALTIES}::test_l1_and_l2_are_sums_over_the_kernel_of_the_head",),
        "l2": (f"{_PENALTIES}::test_l1_and_l2_are_sums_over_the_kernel_of_the_head",),
        "dropout": (f"{_PENALTIES}::test_a_dropout_of_its_own_drops_that_share_and_leaves_the_head_alone",),
        "label_smoothing": (f"{_PENALTIES}::test_label_smoothing_is_cross_entropy_with_smoothed_targets",),
    },
    "after": {
        "ema": (f"{_AFTER}::test_the_moving_average_follows_its_formula_and_leaves_training_alone",),
        "soup": (
            f"{_AFTER}::test_a_greedy_soup_takes_in_what_does_not_hurt",
            f"{_AFTER}::test_candidates_are_the_best_epochs_in_their_order_and_come_back_from_their_state",
        ),
        "wise_ft": (
            f"{_AFTER}::test_interpolated_weights_are_exact_at_the_ends_and_give_interpolated_logits_of_a_linear_model",
            f"{_AFTER}::test_wise_ft_takes_the_share_that_is_best_on_validation",
        ),
        "recalibrate": (f"{_AFTER}::test_statistics_computed_anew_are_those_of_all_examples",),
    },
    "once more": {
        "refit_few": (
            "test_training_refit::test_the_second_head_is_the_one_that_all_labelled_examples_give_at_the_chosen_strength",
        ),
        "refit": ("test_evaluation_cross_validate::test_a_refit_is_a_training_on_all_examples_from_the_beginning",),
    },
}


def test_everything_that_can_be_asked_for_is_held_to_an_identity():
    hints = get_type_hints(Phase)
    assert set(IDENTITIES["strategies"]) == set(STRATEGIES)
    assert set(IDENTITIES["schedules"]) == set(get_args(hints["schedule"]))
    assert set(IDENTITIES["batch_norm"]) == set(get_args(hints["batch_norm"]))
    assert set(IDENTITIES["penalties"]) == {field.name for field in fields(Penalties)}
    assert set(IDENTITIES["after"]) == {"ema", *AFTER}


@pytest.mark.parametrize("kind", IDENTITIES)
def test_the_tests_of_an_identity_exist(kind):
    for name, tests in IDENTITIES[kind].items():
        assert tests, name
        for test in tests:
            module, _, function = test.partition("::")
            assert function in functions(module), test
