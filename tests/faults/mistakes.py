"""Thirty typical mistakes with data: each is made, its message is read, and the fix that is printed is followed.

A `fix` gets the message and the folder, does what the message says (with the names that it gives, wherever it gives any) and
returns what is loaded next. Some mistakes need no fix: then the data loads, or says what it left out.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.data_files import words
from tests.test_data_health import photos, scene
from tlkeras.data.arrays import splits_from_arrays
from tlkeras.data.examples import Splits
from tlkeras.data.load import load_images, load_texts
from tlkeras.report.check import check_data
from tlkeras.report.check_files import save_check

Load = Mapping[str, Any]


class Mistake(NamedTuple):
    """A mistake: how it comes about, what its message must say (None: it loads), and how the message is followed."""

    make: Callable[[Path], Load]
    says: str | None = None
    fix: Callable[[str, Path], Load] | None = None


def load(call: Load) -> Splits:
    """Load what a mistake or its fix asks for: the function under `with`, the rest as its arguments."""
    options = dict(call)
    return options.pop("with", load_images)(options.pop("data"), **options)


def named(message: str, before: str) -> str:
    """Return the first name in quotes after some words of a message."""
    found = re.search(re.escape(before) + r"[^'\"]*['\"]([^'\"]+)['\"]", message)
    if not found:
        raise AssertionError(f"the message names nothing after {before!r}: {message}")
    return found.group(1)


def row_named(message: str) -> int:
    found = re.search(r"row (\d+)", message)
    if not found:
        raise AssertionError(f"the message names no row: {message}")
    return int(found.group(1))


def reviews(path: Path, header: str = "review,mood", separator: str = ",", rows: int = 40, encoding: str = "utf-8") -> Path:
    lines = [header, *(f"{words(n)} caf\u00e9{separator}{('good', 'bad')[n % 2]}" for n in range(rows))]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def edit_line(path: Path, number: int, change: Callable[[str], str]) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    lines[number - 1] = change(lines[number - 1])
    path.write_text("\n".join(lines), encoding="utf-8")


def texts(path: Path, **options: Any) -> Load:
    return {"with": load_texts, "data": path, **options}


def pets(root: Path, count: int = 6) -> Load:
    return {"data": photos(root / "photos", {"cat": count, "dog": count})}


def wrong_path(root: Path) -> Load:
    pets(root)
    return {"data": str(root / "phtos")}


def a_wrapped_folder(root: Path) -> Load:
    return {"data": photos(root / "photos" / "inner", {"cat": 6, "dog": 6}).parent}


def labels_in_file_names(root: Path) -> Load:
    (root / "photos").mkdir()
    for number in range(12):
        scene(number).save(root / "photos" / f"{('cat', 'dog')[number % 2]}_{number}.jpg")
    return {"data": root / "photos"}


def sort_by_name(message: str, root: Path) -> Load:
    labels = re.findall(r"'(\w+)'", message.split("begin with labels")[1])
    for file in sorted((root / "photos").glob("*.jpg")):
        label = next(name for name in labels if file.name.startswith(name))
        (root / "photos" / label).mkdir(exist_ok=True)
        file.rename(root / "photos" / label / file.name)
    return {"data": root / "photos"}


def one_class(root: Path) -> Load:
    return {"data": photos(root / "photos", {"cat": 6})}


def an_empty_class(root: Path) -> Load:
    (root / "photos" / "cow").mkdir(parents=True)
    return pets(root)


def remove_folder(message: str, root: Path) -> Load:
    shutil.rmtree(root / "photos" / named(message, "without any readable pictures: "))
    return {"data": root / "photos"}


def a_class_in_two_spellings(root: Path) -> Load:
    photos(root / "photos", {"Cat": 6}, start=500)
    return pets(root)


def give_one_name(message: str, root: Path) -> Load:
    one, other = re.findall(r"'(\w+)'", message)[:2]
    for file in (root / "photos" / one).iterdir():
        file.rename(root / "photos" / other / f"{one}_{file.name}")
    (root / "photos" / one).rmdir()
    return {"data": root / "photos"}


def a_tiny_class(root: Path) -> Load:
    photos(root / "photos", {"cow": 2}, start=500)
    return pets(root)


def leave_class_out(message: str, root: Path) -> Load:
    shutil.rmtree(root / "photos" / named(message, "Class "))
    return {"data": root / "photos"}


def no_train_folder(root: Path) -> Load:
    for place, part in enumerate(("val", "test")):
        photos(root / "photos" / part, {"cat": 6, "dog": 6}, start=100 * place)
    return {"data": root / "photos"}


def put_classes_into_the_folder(_: str, root: Path) -> Load:
    for file in sorted((root / "photos").rglob("*.jpg")):
        target = root / "all" / file.parent.name / f"{file.parts[-3]}_{file.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    return {"data": root / "all"}


def a_class_that_test_lacks(root: Path) -> Load:
    photos(root / "photos" / "train", {"cat": 8, "dog": 8, "cow": 8})
    photos(root / "photos" / "test", {"cat": 4, "dog": 4}, start=500)
    return {"data": root / "photos"}


def remove_from_other_parts(message: str, root: Path) -> Load:
    part, name = re.findall(r"(\w+) lacks '(\w+)'", message)[0]
    for folder in (root / "photos").glob(f"*/{name}"):
        if folder.parent.name != part:
            shutil.rmtree(folder)
    return {"data": root / "photos"}


def two_train_folders(root: Path) -> Load:
    for place, part in enumerate(("train", "training", "test")):
        photos(root / "photos" / part, {"cat": 6, "dog": 6}, start=100 * place)
    return {"data": root / "photos"}


def remove_one(message: str, root: Path) -> Load:
    shutil.rmtree(root / "photos" / named(message, "parts: "))
    return {"data": root / "photos"}


def pictures_of_a_phone(root: Path) -> Load:
    import pillow_heif

    call = pets(root)
    for number in range(4):
        pillow_heif.from_pillow(scene(700 + number)).save(root / "photos" / "cat" / f"IMG_{number}.HEIC")
    return call


def a_failed_download(root: Path) -> Load:
    call = pets(root)
    (root / "photos" / "cat" / "cat000.jpg").write_text("<html>404</html>")
    return call


def many_broken_files(root: Path) -> Load:
    call = pets(root)
    for number in range(101):
        (root / "photos" / "cat" / f"broken{number}.jpg").write_bytes(b"\xff\xd8\xff")
    return call


def check_and_set_aside(_: str, root: Path) -> Load:
    save_check(check_data(root / "photos"), root / "report")
    return {"data": root / "photos", "quarantine": root / "report" / "quarantine.csv"}


def an_unknown_archive(root: Path) -> Load:
    pets(root)
    (root / "photos.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    return {"data": root / "photos.7z"}


def pack_as_zip(message: str, root: Path) -> Load:
    if "pack it as zip" not in message:
        raise AssertionError(message)
    return {"data": shutil.make_archive(str(root / "again"), "zip", root / "photos")}


def texts_as_pictures(root: Path) -> Load:
    for number in range(12):
        path = root / "notes" / ("a", "b")[number % 2] / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words(number))
    return {"data": root / "notes"}


def run_the_other_recipe(message: str, _: Path) -> Load:
    recipe, data = re.findall(r"tlkeras run (\w+) --data (\S+)", message)[0]
    recipes: dict[str, Any] = {"text_classification": load_texts, "image_classification": load_images}
    return {"with": recipes[recipe], "data": data}


def pictures_as_texts(root: Path) -> Load:
    return {**pets(root), "with": load_texts}


def a_misspelt_column(root: Path) -> Load:
    return texts(reviews(root / "t.csv"), text_column="reveiw")


def take_the_column_meant(message: str, root: Path) -> Load:
    return texts(root / "t.csv", text_column=named(message, "Did you mean"))


def the_column_of_numbers_as_labels(root: Path) -> Load:
    lines = ["id,review,mood", *(f"{n},{words(n)},{('good', 'bad')[n % 2]}" for n in range(40))]
    (root / "t.csv").write_text("\n".join(lines))
    return texts(root / "t.csv", label_column="id")


def name_the_right_column(message: str, root: Path) -> Load:
    columns = re.findall(r"'(\w+)'", re.findall(r"Name the right one [^:]*: ([^.]*)\.", message)[0])
    return texts(root / "t.csv", label_column=columns[-1])


def another_encoding(root: Path) -> Load:
    return texts(reviews(root / "t.csv", encoding="windows-1252"))


def name_the_encoding(message: str, root: Path) -> Load:
    return texts(root / "t.csv", encoding=named(message, "encoding="))


def an_unclosed_quote(root: Path) -> Load:
    reviews(root / "t.csv")
    edit_line(root / "t.csv", 12, lambda line: f'"{line}')
    return texts(root / "t.csv")


def write_quotes_twice(message: str, root: Path) -> Load:
    edit_line(root / "t.csv", row_named(message), lambda line: f'"{line.split(",")[0].replace(chr(34), chr(34) * 2)}",good')
    return texts(root / "t.csv")


def no_header(root: Path) -> Load:
    lines = [f"{words(n)},{('good', 'bad')[n % 2]}" for n in range(40)]
    (root / "t.csv").write_text("\n".join(lines))
    return texts(root / "t.csv")


def add_a_header(message: str, root: Path) -> Load:
    if "names of the columns into the first row" not in message:
        raise AssertionError(message)
    path = root / "t.csv"
    path.write_text("text,label\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    return texts(path)


def one_name_for_two_columns(root: Path) -> Load:
    return texts(reviews(root / "t.csv", header="text,text"))


def give_each_its_name(message: str, root: Path) -> Load:
    name = named(message, "several columns named ")
    edit_line(root / "t.csv", 1, lambda _: f"{name},label")
    return texts(root / "t.csv")


def mixed_separators(root: Path) -> Load:
    reviews(root / "t.csv")
    edit_line(root / "t.csv", 9, lambda line: line.replace(",", ";"))
    return texts(root / "t.csv")


def a_json_array(root: Path) -> Load:
    records = [{"text": words(n), "label": ("good", "bad")[n % 2]} for n in range(40)]
    (root / "t.jsonl").write_text(json.dumps(records))
    return texts(root / "t.jsonl")


def run_the_command(message: str, root: Path) -> Load:
    code = message[message.index("pandas.read_json(") :]
    subprocess.run([sys.executable, "-c", f"import pandas; {code}"], cwd=root, check=True)
    return texts(root / "new.jsonl")


def another_suffix(root: Path) -> Load:
    return texts(reviews(root / "reviews.dat"))


def say_what_it_is(message: str, _: Path) -> Load:
    return {"with": load_texts, "data": re.findall(r"--data (csv:\S+)", message)[0]}


def several_tables_in_a_folder(root: Path) -> Load:
    (root / "tables").mkdir()
    for name in ("january", "february"):
        reviews(root / "tables" / f"{name}.csv")
    return texts(root / "tables")


def name_one(message: str, root: Path) -> Load:
    return texts(root / "tables" / named(message, "Name one if it is meant: "))


def an_unknown_part(root: Path) -> Load:
    lines = ["text,label,split", *(f"{words(n)},{('good', 'bad')[n % 2]},{('train', 'later')[n // 2 % 2]}" for n in range(40))]
    (root / "t.csv").write_text("\n".join(lines))
    return texts(root / "t.csv", split_column="split")


def write_a_known_part(message: str, root: Path) -> Load:
    wrong, allowed = re.findall(r": '(\w+)' in", message)[0], re.findall(r"Allowed: ([\w, ]+)\.", message)[0].split(", ")
    path = root / "t.csv"
    path.write_text(path.read_text().replace(f",{wrong}", f",{allowed[1]}"))
    return texts(path, split_column="split")


def a_group_in_two_parts(root: Path) -> Load:
    lines = ["text,label,split,group"]
    lines += [f"{words(n)},{('good', 'bad')[n % 2]},{('train', 'test')[n % 3 == 0]},g{n // 2}" for n in range(40)]
    (root / "t.csv").write_text("\n".join(lines))
    return texts(root / "t.csv")


def leave_the_parts_out(message: str, root: Path) -> Load:
    if "leave the parts out of the data" not in message:
        raise AssertionError(message)
    path = root / "t.csv"
    path.write_text("\n".join(",".join(np.delete(line.split(","), 2)) for line in path.read_text().split("\n")))
    return texts(path)


def paths_from_elsewhere(root: Path) -> Load:
    pets(root)
    lines = ["file,label", *(f"{file.relative_to(root / 'photos')},{file.parent.name}" for file in root.rglob("*.jpg"))]
    (root / "lists").mkdir()
    (root / "lists" / "list.csv").write_text("\n".join(lines))
    return {"data": root / "lists" / "list.csv"}


def move_the_table(message: str, root: Path) -> Load:
    if "relative to the table; move it" not in message:
        raise AssertionError(message)
    return {"data": shutil.move(root / "lists" / "list.csv", root / "photos" / "list.csv")}


def scaled_pixels(_: Path) -> Load:
    pixels = np.random.default_rng(0).random((40, 8, 8, 3)).astype(np.float32)
    return {"with": splits_from_arrays, "data": (pixels, np.arange(40) % 2)}


def undo_the_scaling(message: str, root: Path) -> Load:
    factor = int(re.findall(r"Multiply them by (\d+)", message)[0])
    pixels, labels = scaled_pixels(root)["data"]
    return {"with": splits_from_arrays, "data": (pixels * factor, labels)}


MISTAKES: dict[str, Mistake] = {
    "wrong path": Mistake(wrong_path, "does not exist", lambda m, root: {"data": named(m, "Did you mean")}),
    "folder too high": Mistake(a_wrapped_folder, "Did you mean", lambda m, root: {"data": named(m, "Did you mean")}),
    "labels in file names": Mistake(labels_in_file_names, "begin with labels", sort_by_name),
    "one class": Mistake(one_class, "Add examples of another class", lambda m, root: pets(root)),
    "empty class folder": Mistake(an_empty_class, "or remove these folders", remove_folder),
    "class in two spellings": Mistake(a_class_in_two_spellings, "Give them one name", give_one_name),
    "tiny class": Mistake(a_tiny_class, "leave it out", leave_class_out),
    "no train folder": Mistake(no_train_folder, "put the class folders directly into the folder", put_classes_into_the_folder),
    "class that test lacks": Mistake(a_class_that_test_lacks, "remove them from the other parts", remove_from_other_parts),
    "two train folders": Mistake(two_train_folders, "Remove one", remove_one),
    "phone pictures": Mistake(pictures_of_a_phone),
    "failed download": Mistake(a_failed_download),
    "many broken files": Mistake(many_broken_files, "--quarantine", check_and_set_aside),
    "unknown archive": Mistake(an_unknown_archive, "cannot be unpacked", pack_as_zip),
    "texts as pictures": Mistake(texts_as_pictures, "The recipe for it", run_the_other_recipe),
    "pictures as texts": Mistake(pictures_as_texts, "The recipe for it", run_the_other_recipe),
    "misspelt column": Mistake(a_misspelt_column, "Did you mean", take_the_column_meant),
    "numbers as labels": Mistake(the_column_of_numbers_as_labels, "hardly labels", name_the_right_column),
    "another encoding": Mistake(another_encoding, "Name its encoding", name_the_encoding),
    "unclosed quote": Mistake(an_unclosed_quote, "is not closed", write_quotes_twice),
    "no header": Mistake(no_header, "no header", add_a_header),
    "one name for two columns": Mistake(one_name_for_two_columns, "Give each column its own name", give_each_its_name),
    "mixed separators": Mistake(mixed_separators),
    "JSON array": Mistake(a_json_array, "pandas.read_json", run_the_command),
    "another suffix": Mistake(another_suffix, "say so", say_what_it_is),
    "several tables": Mistake(several_tables_in_a_folder, "Name one", name_one),
    "unknown part": Mistake(an_unknown_part, "is no part", write_a_known_part),
    "group in two parts": Mistake(a_group_in_two_parts, "in more than one part", leave_the_parts_out),
    "paths from elsewhere": Mistake(paths_from_elsewhere, "relative to the table", move_the_table),
    "scaled pixels": Mistake(scaled_pixels, "seem to be in [0, 1]", undo_the_scaling),
}
