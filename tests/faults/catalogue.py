"""Every fault of data that is known to happen, what tlkeras does about it, and the tests that check it.

E: an error before training. S: skipped, counted and listed. W: a warning or a finding of `tlkeras check`. ok: works.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault: what happens, what is done about it, and the tests, as `module::function` below `tests/`."""

    case: str
    outcome: str
    tests: tuple[str, ...]


_DECODE, _FOLDERS, _HEALTH = "test_data_decode", "test_data_folders", "test_data_health"
_SPLITS, _UNITS, _TABLES, _LABELS = "test_data_splits", "test_data_units", "test_data_tables", "test_data_labels"
_PICTURES, _CLASSES = "faults/test_pictures", "faults/test_classes"
_SKIPPED = f"{_FOLDERS}::test_what_cannot_be_read_is_skipped_with_its_reason"
_UNREADABLE = f"{_HEALTH}::test_files_that_cannot_be_read_are_errors_with_their_reasons"
_HEADERS = f"{_HEALTH}::test_pictures_that_mislead_are_found_by_their_headers"
_FOLDER = f"{_FOLDERS}::test_a_folder_that_cannot_be_right_is_explained"
_ALIKE = f"{_HEALTH}::test_classes_that_cannot_be_told_apart_or_learnt_are_found"
_COPIES = f"{_HEALTH}::test_copies_are_told_by_part_and_label"
_RAGGED = f"{_TABLES}::test_ragged_rows_and_nul_bytes_are_skipped_with_their_row"
_BROKEN_TABLE = f"{_TABLES}::test_a_table_that_cannot_be_right_is_explained"
_JSONL = f"{_TABLES}::test_jsonl_keeps_values_as_text_and_skips_bad_lines"
_COLUMNS = f"{_TABLES}::test_columns_and_labels_that_cannot_be_right_are_explained"
_TEXTS = f"{_HEALTH}::test_texts_that_are_empty_short_garbled_or_marked_up_are_found"
_TOKENS = f"{_HEALTH}::test_tokens_are_counted_with_the_tokenizer"
_SAME_PIXELS = "test_export_decode_graph::test_every_kind_of_png_and_grey_and_cmyk_jpeg_gives_the_same_pixels"
_PAGE = "test_report_check::test_the_page_is_whole_escaped_and_loads_nothing"

