import json
from typing import Any

import numpy as np
import pytest

from tlkeras.data.load import load_texts
from tlkeras.data.table_files import parse_table
from tlkeras.data.tables import load_text_folder, read_table
from tlkeras.errors import DataError


def stored(part: Any) -> Any:
    """Return the store of a part, whatever its kind."""
    return part.store


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def words(number, *, seed=0):
    """Return `number` random words, so that no two texts look like copies."""
    letters = np.random.default_rng(seed).choice(list("abcdefghijklmnopqrstuvwxyz"), (number, 9))
    return " ".join("".join(word) for word in letters)


def reviews(number, columns="text,label"):
    """Return a CSV of different texts whose labels alternate."""
    rows = [f"this is review {n} {words(6, seed=n)},{'good' if n % 2 else 'bad'}" for n in range(number)]
    return "\n".join([columns, *rows]) + "\n"


def sizes(splits):
    return [len(splits.train), len(splits.val), len(splits.test)]


def all_texts(splits):
    return {text for part in (splits.train, splits.val, splits.test) for text in stored(part).texts}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_decides_the_delimiter(tmp_path, delimiter):
    path = write(tmp_path / "a.csv", f'text{delimiter}label\n"one, two; three | four\tfive"{delimiter}x\nsix{delimiter}y\n')
    table = parse_table(path)
    assert table.columns == ("text", "label")
    assert table.rows == (("one, two; three | four\tfive", "x"), ("six", "y"))


