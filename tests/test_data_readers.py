"""What the readers of tables do with files that stock tools read wrongly, and with whatever else a file may hold."""

import csv
import gzip
import io
import json
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data_files import words
from tlkeras.data.archives import unpack
from tlkeras.data.encodings import guess_encoding
from tlkeras.data.layout import scan_folder
from tlkeras.data.load import load_texts
from tlkeras.data.table_files import parse_table
from tlkeras.errors import DataError

FUZZ = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)


def reading(path):
    """Return a table, or the message of the error that was made for the user; nothing else may escape."""
    try:
        return parse_table(path)
    except (DataError, ValueError) as error:
        assert type(error) in (DataError, ValueError) and str(path.name) in str(error)
        return str(error)


SENTENCES = {
    "cp1252": "Die sch\u00f6nen B\u00e4ume \u00fcber dem Flu\u00df, \u201ewirklich\u201c",
    "cp1251": "Это очень хороший фильм, мне понравилось",
    "shift_jis": "\u3053\u306e\u6620\u753b\u306f\u3068\u3066\u3082\u826f\u304b\u3063\u305f\u3067\u3059",
    "gb18030": "\u8fd9\u90e8\u7535\u5f71\u975e\u5e38\u597d\u770b\uff0c\u6211\u5f88\u559c\u6b22",
    "utf-16": "caf\u00e9",
}


@pytest.mark.parametrize("encoding", sorted(SENTENCES))
def test_naming_the_encoding_that_the_message_suggests_reads_the_file(tmp_path, encoding):
    rows = [f"{SENTENCES[encoding]} {words(n)}\t{'ab'[n % 2]}" for n in range(12)]
    path = tmp_path / "a.tsv"
    path.write_bytes("\n".join(["text\tlabel", *rows]).encode(encoding))
    with pytest.raises(DataError, match=r"is not UTF-8.*--encoding") as raised:
        load_texts(path)
    guess = guess_encoding(path)
    assert f"encoding={guess!r}" in str(raised.value)
    assert parse_table(path, encoding=guess).rows[0][0] == rows[0].split("\t")[0]
    with pytest.raises(ValueError, match=r"Unknown encoding. Received: 'utf-9'"):
        load_texts(path, encoding="utf-9")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_the_row_of_the_first_wrong_byte_is_named(tmp_path, kind):
    good = b'{"text": "a", "label": "b"}\n' if kind == "jsonl" else b"text,label\n"
    (tmp_path / f"a.{kind}").write_bytes(good + b"x,y\n" * 3 + b"caf\xe9,x\n")
    with pytest.raises(DataError, match=rf"row 5: byte 0xe9 at offset {len(good) + 15} is not UTF-8"):
        parse_table(tmp_path / f"a.{kind}")


def test_a_quote_that_swallows_rows_and_is_closed_far_below_is_named_by_the_row_where_it_opens(tmp_path):
    rows = [f"text number {n},x" for n in range(2000)]
    rows[10], rows[1500] = '"never closed,x', 'closed by chance",y'
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows]))
    assert len(list(csv.reader(io.StringIO((tmp_path / "a.csv").read_text())))) == 511, "the csv module says nothing"
    with pytest.raises(DataError, match=r"row 12: a quote .*many lines that look like rows"):
        parse_table(tmp_path / "a.csv")


def test_long_texts_of_many_lines_are_no_swallowed_rows(tmp_path):
    poem = "\n".join(f"line {n} of a poem, with commas, here and there" for n in range(100))
    with (tmp_path / "a.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), (poem, "x"), ("short", "y")])
    table = parse_table(tmp_path / "a.csv")
    assert table.column("text") == [poem, "short"] and tuple(table.numbers) == (2, 102)


def test_tsv_without_quoting_is_read_and_that_is_said(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"Great" film\tx\n"one quote only\ty\nplain, with comma\tx\n')
    table = parse_table(tmp_path / "a.tsv")
    assert (
        table.column("text") == ['"Great" film', '"one quote only', "plain, with comma"]
        and "taken as they stand" in table.notes[0]
    )


def test_a_cell_beyond_the_limit_is_left_out_by_row(tmp_path):
    (tmp_path / "a.csv").write_text(f"text,label\na,x\n{'y' * 10_000_001},x\nb,y\n")
    table = parse_table(tmp_path / "a.csv")
    assert table.column("text") == ["a", "b"] and table.skipped[0].where.endswith("row 3")
    assert "more than 10,000,000 characters" in table.skipped[0].reason


@pytest.mark.parametrize(
    ("header", "rows", "columns"),
    [
        ("text, really;label", ["a, b, c;x", "d;y"], ("text, really", "label")),
        ("a,b;c,d", ["1,2;3,4", "5,6;7,8"], ("a", "b;c", "d")),
        ("id,no\ttext\tlabel", ["1,1\ta\tb"], ("id,no", "text", "label")),
    ],
)
def test_the_delimiter_is_the_one_by_which_the_rows_fit(tmp_path, header, rows, columns):
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]))
    assert parse_table(tmp_path / "a.csv").columns == columns


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_read(tmp_path, end):
    (tmp_path / "a.csv").write_bytes(end.join(["text,label", "a,x", "", "b,y", ""]).encode())
    table = parse_table(tmp_path / "a.csv")
    assert table.column("text") == ["a", "b"] and tuple(table.numbers) == (2, 4)


