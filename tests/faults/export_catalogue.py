"""Every fault of exports that is known to happen, what tlkeras does about it, and the tests that check it; see `catalogue`."""

from tests.faults.catalogue import Fault

_GATE, _INT8, _TARGETS = "faults/test_export_gate", "test_export_int8", "test_export_targets"
_VERIFY, _METADATA, _LITERT = "test_export_verify", "test_export_metadata", "test_features_litert"
_REFUSED = f"{_GATE}::test_one_defect_of_each_kind_is_refused"
_CALIBRATION = f"{_INT8}::test_examples_that_would_give_wrong_ranges_are_refused"

EXPORT_FAULTS: dict[int, Fault] = {
    105: Fault(
        "operation that LiteRT lacks",
        "E naming it, no file",
        (
            f"{_GATE}::test_operations_that_litert_lacks_are_refused_at_conversion",
            f"{_TARGETS}::test_a_network_that_cannot_be_converted_leaves_no_file",
        ),
    ),
    106: Fault(
        "int8 without examples",
        "E before anything is written",
        (f"{_INT8}::test_int8_without_examples_is_refused_before_anything_is_written",),
    ),
    107: Fault(
        "calibration examples that are none, few or not finite",
        "E; the file is checked to be int8",
        (
            _CALIBRATION,
            f"{_INT8}::test_few_examples_are_refused_where_more_are_there",
            f"{_INT8}::test_a_file_that_is_not_int8_throughout_is_refused",
        ),
    ),
    108: Fault(
        "calibration on another scale",
        "read as in training; E; refused by the comparison",
        (
            f"{_INT8}::test_examples_are_drawn_from_those_given_and_read_as_in_training",
            _CALIBRATION,
            f"{_INT8}::test_bad_calibration_is_caught_by_the_comparison",
        ),
    ),
    109: Fault("calibration of another kind", "E", (f"{_GATE}::test_examples_of_another_kind_do_not_calibrate",)),
    110: Fault(
        "another model after quantisation",
        "refused with the numbers",
        (
            _REFUSED,
            f"{_INT8}::test_a_defect_in_an_int8_file_is_caught",
            f"{_VERIFY}::test_lost_accuracy_is_refused_only_where_the_examples_show_it",
        ),
    ),
    111: Fault(
        "labels in another order",
        "refused",
        (
            _REFUSED,
            f"{_VERIFY}::test_labels_swapped_inside_a_sealed_file_are_caught",
            f"{_METADATA}::test_every_changed_byte_of_the_model_is_noticed",
        ),
    ),
    112: Fault(
        "pictures read in another way than in training",
        "refused",
        (_REFUSED, f"{_GATE}::test_a_reader_that_ignores_the_orientation_is_noticed"),
    ),
    113: Fault(
        "export killed, disk full",
        "whole files only, no summary",
        (
            f"{_TARGETS}::test_an_interrupted_export_leaves_whole_files_and_no_summary",
            f"{_METADATA}::test_a_file_that_was_cut_short_is_refused",
        ),
    ),
}
