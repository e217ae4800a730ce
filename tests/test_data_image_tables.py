import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.data_files import by_id, png, save_png, sizes
from tlkeras.data.decode import read_pixels
from tlkeras.data.examples import EncodedImages, ImageFiles
from tlkeras.data.load import load_images
from tlkeras.errors import DataError

NUMBER = 12


def names(folder="photos"):
    return [f"{folder}/{n:02}.png" for n in range(NUMBER)]


def label(n):
    return "dog" if n % 2 else "cat"


def fill(root, folder="photos"):
    for n, name in enumerate(names(folder)):
        save_png(root / name, n)
    return root


def save_table(root, kind, paths, header=("path", "label"), more=()):
    """Write a table of paths and labels with a library that tlkeras does not use for it, where there is one."""
    rows = [(path, label(n)) for n, path in enumerate(paths)] + list(more)
    target = root / f"table.{kind}"
    if kind == "jsonl":
        target.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))
    elif kind == "xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in (header, *rows):
            book.active.append(row)
        book.save(target)
    else:
        import pandas

        frame = pandas.DataFrame(rows, columns=list(header))
        if kind == "parquet":
            frame.to_parquet(target)
        else:
            frame.to_csv(target, index=False, sep="\t" if kind == "tsv" else ",")
    return target


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "xlsx", "parquet"])
def test_a_table_of_paths_is_loaded_from_every_format(tmp_path, kind):
    splits = load_images(save_table(fill(tmp_path), kind, names()))
    assert splits.classes == ("cat", "dog") and sum(sizes(splits)) == NUMBER and splits.skipped == ()
    assert by_id(splits) == {name: label(n) for n, name in enumerate(names())}
    assert isinstance(splits.train.store, ImageFiles)
    assert splits.train.store.where(0) == str(tmp_path / splits.train.ids[0]) and "digest" in splits.train.metadata
    assert "pictures in 'path', labels in 'label'" in splits.notes[0]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "xlsx", "parquet"])
def test_what_cannot_be_used_is_named_by_row(tmp_path, kind):
    (fill(tmp_path) / "cut.png").write_bytes(png(1)[:30])
    more = [("gone.png", "cat"), ("cut.png", "cat"), ("", "dog"), ("photos/00.png", "dog"), ("http://x.org/1.png", "cat")]
    splits = load_images(save_table(tmp_path, kind, names(), more=more))
    first = NUMBER + (1 if kind in ("jsonl", "parquet") else 2)
    assert sum(sizes(splits)) == NUMBER
    assert [int(one.where.split("row ")[1]) for one in splits.skipped] == list(range(first, first + 5))
    assert all(one.where.startswith(str(tmp_path / f"table.{kind}")) for one in splits.skipped)
    reasons = [one.reason for one in splits.skipped]
    assert f"{tmp_path / 'gone.png'}: the file does not exist" in reasons[0] and "cut.png: the PNG file is" in reasons[1]
    assert reasons[2] == "no path" and f"photos/00.png is also in row {first - NUMBER}" in reasons[3]
    assert "is an address" in reasons[4]


def test_absolute_paths_and_blanks_around_paths_are_taken(tmp_path):
    fill(tmp_path / "elsewhere")
    table = save_table(tmp_path, "csv", [f" {tmp_path / 'elsewhere' / name} " for name in names()])
    assert sum(sizes(load_images(table))) == NUMBER


def test_paths_with_a_way_up_are_taken_from_a_table_of_ones_own(tmp_path):
    fill(tmp_path)
    (tmp_path / "lists").mkdir()
    assert sum(sizes(load_images(save_table(tmp_path / "lists", "csv", [f"../{name}" for name in names()])))) == NUMBER


@pytest.mark.skipif(os.sep != "/", reason="there they are what they seem")
def test_paths_written_on_windows_are_taken_and_that_is_said(tmp_path):
    splits = load_images(save_table(fill(tmp_path), "csv", [name.replace("/", "\\") for name in names()]))
    assert sum(sizes(splits)) == NUMBER and any("written for Windows" in note for note in splits.notes)