def test_rows_of_empty_cells_are_reported_and_blank_lines_are_none(tmp_path):
    rows = [f"{words(n)},{'ab'[n % 2]}" for n in range(12)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows, "", "   ", ",", ","]))
    assert [(one.where[-6:], one.reason) for one in load_texts(tmp_path / "a.csv").skipped] == [
        ("row 16", "empty text"),
        ("row 17", "empty text"),
    ]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04" + bytes(50), "a zip file"),
        (gzip.compress(b"text,label\n", mtime=0), "a gzip file"),
        (b"\xd0\xcf\x11\xe0" + bytes(50), r"an old Excel workbook"),
        (b"PAR1" + bytes(50), "a Parquet file"),
        (b"%PDF-1.7", "a PDF"),
        (bytes(range(256)) + bytes(50), "no text"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, data, what):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(DataError, match=rf"a\.csv' is {what}.*, not CSV"):
        parse_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a\\u0000"}', "NUL"),
        ('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply|recursion"),
        ('{"text": ' + "9" * 5000 + "}", "digits|limit"),
        ('{"text": Infinity}', "Infinity is not JSON"),
        ('"text"', "a str, not an object"),
    ],
)
def test_a_line_of_jsonl_that_is_none_is_left_out_by_row(tmp_path, line, reason):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "x"}\n' + line + "\n")
    table = parse_table(tmp_path / "a.jsonl")
    assert tuple(table.numbers) == (1,) and table.skipped[0].where.endswith("row 2")
    assert any(word in table.skipped[0].reason for word in reason.split("|"))


def test_line_separators_inside_strings_break_no_line(tmp_path):
    text = "a\u2028b\x85c\x0cd"
    line = json.dumps({"text": text, "label": "x"}, ensure_ascii=False).replace(", ", ",\r")
    (tmp_path / "a.jsonl").write_bytes(f"{line}\r\n{line}\n".encode())
    assert parse_table(tmp_path / "a.jsonl").rows == ((text, "x"), (text, "x"))


def test_a_workbook_that_is_a_bomb_or_damaged_is_refused(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["text", "label"])
    book.save(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.xml", bytes(300_000_000))
    with pytest.raises(DataError, match="it unpacks to 300,"):
        parse_table(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<nothing")
    with pytest.raises(DataError, match=r"b\.xlsx' is not a readable XLSX workbook"):
        parse_table(tmp_path / "b.xlsx")


def test_only_the_first_sheet_is_read_and_that_is_said(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("text", "label"), ("a", True), ("b", 1.0), ("c", "=1+1")):
        book.active.append(row)
    book.create_sheet("more").append(["x"])
    book.save(tmp_path / "a.xlsx")
    table = parse_table(tmp_path / "a.xlsx")
    assert table.column("label") == ["true", "1", ""] and "'more'" in table.notes[0]


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@FUZZ
@given(rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=12), delimiter=st.sampled_from(",;\t|"))
def test_what_the_csv_module_writes_is_read_back_row_by_row(tmp_path, rows, delimiter):
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([("first", "second", "third"), *rows])
    assert parse_table(tmp_path / "a.csv").rows == tuple(rows)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | CELL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELL, inner, max_size=3),
    max_leaves=4,
)


