import io
import shutil

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.data_files import words
from tests.test_data_decode import bare_png
from tlkeras.data.columns import TableOptions
from tlkeras.data.health.examine import examine
from tlkeras.data.health.inventory import take_inventory
from tlkeras.data.health.texts import repair
from tlkeras.data.picture_headers import read_header
from tlkeras.errors import DataError


def scene(seed, size=(96, 72)):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def photos(root, counts, start=0):
    """Write that many different pictures into each class folder."""
    for place, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            scene(start + 1000 * place + number).save(root / name / f"{name}{number:03}.jpg")
    return root


def findings(data, **options):
    """Return the findings about data by their keys."""
    found, _ = examine(take_inventory(str(data), **options))
    return {finding.key: finding for finding in found}


def offenders(finding):
    return {one.id or one.where: one.detail for one in finding.offenders}


@pytest.fixture
def folder(tmp_path):
    return photos(tmp_path / "data", {"cat": 24, "dog": 24})


def table(tmp_path, rows, header="text,label"):
    path = tmp_path / "table.csv"
    path.write_text(header + "\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_sound_data_has_no_findings_but_that_it_is_little(folder, tmp_path):
    assert set(findings(folder)) == {"few_examples"}
    rows = [f"{words(n)},{'pos' if n % 2 else 'neg'}" for n in range(60)]
    assert findings(table(tmp_path, rows)) == {}


def test_files_that_cannot_be_read_are_errors_with_their_reasons(folder):
    data = (folder / "cat" / "cat000.jpg").read_bytes()
    (folder / "cat" / "cat000.jpg").write_bytes(data[: len(data) // 2])
    (folder / "cat" / "cat001.jpg").write_bytes(b"")
    (folder / "dog" / "dog000.jpg").write_text("<html>404</html>")
    (folder / "dog" / "bomb.png").write_bytes(bare_png(20_000, 20_000))
    (folder / "dog" / "notes.txt").write_text("hello")
    found = findings(folder)
    bad = offenders(found["unreadable"])
    assert "truncated" in bad["cat/cat000.jpg"] and bad["cat/cat001.jpg"] == "the file is empty"
    assert "HTML" in bad["dog/dog000.jpg"] and "20000 x 20000" in bad["dog/bomb.png"]
    assert found["unreadable"].severity == "error" and found["unreadable"].quarantine
    assert offenders(found["not_pictures"]) == {"dog/notes.txt": ".txt"} and found["not_pictures"].severity == "note"


def test_pictures_that_mislead_are_found_by_their_headers(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    made = {
        "rotated": lambda path: scene(50).save(path / "r.jpg", exif=exif),
        "cmyk": lambda path: scene(51).convert("CMYK").save(path / "c.jpg"),
        "deep_colours": lambda path: Image.fromarray(deep).save(path / "d.png"),
        "transparent": lambda path: scene(52).convert("RGBA").save(path / "t.png"),
        "animated": lambda path: scene(53).save(path / "a.gif", save_all=True, append_images=[scene(54)]),
        "colour_profile": lambda path: scene(55).save(path / "p.png", icc_profile=profile),
        "tiny_pictures": lambda path: scene(56, (7, 9)).save(path / "s.png"),
        "long_pictures": lambda path: scene(57, (400, 100)).save(path / "l.png"),
        "mistyped": lambda path: scene(58).save(path / "m.jpg", "PNG"),
        "blank": lambda path: Image.new("RGB", (80, 80), "white").save(path / "b.png"),
    }
    for make in made.values():
        make(folder / "cat")
    found = findings(folder)
    assert set(found) == {*made} and all(found[key].count == 1 for key in made)
    assert offenders(found["mistyped"]) == {"cat/m.jpg": ".jpg, but PNG inside"}
    assert offenders(found["long_pictures"]) == {"cat/l.png": "400 x 100 pixels, 4.0 to 1"}
    assert found["rotated"].explanation.startswith("1.7% of all.")


def test_copies_are_told_by_part_and_label(tmp_path):
    root = photos(tmp_path / "train", {"cat": 22, "dog": 22}).parent
    photos(tmp_path / "test", {"cat": 22, "dog": 22}, start=500)
    train, test = tmp_path / "train", tmp_path / "test"
    shutil.copy(test / "cat" / "cat000.jpg", train / "cat" / "leak.jpg")
    shutil.copy(train / "dog" / "dog000.jpg", train / "cat" / "two.jpg")
    shutil.copy(train / "dog" / "dog001.jpg", train / "dog" / "zz.jpg")
    Image.open(test / "dog" / "dog002.jpg").save(train / "dog" / "near.jpg", quality=40)
    Image.open(train / "dog" / "dog003.jpg").save(train / "dog" / "near2.jpg", quality=40)
    found = findings(root)
    assert set(offenders(found["leak"])) == {"train/cat/leak.jpg"} and found["leak"].severity == "error"
    assert set(offenders(found["two_labels"])) == {"train/cat/two.jpg", "train/dog/dog000.jpg"}
    assert set(offenders(found["copies"])) == {"train/dog/zz.jpg"} and found["copies"].quarantine
    assert set(offenders(found["near_leak"])) == {"train/dog/near.jpg"} and found["near_leak"].severity == "warning"
    assert set(offenders(found["near_copies"])) == {"train/dog/near2.jpg"} and not found["near_copies"].quarantine
    assert found["two_labels"].severity == "error"  # 2 of 93 are more than 1 %


def test_few_pictures_with_two_labels_among_many_are_a_warning(tmp_path):
    rows = [f"{words(n)},{'pos' if n % 2 else 'neg'}" for n in range(300)]
    found = findings(table(tmp_path, [*rows, rows[0].replace("neg", "pos")]))
    assert found["two_labels"].severity == "warning" and found["two_labels"].count == 2


def test_classes_that_cannot_be_told_apart_or_learnt_are_found(tmp_path):
    photos(tmp_path, {"cat": 22, "Cat": 22, "labrador": 22, "labradoor": 2, "cow": 110})
    (tmp_path / "empty").mkdir()
    found = findings(tmp_path)
    assert offenders(found["twin_classes"]) == {"Cat / cat": ""}
    assert offenders(found["similar_classes"]) == {"labradoor / labrador": ""}
    assert offenders(found["empty_classes"]) == {"empty": ""}
    assert offenders(found["too_small_classes"]) == {"labradoor": "2 examples"}
    assert "small_classes" not in found
    assert found["uneven_classes"].severity == "warning" and "55 times" in found["uneven_classes"].headline
    assert [found[key].severity for key in ("twin_classes", "similar_classes", "empty_classes", "too_small_classes")] == [
        "error",
        "warning",
        "error",
        "error",
    ]


def test_numbered_classes_are_not_taken_for_misspelt_ones(tmp_path):
    assert "similar_classes" not in findings(photos(tmp_path, {f"grade {n}": 3 for n in range(4)}))


def test_one_class_is_an_error(tmp_path):
    assert findings(photos(tmp_path, {"cat": 5}))["one_class"].severity == "error"


def test_classes_that_a_part_lacks_are_named(tmp_path):
    photos(tmp_path / "train", {"cat": 4, "dog": 4})
    photos(tmp_path / "test", {"cat": 4, "cow": 4}, start=500)
    found = findings(tmp_path)["different_classes"]
    assert found.severity == "error" and {(one.where, one.detail) for one in found.offenders} == {
        ("dog", "not in test"),
        ("cow", "not in train: unseen when it is tested"),
    }


def test_a_property_of_the_files_that_tells_the_class_is_a_shortcut(folder):
    assert "shortcut" not in findings(folder)
    for path in (folder / "dog").glob("*.jpg"):
        Image.open(path).convert("L").save(path)
    found = findings(folder)["shortcut"]
    assert "colour mode alone tells 100%" in found.headline and found.severity == "warning"
    assert {one.where: one.detail for one in found.offenders} == {"RGB": "cat 24", "L": "dog 24"}


def test_groups_in_two_parts_are_an_error_and_series_of_names_a_warning(tmp_path):
    rows = [f"{words(n)},{'ab'[n % 2]},{'train' if n < 40 else 'test'},g{n % 25}" for n in range(60)]
    found = findings(table(tmp_path, rows, "text,label,split,group"))
    assert found["group_leak"].severity == "error" and found["group_leak"].count == 20  # g0 to g19 of 25 are in both
    for number in range(60):
        part = "train" if number < 40 else "test"
        path = tmp_path / "series" / part / "ab"[number % 2] / f"p{number % 20:02}_{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene(number).save(path)
    found = findings(tmp_path / "series")
    assert found["name_leak"].severity == "warning" and found["name_leak"].count == 20


def test_series_of_names_are_mentioned_where_there_are_no_parts(tmp_path):
    for number in range(48):
        path = tmp_path / "ab"[number % 2] / f"p{number // 4:02}_{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        scene(number).save(path)
    found = findings(tmp_path)["name_groups"]
    assert found.severity == "note" and found.count == 12


def test_camera_names_are_no_series(folder):
    for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
        path.rename(path.with_name(f"IMG_{number:04}.jpg"))
    assert "name_groups" not in findings(folder)


def test_a_series_that_is_most_of_the_data_is_no_group(tmp_path):
    for number in range(48):
        path = tmp_path / "ab"[number % 2] / f"p{max(0, number - 36) // 2:02}_{number}.jpg"  # p00 has 38 of 48
        path.parent.mkdir(exist_ok=True)
        scene(number).save(path)
    assert "name_groups" not in findings(tmp_path)


def test_texts_that_are_empty_short_garbled_or_marked_up_are_found(tmp_path):
    good = [f"{words(n)},{'ab'[n % 2]}" for n in range(60)]
    bad = [
        " ,a",
        "!?,b",
        f"Das CafÃ© {words(100)},a",
        f"lost \ufffd {words(101)},b",
        f"<p>one</p> {words(102)},a",
        f"bell \x07 {words(103)},b",
    ]
    found = findings(table(tmp_path, good + bad))
    rows = {key: set(offenders(found[key])) for key in found}
    assert rows == {
        "empty_texts": {"row 62"},
        "short_texts": {"row 63"},
        "garbled_texts": {"row 64", "row 65"},
        "markup": {"row 66"},
        "control_characters": {"row 67"},
    }
    assert "'Ã©' was 'é'" in offenders(found["garbled_texts"])["row 64"]


@pytest.mark.parametrize("text", ["café, naïve, Ärger", "“quotes” – dashes €", "日本語のテキスト", "emoji 😀👍", "ß"])
def test_garbled_texts_are_repaired_and_sound_ones_left_alone(text):
    garbled = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode())
    assert repair(garbled) == text and repair(text) == text


def test_a_tokenizer_of_another_language_is_told_by_the_pieces_of_a_word(tmp_path):
    from tlkeras.sources.tokenizer import word_piece_tokenizer

    tokenizer = word_piece_tokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "film", "f", "##i", "##l", "##m", "##e"], lowercase=True
    )
    for word, pieces in (("film", None), ("filme", "2.0 pieces")):
        inventory = take_inventory(str(table(tmp_path, [f"{' '.join([word] * (n + 1))},{'xy'[n % 2]}" for n in range(60)])))
        found = {one.key: one for one in examine(inventory, tokenizer=tokenizer)[0]}
        assert (pieces in found["foreign_texts"].headline) if pieces else "foreign_texts" not in found


def test_tokens_are_counted_with_the_tokenizer(tmp_path):
    from tlkeras.sources.tokenizer import word_piece_tokenizer

    tokenizer = word_piece_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"], lowercase=True)
    tokenizer.enable_truncation(4)
    rows = [f"{'a ' * (n % 20 + 1)}{'b ' * (n // 20)},{'xy'[n % 2]}" for n in range(60)]
    inventory = take_inventory(str(table(tmp_path, [*rows, "q z,x"])))
    found = {one.key: one for one in examine(inventory, tokenizer=tokenizer, sequence_length=16)[0]}
    # Texts of 1 to 20 pieces and 0 to 2 more, 2 special tokens: 6, 7 and 8 of them are longer than 16.
    assert found["long_texts"].count == 21 and "(34.4%)" in found["long_texts"].headline
    assert found["long_texts"].offenders[0].detail == "24 tokens" and "--sequence-length 32" in found["long_texts"].remedy
    assert set(offenders(found["unknown_texts"])) == {"row 62"}
    assert (tokenizer.truncation or {})["max_length"] == 4


def test_labels_without_value_or_with_blanks_are_found(tmp_path):
    rows = [f"{words(n)},{'pos' if n % 2 else 'neg'}" for n in range(60)]
    found = findings(table(tmp_path, [*rows, f"{words(99)},", f'{words(98)}," neg "']))
    assert set(offenders(found["no_label"])) == {"row 62"} and offenders(found["padded_labels"]) == {"row 63": "' neg '"}


def test_rows_that_cannot_be_read_are_an_error_where_they_are_many(tmp_path):
    rows = [f"{words(n)},{'pos' if n % 2 else 'neg'}" for n in range(150)]
    assert findings(table(tmp_path, [*rows, "only one cell"]))["broken_rows"].severity == "warning"
    found = findings(table(tmp_path, [*rows, *["only one cell"] * 4]))["broken_rows"]
    assert found.severity == "error" and found.count == 4 and found.offenders[0].where.endswith("row 152")


def test_a_table_of_pictures_is_examined(folder, tmp_path):
    paths = sorted(path.relative_to(tmp_path).as_posix() for path in folder.rglob("*.jpg"))
    rows = [f"{path},{path.split('/')[1]}" for path in paths]
    (folder / "cat" / "cat000.jpg").write_bytes(b"")
    found = findings(table(tmp_path, [*rows, "data/none.jpg,cat", "http://x/y.jpg,dog"], "file,kind"))
    assert set(offenders(found["unreadable"])) == {"data/cat/cat000.jpg", "data/none.jpg"}
    assert "an address" in found["broken_rows"].offenders[0].detail
    named = take_inventory(str(tmp_path / "table.csv"), options=TableOptions("file", "kind"))
    assert named.modality == "image" and len(named) == 49


def test_the_samples_and_a_folder_of_texts_are_examined(tmp_path):
    assert take_inventory("sample:60").modality == "image"
    assert take_inventory("sample:60", modality="text").modality == "text"
    for number in range(6):
        path = tmp_path / "ab"[number % 2] / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(words(number))
    (tmp_path / "a" / "empty.txt").write_text("")
    found = findings(tmp_path)
    assert found["broken_rows"].offenders[0].detail == "empty text" and "few_examples" in found


def test_files_beside_the_class_folders_are_told(folder):
    shutil.copy(folder / "cat" / "cat000.jpg", folder / "loose.jpg")
    found = findings(folder)["stray"]
    assert found.severity == "warning" and found.offenders[0].where.endswith("loose.jpg")


def test_what_cannot_be_listed_at_all_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no class folders"):
        take_inventory(str(tmp_path / "empty"))
    (tmp_path / "film.mp4").write_bytes(b"x")
    with pytest.raises(DataError, match="a file of no known kind"):
        take_inventory(str(tmp_path / "film.mp4"))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("JPEG", ("RGB", 8)),
        ("PNG", ("RGB", 8)),
        ("TIFF", ("RGB", 8)),
        ("WEBP", ("RGB", 8)),
        ("GIF", ("P", 8)),
        ("BMP", ("RGB", 8)),
    ],
)
def test_headers_of_every_format_are_read(form, expected):
    stream = io.BytesIO()
    scene(0, (40, 30)).save(stream, form)
    header = read_header(stream.getvalue())
    assert (header.kind, header.width, header.height) == (form, 40, 30)
    assert (header.mode, header.bits) == ("P" if form == "GIF" else "RGB", 8)