def test_row_numbers_are_physical_lines(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\r\n"two\r\nlines",x\r\n\r\nnext,y\r\n')
    frame = read_table(path)
    assert frame.index.tolist() == [2, 5] and frame.loc[5, "text"] == "next" and frame.loc[2, "text"] == "two\r\nlines"


def test_cells_stay_text(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\na,NA\nb,None\nc,null\nd,01\ne,1.0\nf,\ng,TRUE\n")
    assert read_table(path)["label"].tolist() == ["NA", "None", "null", "01", "1.0", "", "TRUE"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_labels_that_look_like_missing_values_are_classes(tmp_path, suffix):
    import pandas

    labels = ["NA", "None", "null", "nan", "01", "1"]
    frame = pandas.DataFrame({"text": [words(6, seed=n) for n in range(36)], "label": [labels[n % 6] for n in range(36)]})
    path = tmp_path / f"a.{suffix}"
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }[suffix]()
    splits = load_texts(path)
    assert sorted(splits.classes) == sorted(labels) and sizes(splits) == [24, 6, 6] and splits.skipped == ()


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    assert parse_table(write(tmp_path / "a.csv", "text,label\na,b\n", "utf-8-sig")).columns == ("text", "label")


@pytest.mark.parametrize(("encoding", "row", "guess"), [("latin-1", 3, "windows-1252"), ("utf-16", 1, "utf-16")])
def test_another_encoding_is_named_by_row_and_byte(tmp_path, encoding, row, guess):
    path = write(tmp_path / "a.csv", "text,label\nplain,x\ncaf\u00e9,y\n", encoding)
    with pytest.raises(DataError, match=rf"row {row}: byte 0x.. at offset \d+ is not UTF-8.*{guess}.*iconv"):
        parse_table(path)


def test_an_unclosed_quote_is_named_by_the_row_where_it_opens(tmp_path):
    rows = [f"text {n},x" for n in range(2000)]
    rows[10] = '"never closed,x'
    with pytest.raises(DataError, match=r"row 12: a quote"):
        parse_table(write(tmp_path / "a.csv", "text,label\n" + "\n".join(rows) + "\n"))
    rows[1500] = '"closed, far below",y'
    with pytest.raises(DataError, match=r"row 12: a quote"):
        parse_table(write(tmp_path / "a.csv", "text,label\n" + "\n".join(rows) + "\n"))


def test_ragged_rows_and_nul_bytes_are_skipped_with_their_row(tmp_path):
    table = parse_table(write(tmp_path / "a.csv", "text,label\na,b\nshort\nx,y,z\nn\0n,b\nc,d\n"))
    assert table.rows == (("a", "b"), ("c", "d")) and tuple(table.numbers) == (2, 6)
    assert [skipped.where.split(", ")[-1] for skipped in table.skipped] == ["row 3", "row 4", "row 5"]
    assert "1 cells instead of 2" in table.skipped[0].reason and "NUL" in table.skipped[2].reason


def test_a_long_cell_is_read(tmp_path):
    table = parse_table(write(tmp_path / "a.csv", f"text,label\n{'x' * 200_000},b\n"))
    assert len(table.rows[0][0]) == 200_000


def test_jsonl_keeps_values_as_text_and_skips_bad_lines(tmp_path):
    lines = [
        '{"text": "a", "label": 1}',
        '{"text": "b", "label": true, "more": null}',
        "",
        "[1, 2]",
        '{"text": "c", "text": "d"}',
        '{"text": "e", "label": NaN}',
        '{"text": "\\ud800", "label": "x"}',
        '{"text": "f"} {"text": "g"}',
        '{"text": "caf\u00e9", "label": "no',
    ]
    table = parse_table(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert table.columns == ("text", "label", "more") and tuple(table.numbers) == (1, 2)
    assert table.rows == (("a", "1", ""), ("b", "true", ""))
    assert [int(skipped.where.split("row ")[1]) for skipped in table.skipped] == [4, 5, 6, 7, 8, 9]
    reasons = [skipped.reason for skipped in table.skipped]
    assert "list" in reasons[0] and "twice" in reasons[1] and "NaN" in reasons[2] and "truncated" in reasons[5]


def test_xlsx_is_read_as_text(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("text", "label", None), ("a", 1, None), (None, None, None), ("b", "NA", "beyond")):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    frame = read_table(tmp_path / "a.xlsx")
    assert frame.columns.tolist() == ["text", "label"] and frame.index.tolist() == [2, 4]
    assert frame["label"].tolist() == ["1", "NA"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "text,label\n", "no rows below its header"),
        ("a.csv", "text,label\nx\n", "1 rows skipped, the first \\(.*a.csv, row 2\\): 1 cells instead of 2"),
        ("a.csv", "text,text,label\na,b,c\n", "several columns named 'text'"),
        ("a.jsonl", '[{"text": "a"}]', "JSON array. Expected JSONL"),
        ("a.xls", "x", r"Received a \.xls; allowed: .*\.csv"),
        ("a.xlsx", "no workbook", "not a readable XLSX workbook"),
    ],
)
def test_a_table_that_cannot_be_right_is_explained(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        parse_table(write(tmp_path / name, text))


def test_a_missing_table_and_a_folder_are_explained(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        parse_table(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="is a folder"):
        parse_table(tmp_path)


def test_columns_are_guessed_by_name_and_shown(tmp_path):
    path = write(tmp_path / "a.csv", reviews(20, "Review,Sentiment"))
    splits = load_texts(path, seed=0)
    assert splits.classes == ("bad", "good") and sizes(splits) == [12, 4, 4]  # of each class 10: 1.5 rounds up to 2
    assert "texts in 'Review', labels in 'Sentiment'" in splits.notes[0]


def test_columns_are_guessed_by_content_where_names_say_nothing(tmp_path):
    rows = "\n".join(f"{n},{words(6, seed=n)},{'ab'[n % 2]}" for n in range(20))
    splits = load_texts(write(tmp_path / "a.csv", f"id,c1,c2\n{rows}\n"), seed=0)
    assert "texts in 'c1', labels in 'c2'" in splits.notes[0] and splits.classes == ("a", "b")


def test_named_columns_are_used_and_not_commented(tmp_path):
    rows = "\n".join(
        f"some {words(5, seed=n)},another {words(5, seed=n)},{'ab'[n % 2]}{n % 3},{'xy'[n % 2]}" for n in range(30)
    )
    path = write(tmp_path / "a.csv", f"text,other,label,kind\n{rows}\n")
    splits = load_texts(path, text_column="other", label_column="kind", seed=0)
    assert splits.classes == ("x", "y") and all(text.startswith("another") for text in all_texts(splits))
    assert not any("guessed" in note for note in splits.notes)


def test_labels_and_rows_follow_their_texts(tmp_path):
    splits = load_texts(write(tmp_path / "a.csv", reviews(40)), seed=0)
    for part in (splits.train, splits.val, splits.test):
        for row in range(len(part)):
            number = int(stored(part).texts[row].split()[3])
            assert splits.classes[part.labels[row]] == ("good" if number % 2 else "bad")
            assert part.ids[row] == f"row {number + 2}" and part.store.where(row).endswith(f"a.csv, row {number + 2}")


def test_a_split_column_is_followed(tmp_path):
    parts = ["train"] * 6 + ["dev"] * 2 + ["Test"] * 4
    rows = [f"text {n},{'ab'[n % 2]},{part}" for n, part in enumerate(parts)]
    splits = load_texts(write(tmp_path / "a.csv", "text,label,split\n" + "\n".join(rows)), seed=0)
    assert sizes(splits) == [6, 2, 4] and "column 'split'" in splits.notes[-1]
    assert stored(splits.test).texts == ("text 8", "text 9", "text 10", "text 11")


def test_empty_texts_and_labels_are_skipped_with_their_row(tmp_path):
    splits = load_texts(write(tmp_path / "a.csv", reviews(20) + "  ,good\nno label, \n"), seed=0)
    assert sum(sizes(splits)) == 20
    assert [(skipped.where.split(", ")[-1], skipped.reason) for skipped in splits.skipped] == [
        ("row 22", "empty text"),
        ("row 23", "empty label"),
    ]


def test_copies_of_a_text_never_straddle_parts(tmp_path):
    rows = [f"text {n % 30},{'ab'[n % 2]}" for n in range(90)]
    splits = load_texts(write(tmp_path / "a.csv", "text,label\n" + "\n".join(rows)), seed=0)
    parts = [set(stored(part).texts) for part in (splits.train, splits.val, splits.test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2] and sum(sizes(splits)) == 90


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (reviews(9), {"text_column": "txt"}, "no column 'txt'. Did you mean 'text'.*'text', 'label'"),
        (reviews(9), {"label_column": "zzz"}, "no column 'zzz'. Its columns: 'text', 'label'"),
        (reviews(9), {"text_column": "label", "label_column": "label"}, "both texts and labels"),
        ("text\na\nb\n", {}, "has one column, 'text'. Expected"),
        ("text:label\na:b\n", {}, "has one column, 'text:label'.*separated by comma"),
        ("text,label\n" + "".join(f"text {n},x\n" for n in range(9)), {}, "at least two classes.*'x'"),
        ("text,label\n" + "".join(f"text {n},l{n}\n" for n in range(9)), {}, "9 different values in 9 rows"),
        ("text,kind\n" + "".join(f"text {n},l{n}\n" for n in range(9)), {}, "No column .*looks like labels"),
        ("text,label\n" + "".join(f"text {n},{'Aa'[n % 2]}\n" for n in range(9)), {}, "'A' and 'a'.*look alike"),
        ("I like it,good\n" + "".join(f"text {n},{('good', 'bad')[n % 2]}\n" for n in range(9)), {}, "seems to have no header"),
        (reviews(9) + "one,so-so\n", {}, "'so-so' has 1 different examples"),
        ("text,label,split\na,x,test\nb,y,val\n", {}, "no row with 'train'"),
    ],
)
def test_columns_and_labels_that_cannot_be_right_are_explained(tmp_path, text, options, message):
    with pytest.raises(DataError, match=message):
        load_texts(write(tmp_path / "a.csv", text), seed=0, **options)


def test_jsonl_and_csv_of_the_same_texts_give_the_same_split(tmp_path):
    csv = write(tmp_path / "a.csv", reviews(20))
    records = [{"text": row[0], "label": row[1]} for row in parse_table(csv).rows]
    jsonl = write(tmp_path / "a.jsonl", "\n" + "\n".join(map(json.dumps, records)))
    assert load_texts(csv, seed=1).fingerprint == load_texts(jsonl, seed=1).fingerprint


def test_a_folder_of_texts_is_read(tmp_path):
    for name in ("neg", "pos"):
        (tmp_path / name).mkdir()
        for number in range(6):
            write(tmp_path / name / f"{number}.txt", f"a {name} text {number}\n", "utf-8-sig")
    write(tmp_path / "neg" / "bad.txt", "caf\u00e9", "latin-1")
    write(tmp_path / "neg" / "empty.txt", " \n")
    write(tmp_path / "neg" / "list.md", "x")
    splits = load_text_folder(tmp_path, seed=0)
    assert splits.classes == ("neg", "pos") and sizes(splits) == [8, 2, 2]
    assert sorted(skipped.reason for skipped in splits.skipped) == [
        "empty text",
        "not UTF-8 (byte at offset 3)",
        "not a .txt file (.md)",
    ]
    row = int(np.flatnonzero(splits.train.labels == 1)[0])
    assert stored(splits.train).texts[row].startswith("a pos text")
    assert splits.train.store.where(row) == str(tmp_path / splits.train.ids[row])


def test_parsing_a_table_needs_no_pandas():
    import subprocess
    import sys

    code = "import sys, tlkeras.data.tables; print('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