@FUZZ
@given(records=st.lists(st.dictionaries(CELL.filter(bool), VALUE, min_size=1, max_size=4), min_size=1, max_size=8))
def test_what_the_json_module_writes_is_read_back_row_by_row(tmp_path, records):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    table = parse_table(tmp_path / "a.jsonl")
    assert tuple(table.numbers) == tuple(range(1, len(records) + 1))
    for record, row in zip(records, table.rows, strict=True):
        cells = dict(zip(table.columns, row, strict=True))
        for key, value in record.items():
            assert cells[key] == (
                "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            )


LINES = st.lists(st.text(st.sampled_from("ab,;\t|\"' {}[]:1\u00e9"), max_size=20), max_size=20)


@FUZZ
@given(lines=LINES, kind=st.sampled_from(["csv", "tsv"]))
def test_every_line_without_quotes_is_kept_or_reported(tmp_path, lines, kind):
    lines = ["text,label", *(line.replace('"', "") for line in lines)]
    path = tmp_path / f"a.{kind}"
    path.write_text("\n".join(lines), encoding="utf-8")
    filled = sum(bool(line.strip()) for line in lines[1:])
    table = reading(path)
    if isinstance(table, str):
        assert "no rows below its header" in table and (not filled or f" {filled} rows skipped" in table)
    else:
        reported = [*table.numbers, *(int(one.where.rsplit("row ", 1)[1]) for one in table.skipped)]
        blank = {number for number, line in enumerate(lines, 1) if not line.strip()}
        assert sorted({*reported} | blank | {1}) == list(range(1, len(lines) + 1)) and len(reported) == len(set(reported))


@FUZZ
@given(lines=LINES)
def test_every_line_of_jsonl_is_kept_or_reported(tmp_path, lines):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(['{"text": "a"}', *lines]), encoding="utf-8")
    table = reading(path)
    assert not isinstance(table, str)
    filled = [number for number, line in enumerate(lines, 2) if line.strip()]
    reported = [*table.numbers, *(int(one.where.rsplit("row ", 1)[1]) for one in table.skipped)]
    assert sorted(reported) == [1, *filled]


@FUZZ
@given(
    data=st.binary(max_size=300),
    head=st.sampled_from([b"", b"text,label\n", b'{"text": "a"}\n', b"PAR1", b"PK\x03\x04", b"\xff\xfe"]),
    kind=st.sampled_from(["csv", "tsv", "jsonl", "parquet", "arrow", "xlsx"]),
)
def test_no_bytes_bring_a_reader_down(tmp_path, data, head, kind):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(head + data)
    table = reading(path)
    assert isinstance(table, str) or all(len(row) == len(table.columns) for row in table.rows)


@FUZZ
@given(
    place=st.floats(0, 1),
    change=st.binary(min_size=1, max_size=4),
    cut=st.booleans(),
    kind=st.sampled_from(["zip", "tar", "gz"]),
)
def test_no_change_to_an_archive_brings_its_reader_down_or_out_of_its_folder(tmp_path_factory, place, change, cut, kind):
    root = tmp_path_factory.mktemp("fuzz")
    data = bytearray(packed(kind))
    start = int(place * len(data))
    data[start : start + (len(data) if cut else len(change))] = b"" if cut else change
    (root / f"a.{kind}").write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLKERAS_CACHE", str(root / "cache"))
        try:
            folder = unpack(root / f"a.{kind}")
            assert folder.is_relative_to(root / "cache")
        except DataError as error:
            assert f"a.{kind}" in str(error)
    assert {path.name for path in root.iterdir()} <= {f"a.{kind}", "cache"}


def packed(kind):
    import tarfile

    stream = io.BytesIO()
    files = {"cat/1.txt": b"meow " * 20, "dog/1.txt": b"woof " * 20}
    if kind == "zip":
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name), data)
        return stream.getvalue()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue() if kind == "tar" else gzip.compress(stream.getvalue(), mtime=0)


NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)


@FUZZ
@given(names=st.lists(st.tuples(NAME, NAME), min_size=1, max_size=8))
def test_every_file_of_a_folder_is_found_or_reported(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("fuzz")
    for folder, file in names:
        if folder not in (".", "..") and file not in (".", ".."):
            (root / folder).mkdir(exist_ok=True)
            (root / folder / file).write_bytes(b"x")
    shown = {
        path
        for path in root.rglob("*")
        if path.is_file()
        and not any(
            part.startswith(".") or part.casefold() in ("__macosx", "thumbs.db", "desktop.ini")
            for part in path.relative_to(root).parts
        )
    }
    try:
        layout = scan_folder(root)
    except DataError:
        return
    found = [one.path for files in layout.parts.values() for one in files] + [one.path for one in layout.pool]
    assert len(found) == len(set(found)) and not layout.notes
    assert {*found, *(one.where for one in layout.skipped)} == {str(path) for path in shown}