def test_bare_names_are_found_in_a_folder_beside_the_table_and_that_is_said(tmp_path):
    bare = [name.removeprefix("photos/") for name in names()]
    (tmp_path / "notes").mkdir()
    splits = load_images(save_table(fill(tmp_path), "csv", bare))
    assert sum(sizes(splits)) == NUMBER and any(f"taken from {str(tmp_path / 'photos')!r}." in note for note in splits.notes)
    splits = load_images(save_table(tmp_path, "csv", [name.removesuffix(".png") for name in bare], ("image_id", "breed")))
    assert sum(sizes(splits)) == NUMBER and any("with '.png' added" in note for note in splits.notes)


def test_parts_groups_and_several_labels_are_followed(tmp_path):
    parts = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    rows = [f"{name},{label(n)}|small,{parts[n]},g{n // 2}" for n, name in enumerate(names())]
    rows[0] = rows[0].replace("cat|small", "cat")
    (fill(tmp_path) / "a.csv").write_text("\n".join(["file,tags,split,patient", *rows]))
    splits = load_images(tmp_path / "a.csv", target="labels", group_column="patient")
    assert sizes(splits) == [8, 2, 2] and splits.classes == ("cat", "dog", "small")
    assert by_id(splits)["photos/01.png"] == "dog|small" and by_id(splits)["photos/00.png"] == "cat"
    assert splits.test.metadata["group"].tolist() == ["g5", "g5"]


def test_the_first_folders_of_paths_are_parts_if_they_are_called_so(tmp_path):
    for part, start in (("train", 0), ("valid", 100), ("test", 200)):
        for n in range(4):
            save_png(tmp_path / part / f"{n}.png", start + n)
    rows = [f"{part}/{n}.png,{label(n)}" for part in ("train", "valid", "test") for n in range(4)]
    (tmp_path / "a.csv").write_text("\n".join(["path,label", *rows]))
    splits = load_images(tmp_path / "a.csv")
    assert sizes(splits) == [4, 4, 4] and all(identity.startswith("valid/") for identity in splits.val.ids)


