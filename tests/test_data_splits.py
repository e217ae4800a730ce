import csv

import numpy as np
import pytest

from tlkeras.data.contents import content_digests
from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, ImageFiles, Texts
from tlkeras.data.load import load_texts
from tlkeras.data.split_files import save_splits
from tlkeras.data.splits import complete_splits, make_splits, split_examples
from tlkeras.errors import DataError

CLASSES = ("cat", "dog")


def make(ids, labels, digests=None):
    ids = np.array(ids)
    metadata = {} if digests is None else {"digest": np.array(digests)}
    return Examples(ids, ImageFiles(tuple(f"/data/{one}" for one in ids)), ClassTargets(np.array(labels, np.int32)), metadata)


def many(cats, dogs, prefix=""):
    return make([f"{prefix}{number}.jpg" for number in range(cats + dogs)], [0] * cats + [1] * dogs)


def counts(splits):
    return [np.bincount(part.labels, minlength=2).tolist() for part in (splits.train, splits.val, splits.test)]


def test_a_split_is_stratified_and_a_partition():
    splits = split_examples(many(100, 20), CLASSES, seed=0)
    assert counts(splits) == [[70, 14], [15, 3], [15, 3]]
    everything = np.concatenate([splits.train.ids, splits.val.ids, splits.test.ids])
    assert sorted(everything) == sorted(many(100, 20).ids)
    assert "70% / 15% / 15%" in splits.notes[-1]


def test_a_split_does_not_depend_on_the_order_of_the_files():
    examples = many(40, 40)
    shuffled = examples.take(np.random.default_rng(0).permutation(80))
    first, second = (split_examples(one, CLASSES, seed=3) for one in (examples, shuffled))
    for name in ("train", "val", "test"):
        assert sorted(getattr(first, name).ids) == sorted(getattr(second, name).ids)


def test_another_seed_gives_another_split():
    examples = many(40, 40)
    assert set(split_examples(examples, CLASSES, seed=0).test.ids) != set(split_examples(examples, CLASSES, seed=1).test.ids)


def test_three_examples_of_a_class_go_one_to_each_part():
    assert counts(split_examples(many(3, 4), CLASSES, seed=0)) == [[1, 2], [1, 1], [1, 1]]


def test_a_class_of_two_is_an_error_that_names_it():
    with pytest.raises(DataError, match=r"'dog' has 2 different examples, the first: /data/9.jpg; .*at least 3"):
        split_examples(many(9, 2), CLASSES, seed=0)


def test_groups_stay_on_one_side():
    examples = many(60, 60)
    groups = np.arange(120) // 4
    splits = split_examples(examples, CLASSES, seed=0, groups=groups)
    place = {name: part for part in ("train", "val", "test") for name in getattr(splits, part).ids.tolist()}
    for group in range(30):
        assert len({place[name] for name in examples.ids[groups == group].tolist()}) == 1
    assert counts(splits) == [[44, 44], [8, 8], [8, 8]]  # 15 groups a class: 11, 2 and 2 of them, four examples each


