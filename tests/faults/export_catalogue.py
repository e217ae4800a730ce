"""Every fault of exports that is known to happen, what tlkeras does about it, and the tests that check it; see `catalogue`."""

from tests.faults.catalogue import Fault

_GATE, _INT8, _TARGETS = "faults/test_export_gate", "test_export_int8", "test_export_targets"
_VERIFY, _METADATA, _HTTP = "test_export_verify", "test_export_metadata", "test_serve_http"
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
            f"{_INT8}::test_few_examples_are_refused_where_more_are_there_and_else_warned_of",
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
        "refused with the numbers, renamed; the rest of the run is kept",
        (
            _REFUSED,
            f"{_INT8}::test_a_defect_in_an_int8_file_is_caught",
            f"{_VERIFY}::test_lost_accuracy_is_refused_only_where_the_examples_show_it",
            f"{_INT8}::test_an_int8_file_that_lost_too_much_is_set_apart_and_spoils_nothing_else",
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
    114: Fault(
        "served: junk, another type, nothing",
        "415 or 422 as JSON, no traceback",
        (
            f"{_HTTP}::test_junk_for_a_picture_is_refused_with_the_reason",
            f"{_HTTP}::test_junk_for_a_text_is_refused_with_the_reason",
            f"{_HTTP}::test_a_model_that_fails_says_so_without_a_traceback_and_the_next_is_answered",
            "test_serve_fuzz::test_mangled_pictures_are_answered_or_refused_but_never_break_the_server",
        ),
    ),
    115: Fault(
        "served: oversized, without length, slow",
        "413, 411, 408",
        (
            f"{_HTTP}::test_an_oversized_body_is_refused_by_its_length_and_the_client_sees_why",
            f"{_HTTP}::test_a_body_without_a_length_is_refused",
            f"{_HTTP}::test_a_slow_body_is_given_up",
            f"{_HTTP}::test_a_slow_head_is_given_up",
        ),
    ),
    116: Fault(
        "served: pixel bomb", "413 by its header", (f"{_HTTP}::test_a_picture_of_too_many_pixels_is_refused_by_its_header",)
    ),
    117: Fault(
        "served: file names and labels that are paths or markup",
        "ignored; escaped",
        (
            f"{_HTTP}::test_a_file_name_in_a_header_counts_for_nothing",
            f"{_HTTP}::test_labels_that_are_not_valid_unicode_or_look_like_markup_survive",
            "test_serve_page::test_a_picture_is_answered_explained_and_compared",
        ),
    ),
    118: Fault(
        "served: many requests at once",
        "503 with Retry-After, alive afterwards",
        (
            f"{_HTTP}::test_too_many_at_once_are_told_to_come_back_and_the_server_lives_on",
            "test_serve_fuzz::test_hundreds_of_requests_at_concurrency_16_have_no_error_and_leave_memory_flat",
        ),
    ),
}
