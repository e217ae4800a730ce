import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkeras.data.checks import find_unreadable, inspect_pictures, require_classes
from tlkeras.data.examples import ImageArrays, ImageFiles
from tlkeras.data.folders import load_image_folder
from tlkeras.data.layout import scan_folder
from tlkeras.errors import DataError


def picture(path, shade):
    """Write a small picture that differs from every other shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 6), (shade % 256, shade // 256, 7)).save(path, "PNG")
    return path


def fill(root, counts, start=0):
    """Write `counts[name]` different pictures into each class folder."""
    shade = start
    for name, number in counts.items():
        for _ in range(number):
            picture(root / name / f"{shade:04}.png", shade)
            shade += 1
    return root


def sizes(splits):
    return [len(splits.train), len(splits.val), len(splits.test)]


def test_class_folders_become_a_stratified_split(tmp_path):
    splits = load_image_folder(fill(tmp_path, {"dog": 20, "cat": 20}), seed=0)
    assert splits.classes == ("cat", "dog") and sizes(splits) == [28, 6, 6]
    assert np.bincount(splits.test.labels).tolist() == [3, 3]
    for identity, label, row in zip(splits.test.ids, splits.test.labels, range(6), strict=True):
        assert identity.startswith(f"{splits.classes[label]}/") and "\\" not in identity
        assert splits.test.store.where(row) == str(tmp_path / identity)
    assert splits.skipped == () and splits.modality == "image"


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "validation", "testing"), ("training_set", "dev", "test_set")]
)
def test_parts_are_taken_as_they_are(tmp_path, names):
    for place, (name, number) in enumerate(zip(names, (4, 2, 3), strict=True)):
        fill(tmp_path / name, {"cat": number, "dog": number}, start=100 * place)
    splits = load_image_folder(tmp_path, seed=0)
    assert sizes(splits) == [8, 4, 6] and splits.notes == ()
    assert all(identity.startswith(f"{names[2]}/") for identity in splits.test.ids)


def test_missing_parts_are_made_and_noted(tmp_path):
    fill(tmp_path / "a" / "train", {"cat": 20, "dog": 20})
    fill(tmp_path / "a" / "valid", {"cat": 4, "dog": 4}, start=100)
    splits = load_image_folder(tmp_path / "a", seed=0)
    assert sizes(splits) == [34, 6, 8] and "validation part is taken for testing" in splits.notes[0]
    fill(tmp_path / "b" / "train", {"cat": 20, "dog": 20})
    splits = load_image_folder(tmp_path / "b", seed=0)
    assert sizes(splits) == [28, 6, 6] and "No parts were given" in splits.notes[0]


def test_train_can_be_the_name_of_a_class(tmp_path):
    assert load_image_folder(fill(tmp_path, {"bus": 4, "car": 4, "train": 4}), seed=0).classes == ("bus", "car", "train")


def test_other_folders_beside_parts_are_noted(tmp_path):
    for place, name in enumerate(("train", "test")):
        fill(tmp_path / name, {"cat": 5, "dog": 5}, start=100 * place)
    fill(tmp_path / "old", {"x": 1}, start=300)
    splits = load_image_folder(tmp_path, seed=0)
    assert splits.classes == ("cat", "dog") and "'old'" in splits.notes[0]


@pytest.mark.parametrize("place", ["unlabelled", "train/unsup", "Unlabeled/inner"])
def test_a_folder_without_labels_is_a_pool(tmp_path, place):
    for number, name in enumerate(("train", "test")):
        fill(tmp_path / name, {"cat": 5, "dog": 5}, start=100 * number)
    plain = load_image_folder(tmp_path, seed=0)
    for shade in range(300, 303):
        picture(tmp_path / place / f"{shade}.png", shade)
    (tmp_path / place / "bad.png").write_bytes(b"")
    splits = load_image_folder(tmp_path, seed=0)
    assert splits.classes == ("cat", "dog") and sizes(splits) == sizes(plain) and plain.unlabelled is None
    assert splits.unlabelled is not None and splits.unlabelled.ids.tolist() == [f"{place}/{n}.png" for n in range(300, 303)]
    assert len(splits.unlabelled.targets) == 3 and splits.unlabelled.store.where(0).endswith("300.png")
    assert [Path(skipped.where).name for skipped in splits.skipped] == ["bad.png"]
    assert splits.fingerprint != plain.fingerprint


def test_class_folders_are_ordered_by_their_numbers(tmp_path):
    assert load_image_folder(fill(tmp_path, {"10": 3, "9": 3, "1": 3}), seed=0).classes == ("1", "9", "10")


def test_nested_folders_belong_to_their_class_and_clutter_is_ignored(tmp_path):
    fill(tmp_path, {"cat": 4, "dog": 3})
    picture(tmp_path / "dog" / "2024" / "may" / "x.png", 99)
    (tmp_path / "__MACOSX" / "cat").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "cat" / "._0.png").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    for name in (".DS_Store", "Thumbs.db", "._1.png", "desktop.ini"):
        (tmp_path / "cat" / name).write_bytes(b"\x00\x00")
    splits = load_image_folder(tmp_path, seed=0)
    assert sum(sizes(splits)) == 8 and splits.skipped == ()
    assert "dog/2024/may/x.png" in {*splits.train.ids, *splits.val.ids, *splits.test.ids}


def test_what_cannot_be_read_is_skipped_with_its_reason(tmp_path):
    fill(tmp_path, {"cat": 4, "dog": 4})
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cat" / "cut.jpg")
    data = (tmp_path / "cat" / "cut.jpg").read_bytes()
    (tmp_path / "cat" / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "cat" / "empty.jpg").write_bytes(b"")
    (tmp_path / "dog" / "page.jpg").write_text("<html>not found</html>")
    (tmp_path / "dog" / "notes.txt").write_text("hello")
    (tmp_path / "dog" / "film.mp4").write_bytes(bytes(range(256)))
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nothing.png")
    picture(tmp_path / "loose.png", 77)
    splits = load_image_folder(tmp_path, seed=0)
    reasons = {Path(skipped.where).name: skipped.reason for skipped in splits.skipped}
    assert sum(sizes(splits)) == 8
    assert set(reasons) == {"cut.jpg", "empty.jpg", "page.jpg", "notes.txt", "film.mp4", "gone.png", "loose.png"}
    assert "truncated" in reasons["cut.jpg"] and "empty" in reasons["empty.jpg"] and "HTML" in reasons["page.jpg"]
    assert reasons["notes.txt"] == "not a picture (.txt)" and reasons["film.mp4"] == "not a picture (.mp4)"
    assert "does not exist" in reasons["gone.png"] and "beside" in reasons["loose.png"]


def test_a_suffix_says_nothing(tmp_path):
    fill(tmp_path, {"cat": 4, "dog": 4})
    Image.new("RGB", (6, 6), (1, 2, 3)).save(tmp_path / "cat" / "png_inside.jpg", "PNG")
    Image.new("RGB", (6, 6), (3, 2, 1)).save(tmp_path / "cat" / "no_suffix", "PNG")
    assert sum(sizes(load_image_folder(tmp_path, seed=0))) == 10


def test_links_never_lead_out_of_the_folder(tmp_path):
    root = fill(tmp_path / "data", {"cat": 4, "dog": 4})
    outside = fill(tmp_path / "outside", {"secret": 2}, start=50)
    (root / "cat" / "link.png").symlink_to(outside / "secret" / "0050.png")
    (root / "secret").symlink_to(outside / "secret", target_is_directory=True)
    (root / "cat" / "loop").symlink_to(root, target_is_directory=True)
    picture(tmp_path / "inside.png", 60)
    splits = load_image_folder(root, seed=0)
    assert splits.classes == ("cat", "dog") and sum(sizes(splits)) == 8
    assert sorted(skipped.reason.split(",")[0] for skipped in splits.skipped) == [
        "a link that leads out of the data folder",
        "a link to a folder",
        "a link to a folder",
    ]


def test_exact_copies_of_a_file_stay_on_one_side(tmp_path):
    fill(tmp_path, {"cat": 12, "dog": 12})
    for number in range(12):
        (tmp_path / "cat" / f"copy{number}.png").write_bytes((tmp_path / "cat" / f"{number:04}.png").read_bytes())
    splits = load_image_folder(tmp_path, seed=0)
    digests = [set(part.metadata["digest"].tolist()) for part in (splits.train, splits.val, splits.test)]
    assert not digests[0] & digests[1] and not digests[0] & digests[2] and not digests[1] & digests[2]
    assert sum(sizes(splits)) == 36


def test_copies_of_test_pictures_are_left_out_of_training(tmp_path):
    fill(tmp_path / "train", {"cat": 10, "dog": 10})
    fill(tmp_path / "test", {"cat": 3, "dog": 3}, start=100)
    (tmp_path / "train" / "cat" / "leak.png").write_bytes((tmp_path / "test" / "cat" / "0100.png").read_bytes())
    splits = load_image_folder(tmp_path, seed=0)
    assert "train/cat/leak.png" not in {*splits.train.ids, *splits.val.ids} and len(splits.test) == 6
    assert splits.notes[0].startswith("1 examples left out of train")


def test_names_that_are_not_utf8_are_read(tmp_path):
    fill(tmp_path, {"cat": 4, "dog": 4})
    path = Path(os.fsdecode(os.fsencode(tmp_path / "cat") + b"/\xff.png"))
    path.write_bytes(picture(tmp_path / "x.png", 88).read_bytes())
    (tmp_path / "x.png").unlink()
    splits = load_image_folder(tmp_path, seed=0)
    assert "cat/\udcff.png" in {*splits.train.ids.tolist(), *splits.val.ids.tolist(), *splits.test.ids.tolist()}


def make_empty(root):
    root.mkdir()


def make_loose(root):
    root.mkdir()
    picture(root / "1.png", 1)


def make_loose_parts(root):
    picture(root / "train" / "1.png", 1)
    picture(root / "test" / "2.png", 2)


def make_single(root):
    fill(root, {"cat": 3})


def make_wrapped(root):
    fill(root / "photos", {"cat": 3, "dog": 3})


def make_empty_class(root):
    fill(root, {"cat": 3, "dog": 3})
    (root / "cow").mkdir()


def make_broken_class(root):
    fill(root, {"cat": 3, "dog": 3})
    (root / "cow").mkdir()
    (root / "cow" / "1.jpg").write_bytes(b"")


def make_tiny_class(root):
    fill(root, {"cat": 3, "dog": 2})


def make_different_parts(root):
    fill(root / "train", {"cat": 3, "dog": 3})
    fill(root / "test", {"cat": 3}, start=50)


def make_extra_class(root):
    fill(root / "train", {"cat": 3, "dog": 3})
    fill(root / "test", {"cat": 3, "dog": 3, "cow": 3}, start=50)


def make_no_train(root):
    fill(root / "val", {"cat": 3, "dog": 3})
    fill(root / "test", {"cat": 3, "dog": 3}, start=50)


def make_two_trains(root):
    fill(root / "train", {"cat": 3, "dog": 3})
    fill(root / "training", {"cat": 3, "dog": 3}, start=50)


def make_twins(root):
    fill(root, {"cat": 3, "Cat": 3})


def make_unreadable_name(root):
    fill(root, {"cat": 3, os.fsdecode(b"caf\xe9"): 3})


def make_file(root):
    picture(root, 1)


def make_nothing(root):
    pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_nothing, "does not exist.*Check the path"),
        (make_file, "is a file. Expected a folder"),
        (make_empty, "no class folders: it is empty"),
        (make_loose, r"1 files lie loose in it.*cat.1\.jpg"),
        (make_loose_parts, "train' holds no class folders"),
        (make_single, "at least two classes.*'cat'"),
        (make_wrapped, "Did you mean .*data/photos'"),
        (make_empty_class, "without any readable pictures: 'cow'"),
        (make_broken_class, "'cow'.*Not readable: cow/1.jpg"),
        (make_tiny_class, r"'dog' has 2 different examples, the first: .*/dog/0003.png;"),
        (make_different_parts, "test lacks 'dog'"),
        (make_extra_class, "train lacks 'cow'"),
        (make_no_train, "holds test and val but no train folder"),
        (make_two_trains, "two train parts: 'train' and 'training'"),
        (make_twins, "'Cat' and 'cat'.*look alike"),
        (make_unreadable_name, r"class name 'caf\\udce9' in .* is not valid UTF-8. Rename it"),
    ],
)
def test_a_folder_that_cannot_be_right_is_explained(tmp_path, make, message):
    make(tmp_path / "data")
    with pytest.raises(DataError, match=message):
        load_image_folder(tmp_path / "data", seed=0)


def test_two_spellings_of_one_unicode_name_look_alike():
    with pytest.raises(DataError, match="look alike"):
        require_classes(["caf\u00e9", "cafe\u0301"], "data")


def test_a_class_name_must_be_valid_text():
    with pytest.raises(DataError, match=r"'\\udcff' in data is not valid UTF-8"):
        require_classes(["\udcff", "a"], "data")


def test_scanning_reads_no_file(tmp_path, monkeypatch):
    fill(tmp_path, {"cat": 1, "dog": 1})
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("opened"))
    layout = scan_folder(tmp_path)
    assert [found.id for found in layout.parts["train"]] == ["cat/0000.png", "dog/0001.png"]


def test_inspection_finds_reasons_and_equal_bytes(tmp_path):
    good = picture(tmp_path / "a.png", 1)
    same = picture(tmp_path / "b.png", 1)
    (tmp_path / "c.png").write_bytes(good.read_bytes()[:40])
    checks = inspect_pictures([str(good), str(same), str(tmp_path / "c.png")])
    assert checks[0] == replace(checks[1], modified=checks[0].modified) and checks[0].reason is None
    assert checks[2].reason and checks[2].digest not in ("", checks[0].digest)


def test_unreadable_pictures_of_a_store_are_listed(tmp_path):
    (tmp_path / "bad.png").write_text("x")
    store = ImageFiles((str(picture(tmp_path / "good.png", 1)), str(tmp_path / "bad.png")))
    (skipped,) = find_unreadable(store)
    assert skipped.where.endswith("bad.png") and skipped.reason == "text, not a picture"
    assert find_unreadable(ImageArrays(np.zeros((1, 2, 2, 3), np.uint8))) == []


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training Set", "Test Set"),
        ("train-data", "test-data"),
        ("trainset", "testset"),
        ("Train_Images", "eval"),
        ("training_set/training_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
    ],
)
def test_parts_are_known_by_any_usual_spelling_and_in_a_folder_of_their_own_name(tmp_path, train, test):
    fill(tmp_path / train, {"cat": 8, "dog": 8})
    fill(tmp_path / test, {"cat": 3, "dog": 3}, start=100)
    (tmp_path / "seg_pred").mkdir()
    splits = load_image_folder(tmp_path)
    assert splits.classes == ("cat", "dog") and len(splits.test) == 6 and len(splits.train) + len(splits.val) == 16


@pytest.mark.parametrize("names", [("training shoes", "test tubes"), ("bus", "car", "train"), ("train station", "train track")])
def test_words_for_parts_in_the_names_of_classes_are_no_parts(tmp_path, names):
    for place, name in enumerate(names):
        fill(tmp_path, {name: 4}, start=10 * place)
    assert load_image_folder(tmp_path).classes == tuple(sorted(names))