def test_exact_copies_stay_on_one_side_even_across_classes():
    examples = make([f"{n}.jpg" for n in range(80)], [0] * 40 + [1] * 40, [f"d{n % 60}" for n in range(80)])
    splits = split_examples(examples, CLASSES, seed=0, groups=None)
    parts = [set(content_digests(part).tolist()) for part in (splits.train, splits.val, splits.test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]


def test_copies_across_classes_do_not_bring_the_order_back_in():
    examples = make([f"{n}.jpg" for n in range(80)], [0] * 40 + [1] * 40, [f"d{n % 60}" for n in range(80)])
    shuffled = examples.take(np.random.default_rng(0).permutation(80))
    for seed in range(5):
        first, second = (split_examples(one, CLASSES, seed=seed) for one in (examples, shuffled))
        assert sorted(first.test.ids) == sorted(second.test.ids) and sorted(first.val.ids) == sorted(second.val.ids)


def test_with_train_and_val_the_val_part_becomes_test():
    val = many(5, 5, "v")
    splits = complete_splits({"train": many(20, 20, "t"), "val": val}, CLASSES, seed=0)
    assert splits.test.ids.tolist() == val.ids.tolist()
    assert counts(splits) == [[17, 17], [3, 3], [5, 5]]
    assert "validation part is taken for testing" in splits.notes[0]


def test_with_train_and_test_the_val_part_is_taken_from_train():
    splits = complete_splits({"train": many(20, 20, "t"), "test": many(5, 5, "x")}, CLASSES, seed=0)
    assert counts(splits) == [[17, 17], [3, 3], [5, 5]]
    assert "15% of the training part" in splits.notes[0]


def test_three_given_parts_are_kept_as_they_are():
    splits = complete_splits({"train": many(4, 4, "t"), "val": many(2, 2, "v"), "test": many(3, 3, "x")}, CLASSES, seed=0)
    assert counts(splits) == [[4, 4], [2, 2], [3, 3]] and splits.notes == ()


def test_copies_of_test_examples_are_left_out_of_train_and_counted():
    train = make(["a", "b", "c", "d"], [0, 0, 1, 1], ["1", "2", "3", "4"])
    val = make(["e", "f"], [0, 1], ["5", "6"])
    test = make(["g", "h"], [0, 1], ["2", "7"])
    splits = complete_splits({"train": train, "val": val, "test": test}, CLASSES, seed=0)
    assert splits.train.ids.tolist() == ["a", "c", "d"] and splits.test.ids.tolist() == ["g", "h"]
    assert splits.notes[0].startswith("1 examples left out of train")


def test_a_part_that_loses_a_class_is_an_error():
    same = make(["a", "b"], [0, 1], ["1", "2"])
    with pytest.raises(DataError, match="train part holds no example of 'cat', 'dog'"):
        complete_splits({"train": same, "val": make(["c", "d"], [0, 1], ["3", "4"]), "test": same}, CLASSES, seed=0)


def test_the_fingerprint_sees_identity_content_label_part_and_classes():
    def prints(ids="ab", labels=(0, 1), digests="12", classes=CLASSES, swap=False):
        one = make(list(ids), list(labels), list(digests))
        other = make(["x"], [0], ["9"])
        return make_splits(*((other, one, one) if swap else (one, other, one)), classes).fingerprint

    different = [
        prints(),
        prints(ids="ac"),
        prints(labels=(1, 0)),
        prints(digests="13"),
        prints(classes=("a", "b")),
        prints(swap=True),
    ]
    assert len(set(different)) == 6 and len(different[0]) == 64
    assert prints() == different[0]


def test_content_digests_tell_texts_and_arrays_apart():
    targets = ClassTargets(np.zeros(3, np.int32))
    texts = Examples(np.array(["1", "2", "3"]), Texts(("a", "b", "a"), np.zeros(3)), targets)
    digests = content_digests(texts)
    assert digests[0] == digests[2] != digests[1]
    pixels = np.zeros((3, 2, 2, 3), np.uint8)
    pixels[1, 0, 0, 0] = 1
    digests = content_digests(Examples(np.array(["1", "2", "3"]), ImageArrays(pixels), targets))
    assert digests[0] == digests[2] != digests[1]


def test_splits_are_written_with_harmless_cells(tmp_path):
    examples = make(["=cmd|x", "b"], [0, 1])
    splits = make_splits(examples, examples, examples, ("=HYPERLINK()", "-dog"))
    save_splits(splits, tmp_path / "splits.csv")
    with (tmp_path / "splits.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == {
        "id": "'=cmd|x",
        "split": "train",
        "label": "'=HYPERLINK()",
        "where": "/data/=cmd|x",
        "digest": "'=cmd|x",
    }
    assert rows[1]["label"] == "'-dog" and [row["split"] for row in rows] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["splits.csv"]


def test_a_failed_write_leaves_the_former_file(tmp_path):
    class Broken(ImageFiles):
        def where(self, index):
            raise OSError("no space left")

    path = tmp_path / "splits.csv"
    path.write_text("former")
    one = Examples(np.array(["a"]), Broken(("a",)), ClassTargets(np.zeros(1, np.int32)))
    with pytest.raises(OSError, match="no space"):
        save_splits(make_splits(one, one, one, CLASSES), path)
    assert path.read_text() == "former" and len(list(tmp_path.iterdir())) == 1


def test_names_that_are_not_utf8_can_be_identified_and_written(tmp_path):
    one = make(["bad\udcff.jpg"], [0])
    splits = make_splits(one, one, one, CLASSES)
    save_splits(splits, tmp_path / "splits.csv")
    assert r"bad\udcff.jpg" in (tmp_path / "splits.csv").read_text(encoding="utf-8")


def test_texts_of_one_form_that_leave_too_few_units_are_explained_with_the_way_out(tmp_path):
    path = tmp_path / "forms.csv"
    rows = [f"a text number {row} of some length that says little,{row % 7}" for row in range(3000)]
    path.write_text("text,label\n" + "\n".join(rows))
    with pytest.raises(DataError, match=r"kept together as near copies; .*--no-near-duplicates"):
        load_texts(path)
    splits = load_texts(path, near_duplicates=False)
    assert len(splits.train) + len(splits.val) + len(splits.test) == 3000