def test_pictures_in_a_table_are_read_by_row(tmp_path):
    import pyarrow
    import pyarrow.parquet

    blobs = [png(n) for n in range(NUMBER)] + [b"", b"no picture", None]
    columns = {"photo": pyarrow.array(blobs, pyarrow.binary()), "label": [label(n) for n in range(NUMBER + 3)]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    splits = load_images(tmp_path / "a.parquet")
    assert isinstance(splits.train.store, EncodedImages) and sum(sizes(splits)) == NUMBER
    assert [(one.where.split(", ")[-1], one.reason) for one in splits.skipped] == [
        ("row 13", "there is no picture in this row"),
        ("row 14", "text, not a picture"),
        ("row 15", "there is no picture in this row"),
    ]
    pixels = read_pixels(splits.test.store, 4)
    assert pixels[:, 0, 0].tolist() == [[int(identity[4:]) - 1, 0, 7] for identity in splits.test.ids]
    with pytest.raises(DataError, match=r"Cannot read .*a\.parquet, row 1: too"):
        read_pixels(EncodedImages(_Big.column(), (f"{tmp_path / 'a.parquet'}, row 1",)), 4)


class _Big:
    @staticmethod
    def column():
        from tlkeras.data.encoded import EncodedColumn

        return EncodedColumn(lambda place: (_ for _ in ()).throw(ValueError("too big")), 1)


def test_one_chosen_picture_is_the_one_that_was_meant():
    from tlkeras.data.encoded import EncodedColumn, join_columns, no_pictures

    column = join_columns([EncodedColumn([b"a", b"b"].__getitem__, 2), no_pictures(1), EncodedColumn([b"c"].__getitem__, 1)])
    assert column[0:9] == [b"a", b"b", b"", b"c"] and len(column) == 4
    assert column.take(np.array([3, 1])).take(np.array([1, 0, 0]))[:] == [b"b", b"c", b"c"]
    with pytest.raises(IndexError):
        column[4]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "path,label\nx/1.png,cat\nx/2.png,dog\n",
            {},
            r"None of the 2 pictures.*a\.csv, row 2: 'x/1\.png', looked for as",
        ),
        ("path,label\n,cat\n,dog\n", {}, r"None of the 2 rows of .*row 2: no path"),
        ("text,label\nhello there,cat\nyou,dog\n", {}, "No column .*holds the paths of pictures.*text_classification"),
        ("path,label\n1.png,cat\n", {"image_column": "paht"}, "no column 'paht'. Did you mean 'path'"),
        ("a,b,label\n1.png,2.png,cat\n", {"image_column": "a,b"}, "Pictures lie in one column"),
        ("path,x\n1.png,cat\n", {"image_column": "path", "label_column": "path"}, "cannot hold both pictures and labels"),
    ],
)
def test_a_table_of_pictures_that_cannot_be_right_is_explained(tmp_path, text, options, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load_images(tmp_path / "a.csv", **options)


def metadata_folder(root, kind, parts=("",)):
    for place, part in enumerate(parts):
        for n in range(6):
            save_png(root / part / f"{n}.png", 100 * place + n)
        rows = [{"file_name": f"{n}.png", "label": label(n)} for n in range(6)]
        if kind == "jsonl":
            (root / part / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            import pandas

            frame = pandas.DataFrame(rows)
            target = root / part / f"metadata.{kind}"
            frame.to_csv(target, index=False) if kind == "csv" else frame.to_parquet(target)
    return root


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_beside_pictures_is_followed(tmp_path, kind):
    splits = load_images(metadata_folder(tmp_path, kind))
    assert by_id(splits) == {f"{n}.png": label(n) for n in range(6)}
    assert load_images(f"imagefolder:{tmp_path}").fingerprint == splits.fingerprint


def test_metadata_in_the_folder_of_each_part_is_followed(tmp_path):
    splits = load_images(metadata_folder(tmp_path, "csv", ("train", "validation", "test")))
    assert sizes(splits) == [6, 6, 6] and set(splits.val.ids) == {f"validation/{n}.png" for n in range(6)}
    assert splits.test.store.where(0) == str(tmp_path / splits.test.ids[0])


def test_metadata_is_read_as_the_datasets_library_reads_it(tmp_path):
    datasets = pytest.importorskip("datasets")
    metadata_folder(tmp_path / "data", "jsonl", ("train", "test"))
    datasets.disable_progress_bars()
    theirs = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    ours = load_images(tmp_path / "data")
    assert len(theirs["test"]) == len(ours.test)
    pixels = {np.asarray(row["image"]).tobytes(): row["label"] for row in theirs["test"]}
    for row in range(len(ours.test)):
        image = np.asarray(Image.open(ours.test.store.where(row)))
        assert pixels[image.tobytes()] == ours.classes[ours.test.labels[row]]


def test_pictures_that_metadata_does_not_list_are_counted(tmp_path):
    save_png(metadata_folder(tmp_path, "csv") / "inner" / "more.png", 50)
    (tmp_path / "inner" / "list.txt").write_text("x")
    (note,) = (note for note in load_images(tmp_path).notes if "not in its metadata" in note)
    assert note.startswith("1 pictures of") and "inner/more.png" in note


def test_metadata_without_file_names_or_files_is_explained(tmp_path):
    metadata_folder(tmp_path, "csv")
    text = (tmp_path / "metadata.csv").read_text()
    (tmp_path / "metadata.csv").write_text(text.replace("file_name", "name"))
    with pytest.raises(DataError, match=r"metadata\.csv' has no column 'file_name'. Its columns: 'name', 'label'"):
        load_images(tmp_path)
    (tmp_path / "metadata.csv").write_text(text + "7.png,cat,x\n8.png,cat\n")
    splits = load_images(tmp_path)
    assert [one.where.split("metadata.csv, ")[1] for one in splits.skipped] == ["row 8", "row 9"]
    (tmp_path / "metadata.csv").unlink()
    with pytest.raises(DataError, match=r"holds no metadata\.jsonl or"):
        load_images(f"imagefolder:{tmp_path}")


def test_loading_tables_of_pictures_needs_neither_pandas_nor_tensorflow(tmp_path):
    save_table(fill(tmp_path), "csv", names())
    code = (
        "import sys, tlkeras.data.load as load; load.load_images(sys.argv[1]); "
        "print(sorted({'pandas', 'tensorflow', 'keras', 'pyarrow', 'tensorflow_datasets'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "table.csv")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
