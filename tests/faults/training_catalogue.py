"""Every fault of training that is known to happen, what tlkeras does about it, and the tests that check it; see `catalogue`."""

from tests.faults.catalogue import Fault

_FIT, _RESUME, _CHECKPOINTS, _RUNS = "test_training_fit", "test_training_resume", "test_training_checkpoints", "test_runs"
_KILLED = f"{_RESUME}::test_a_killed_training_ends_with_the_same_bits"
_ASKED = f"{_RESUME}::test_a_training_that_is_asked_to_stop_keeps_its_place_and_ends_with_the_same_bits"
_OTHER = f"{_RESUME}::test_a_checkpoint_of_another_training_is_refused_and_the_difference_named"
_DAMAGED = f"{_RESUME}::test_a_damaged_checkpoint_is_told_and_the_one_before_it_is_taken"
_CRASH = f"{_CHECKPOINTS}::test_a_process_that_dies_at_any_write_sync_or_rename_leaves_a_whole_checkpoint"
_LOCKED = f"{_RUNS}::test_a_second_process_is_refused_and_told_the_pid"
_NAN = f"{_RESUME}::test_a_loss_that_is_not_finite_leaves_finite_checkpoints_and_the_best_weights"

TRAINING_FAULTS: dict[int, Fault] = {
    67: Fault(
        "loss that is not a number",
        "E with phase, epoch and step; checkpoints and best weights stay finite",
        (f"{_FIT}::test_a_loss_that_is_not_finite_ends_with_an_explanation", _NAN),
    ),
    68: Fault(
        "learning rate too high",
        "the weights of the start stay",
        (f"{_FIT}::test_a_phase_that_only_makes_things_worse_leaves_the_weights_of_the_start",),
    ),
    69: Fault(
        "out of memory",
        "W, the same steps in parts; E with exit code 3 and what to make smaller where not one example fits",
        (
            "test_training_memory::test_a_step_in_parts_is_the_step_on_the_whole_batch",
            "test_training_memory::test_what_does_not_fit_in_parts_of_one_example_is_an_error",
            "test_cli::test_each_kind_of_failure_has_its_exit_code_and_no_traceback",
        ),
    ),
    70: Fault("SIGKILL within an epoch", "goes on bit for bit", (_KILLED,)),
    71: Fault("SIGKILL during a save", "the last checkpoint is whole", (_CRASH,)),
    72: Fault("SIGTERM", "kept at the step, exit code 143", (_ASKED,)),
    73: Fault("SIGINT", "kept at the step, exit code 130", (_ASKED,)),
    74: Fault(
        "disk full at a checkpoint",
        "W, training goes on, the last checkpoint stays",
        (
            f"{_RESUME}::test_without_room_for_checkpoints_training_goes_on_and_says_so",
            f"{_CHECKPOINTS}::test_a_full_file_system_leaves_the_last_checkpoint_and_nothing_else",
            f"{_CHECKPOINTS}::test_a_file_that_may_not_grow_leaves_the_last_checkpoint_and_nothing_else",
        ),
    ),
    75: Fault(
        "output folder that cannot be written", "E before training", (f"{_RUNS}::test_an_output_that_is_a_file_is_refused",)
    ),
    76: Fault(
        "output folder in use",
        "E with the process",
        (
            _LOCKED,
            f"{_RUNS}::test_a_killed_process_leaves_no_lock_behind",
            f"{_RUNS}::test_a_file_system_without_locks_is_a_warning",
        ),
    ),
    77: Fault(
        "output folder of another or a finished run",
        "E",
        (
            f"{_RUNS}::test_an_output_folder_that_holds_other_things_is_refused_and_left_as_it_is",
            f"{_RUNS}::test_a_finished_run_is_neither_overwritten_nor_resumed",
        ),
    ),
    78: Fault(
        "checkpoint cut short, or with a flipped bit",
        "W, the one before it is taken",
        (
            _DAMAGED,
            f"{_CHECKPOINTS}::test_no_flipped_bit_goes_unnoticed",
            f"{_CHECKPOINTS}::test_files_that_are_no_checkpoint_are_told_and_left_alone",
        ),
    ),
    79: Fault("weights and place in two files that disagree", "one file holds both", (_CRASH,)),
    80: Fault("place beyond the end, or missing", "the place is in the file and its name", (_KILLED, _OTHER)),
    81: Fault("checkpoint of another recipe, order of labels, data", "E with the differences", (_OTHER,)),
    82: Fault("checkpoint of another version", "E with both versions", (_OTHER,)),
    83: Fault(
        "best model after a restart",
        "part of the state",
        (f"{_RESUME}::test_the_best_so_far_survives_a_stop_that_a_worse_epoch_follows", _KILLED),
    ),
    84: Fault(
        "clock that jumps",
        "order by number, monotonic clock",
        (f"{_CHECKPOINTS}::test_places_are_ordered_by_their_numbers_and_not_by_the_clock",),
    ),
    85: Fault("two runs started at once", "as 76", (_LOCKED,)),
    86: Fault(
        "input that hangs",
        "W with the stacks of all threads; waits on",
        (
            "test_training_watching::test_input_that_hangs_is_one_warning_and_steps_that_go_on_are_none",
            "test_training_watching::test_each_training_is_watched",
        ),
    ),
    87: Fault(
        "checkpoint that fails",
        "W, training goes on",
        (f"{_RESUME}::test_without_room_for_checkpoints_training_goes_on_and_says_so",),
    ),
    88: Fault("nothing to train", "E", (f"{_FIT}::test_a_phase_that_trains_nothing_is_refused",)),
    89: Fault(
        "rest of an epoch that is no full batch",
        "trained too",
        ("test_training_batches::test_an_epoch_holds_every_example_once_and_starts_at_any_step",),
    ),
    90: Fault(
        "16 bits that overflow, or on a CPU",
        "the loss is scaled, steps that overflow are left out; W on a CPU; E with the way out",
        (
            "test_training_precision::test_gradients_that_overflow_leave_the_weights_and_halve_the_scale",
            "test_training_precision::test_auto_goes_by_what_the_device_has",
            "test_training_precision::test_16_bits_on_a_cpu_are_a_warning_and_a_loss_that_overflows_names_the_way_out",
        ),
    ),
    91: Fault(
        "missing package",
        "E with the pip line",
        (
            "test_sources_catalog::test_a_package_that_is_missing_is_its_pip_line",
            "test_doctor::test_a_missing_extra_says_how_to_get_it",
        ),
    ),
    92: Fault(
        "no network for weights",
        "E with the ways out",
        ("test_sources_image::test_a_failed_download_is_one_message_with_the_ways_out",),
    ),
    93: Fault(
        "weights with another checksum",
        "E, not kept",
        ("test_sources_image::test_a_download_with_another_digest_is_refused_and_not_kept",),
    ),
    94: Fault(
        "weights of another network",
        "E",
        ("test_sources_image::test_weights_that_the_network_has_no_place_for_are_refused",),
    ),
    95: Fault("device that is not used", "told by doctor", ("test_doctor::test_the_devices_are_asked_for_in_another_process",)),
    96: Fault(
        "other number of threads on resume",
        "W: equal up to rounding",
        (f"{_RESUME}::test_another_number_of_threads_is_a_warning",),
    ),
}