FAULTS: dict[int, Fault] = {
    1: Fault("truncated JPEG", "S", (_SKIPPED, _UNREADABLE)),
    2: Fault("truncated PNG", "S", (f"{_DECODE}::test_a_truncated_picture_is_refused",)),
    3: Fault("empty file", "S", (_SKIPPED, _UNREADABLE)),
    4: Fault(
        "text or HTML named .jpg",
        "S, says what it is: page, message, SVG, Git LFS, PDF, text",
        (_SKIPPED, _UNREADABLE, f"{_DECODE}::test_what_cannot_be_decoded_is_refused_with_a_plain_reason"),
    ),
    5: Fault(
        "PNG named .jpg",
        "ok, W once",
        (
            f"{_FOLDERS}::test_a_suffix_says_nothing",
            f"{_PICTURES}::test_pixels_are_the_same_whatever_a_file_is_called",
            _HEADERS,
        ),
    ),
    6: Fault("TIFF named .jpg", "ok, W: it can be read", (f"{_PICTURES}::test_a_tiff_named_jpg_is_read_and_told_once",)),
    7: Fault(
        "WebP, TIFF, AVIF, HEIC in a folder",
        "ok",
        (
            f"{_PICTURES}::test_newer_formats_count_like_the_others",
            f"{_DECODE}::test_every_format_gives_the_same_picture",
            f"{_DECODE}::test_heic_is_read",
        ),
    ),
    8: Fault("upper-case suffix", "ok", (f"{_PICTURES}::test_an_upper_case_suffix_is_like_any_other",)),
    9: Fault("CMYK JPEG", "ok, W", (f"{_DECODE}::test_cmyk_and_one_bit_and_grey_become_rgb", _HEADERS)),
    10: Fault(
        "16-bit grey",
        "ok, W; the same in training and in an export",
        (f"{_DECODE}::test_sixteen_bit_grey_is_scaled_and_not_clipped", _HEADERS, _SAME_PIXELS),
    ),
    11: Fault(
        "palette and 1 bit",
        "ok",
        (
            f"{_DECODE}::test_palettes_of_every_depth_give_their_colours",
            f"{_DECODE}::test_cmyk_and_one_bit_and_grey_become_rgb",
            _SAME_PIXELS,
        ),
    ),
    12: Fault("transparency", "on white, W", (f"{_DECODE}::test_transparency_becomes_white", _HEADERS)),
    13: Fault("animated GIF", "first frame, W", (f"{_DECODE}::test_an_animation_gives_its_first_frame", _HEADERS)),
    14: Fault(
        "EXIF rotation",
        "applied, in training as in an export; told with its share",
        (
            f"{_DECODE}::test_orientation_is_applied_as_pillow_applies_it",
            "test_export_decode_graph::test_all_orientations_in_both_byte_orders_are_applied",
            _HEADERS,
        ),
    ),
    15: Fault(
        "pixel bomb", "S before decoding", (f"{_DECODE}::test_a_pixel_bomb_is_refused_before_it_is_decoded", _UNREADABLE)
    ),
    16: Fault(
        "one pixel; extreme shape",
        "W below 8 pixels, S above 50 to 1",
        (f"{_PICTURES}::test_a_picture_of_one_pixel_is_told_and_a_ribbon_is_left_out", _HEADERS),
    ),
    17: Fault(
        "APNG and other films", "first frame, W", (f"{_PICTURES}::test_of_several_frames_the_first_is_used_and_that_is_told",)
    ),
    18: Fault("inverted CMYK, wide gamut", "W", (f"{_PICTURES}::test_inverted_cmyk_is_not_taken_for_its_negative", _HEADERS)),
    19: Fault(
        "names that are not UTF-8",
        "ok; E for a class",
        (
            f"{_FOLDERS}::test_names_that_are_not_utf8_are_read",
            f"{_FOLDERS}::test_a_class_name_must_be_valid_text",
            _FOLDER,
            "test_data_split_files::test_names_that_are_formulas_or_no_utf8_come_back",
            "test_files::test_names_of_files_that_are_not_utf8_are_written_escaped_and_come_back_from_json",
            "test_report_check::test_names_that_are_no_utf8_or_move_the_cursor_are_shown_escaped",
        ),
    ),
    20: Fault("link to nothing", "S", (_SKIPPED,)),
    21: Fault("links to folders, loops", "not followed, S", (f"{_FOLDERS}::test_links_never_lead_out_of_the_folder",)),
    22: Fault(
        "__MACOSX, Thumbs.db …",
        "ignored",
        (f"{_FOLDERS}::test_nested_folders_belong_to_their_class_and_clutter_is_ignored",),
    ),
    23: Fault("pictures beside the class folders", "S; E if all are", (_SKIPPED, _FOLDER)),
    24: Fault(
        "file vanishes or changes after it was checked",
        "S + W, also while it is read; E if many do; one that changed is read as it is",
        (
            "test_data_vanished::test_a_picture_that_vanished_is_left_out_and_said",
            "test_data_vanished::test_a_picture_that_vanishes_while_it_is_read_is_left_out_and_said",
            "test_data_vanished::test_a_training_goes_on_without_a_picture_that_vanishes_while_it_is_read",
            "test_data_vanished::test_a_picture_that_changed_is_said_and_read_as_it_is",
            "test_data_vanished::test_a_picture_that_is_damaged_since_it_was_checked_is_left_out_and_said",
            "test_data_vanished::test_a_class_that_vanished_is_an_error_that_names_a_file",
            "test_data_vanished::test_the_gallery_goes_on_without_pictures_that_vanish_while_it_is_made",
            "test_data_vanished::test_whatever_reads_a_picture_names_it_when_it_is_gone",
            "test_export_verify::test_a_picture_that_goes_or_changes_after_keras_was_asked_is_not_held_against_an_export",
            "test_export_verify::test_pictures_that_never_rest_are_an_error_that_names_one",
        ),
    ),
    25: Fault("no permission", "S", (f"{_PICTURES}::test_a_file_that_may_not_be_read_is_skipped",)),
    26: Fault("empty class folder", "E", (_FOLDER, _ALIKE)),
    27: Fault("one class", "E", (_FOLDER, f"{_HEALTH}::test_one_class_is_an_error")),
    28: Fault("missing or empty folder", "E", (_FOLDER,)),
    29: Fault(
        "class of one example", "E", (f"{_CLASSES}::test_a_class_of_one_example_is_an_error_that_names_it_and_the_way_out",)
    ),
    30: Fault(
        "a share that rounds to nothing",
        "never empty",
        (
            f"{_SPLITS}::test_three_examples_of_a_class_go_one_to_each_part",
            f"{_UNITS}::test_every_part_gets_something_however_uneven_the_groups_are",
        ),
    ),
    31: Fault("no seed", "set and said", (f"{_CLASSES}::test_the_seed_is_always_set_and_said",)),
    32: Fault("blanks, Unicode, emoji", "ok", (f"{_CLASSES}::test_class_folders_with_blanks_and_emoji_are_ordinary",)),
    33: Fault(
        "/, .., CON, control characters in labels",
        "data, never paths",
        (
            f"{_CLASSES}::test_awkward_class_names_are_data_and_never_paths",
            "test_export_metadata::test_hostile_labels_survive_in_the_contract",
        ),
    ),
    34: Fault("HTML and formulas", "escaped", (_PAGE, f"{_SPLITS}::test_splits_are_written_with_harmless_cells")),
    35: Fault(
        "Unicode, case and blank twins",
        "E",
        (
            f"{_FOLDERS}::test_two_spellings_of_one_unicode_name_look_alike",
            f"{_CLASSES}::test_names_that_differ_in_blanks_or_case_are_refused",
            _ALIKE,
        ),
    ),
    36: Fault(
        "numbers as labels",
        "natural order, which every artefact carries and is checked for",
        (
            f"{_LABELS}::test_numbers_as_labels_are_in_numeric_order",
            f"{_FOLDERS}::test_class_folders_are_ordered_by_their_numbers",
            "test_data_arrays::test_number_labels_keep_their_numeric_order",
            "test_export_verify::test_labels_swapped_inside_a_sealed_file_are_caught",
        ),
    ),
    37: Fault(
        "copies within and across parts",
        "kept together; left out of training; told",
        (
            f"{_FOLDERS}::test_exact_copies_of_a_file_stay_on_one_side",
            f"{_FOLDERS}::test_copies_of_test_pictures_are_left_out_of_training",
            f"{_UNITS}::test_near_copies_stay_on_one_side_unless_asked_otherwise",
            _COPIES,
        ),
    ),
    38: Fault(
        "one picture, two labels",
        "W; E above 1 %",
        (_COPIES, f"{_HEALTH}::test_few_pictures_with_two_labels_among_many_are_a_warning"),
    ),
    39: Fault(
        "imbalance", "W; weights", (_ALIKE, "test_training_balance::test_auto_weights_from_three_to_one_on_and_says_why")
    ),
    40: Fault(
        "label noise",
        "listed, nothing deleted",
        ("test_evaluation_label_errors::test_planted_label_errors_are_found_and_their_class_is_suggested",),
    ),
    41: Fault("class sets differ", "E", (_FOLDER, f"{_HEALTH}::test_classes_that_a_part_lacks_are_named")),
    42: Fault(
        "test part without labels", "left out, said", (f"{_LABELS}::test_a_test_part_without_labels_is_left_out_and_said",)
    ),
    43: Fault("all predictions one class", "W", (f"{_CLASSES}::test_a_model_that_tells_nothing_apart_is_told",)),
    44: Fault(
        "a group in two parts",
        "E; W by file names",
        (
            f"{_UNITS}::test_a_group_that_lies_in_two_given_parts_is_an_error_that_names_it",
            f"{_HEALTH}::test_groups_in_two_parts_are_an_error_and_series_of_names_a_warning",
        ),
    ),
    45: Fault("byte order mark", "ok", (f"{_TABLES}::test_a_byte_order_mark_is_no_part_of_the_header",)),
    46: Fault("UTF-16, Latin-1", "E with row and byte", (f"{_TABLES}::test_another_encoding_is_named_by_row_and_byte",)),
    47: Fault("unclosed quote", "E with row", (f"{_TABLES}::test_an_unclosed_quote_is_named_by_the_row_where_it_opens",)),
    48: Fault(
        "commas and line breaks in quotes",
        "ok; rows are counted as physical lines",
        (
            f"{_TABLES}::test_row_numbers_are_physical_lines",
            f"{_TABLES}::test_the_header_decides_the_delimiter",
            "test_data_readers::test_what_the_csv_module_writes_is_read_back_row_by_row",
        ),
    ),
    49: Fault("too many or too few cells", "S with row", (_RAGGED,)),
    50: Fault("NUL byte", "S with row", (_RAGGED,)),
    51: Fault("cell above 128 kB", "ok", (f"{_TABLES}::test_a_long_cell_is_read",)),
    52: Fault("header only, empty file", "E", (_BROKEN_TABLE,)),
    53: Fault("no such column", "E with the columns", (_COLUMNS,)),
    54: Fault(
        "labels NA, None, null, 01; whole numbers with a gap",
        "stay text; S where empty",
        (
            f"{_TABLES}::test_cells_stay_text",
            f"{_TABLES}::test_labels_that_look_like_missing_values_are_classes",
            f"{_TABLES}::test_empty_texts_and_labels_are_skipped_with_their_row",
            f"{_TABLES}::test_xlsx_is_read_as_text",
            "test_data_arrow::test_cells_of_a_parquet_file_are_text_as_a_person_would_write_it",
            "test_data_frames::test_cells_of_a_frame_are_text_as_they_would_stand_in_a_file",
        ),
    ),
    55: Fault("other delimiter", "found; E", (f"{_TABLES}::test_the_header_decides_the_delimiter", _COLUMNS)),
    56: Fault("column names twice", "E", (_BROKEN_TABLE,)),
    57: Fault("JSONL: two objects, array, cut", "S with line; E", (_JSONL, _BROKEN_TABLE)),
    58: Fault("JSONL: keys twice, NaN, surrogate", "S with line", (_JSONL,)),
    59: Fault("empty text", "S with row", (f"{_TABLES}::test_empty_texts_and_labels_are_skipped_with_their_row", _TEXTS)),
    60: Fault(
        "text too long", "W with share", ("test_data_pipelines::test_truncation_is_reported_where_it_is_notable", _TOKENS)
    ),
    61: Fault(
        "emoji, right-to-left, combining",
        "ok",
        ("test_sources_tokenizer::test_awkward_texts_have_the_same_ids_inside_a_graph",),
    ),
    62: Fault("nothing but unknown tokens", "W", (_TOKENS,)),
    63: Fault(
        "copies of texts across parts",
        "as 37",
        (
            f"{_TABLES}::test_copies_of_a_text_never_straddle_parts",
            f"{_UNITS}::test_near_copies_of_test_examples_are_left_out_of_given_training_parts",
        ),
    ),
    64: Fault(
        "large file",
        "read once; beyond 256 MiB of text it lies in a temporary file, read by place",
        (
            "faults/test_tables::test_a_large_table_is_read_in_memory_of_its_size",
            "test_data_cells::test_a_table_larger_than_the_limit_is_read_and_split_without_being_held",
        ),
    ),
    65: Fault(
        "cell that begins with =", "harmless", ("test_files::test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe",)
    ),
    66: Fault(
        "TFDS: name, network, checksum",
        "E with the ways out",
        (
            "test_data_catalogues::test_names_that_do_not_exist_are_explained",
            "test_data_catalogues::test_without_data_and_without_a_network_the_ways_out_are_named",
            "test_data_catalogues::test_a_download_that_fails_is_explained",
        ),
    ),
}
