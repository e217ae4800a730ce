import numpy as np
import pytest

from tests.data_files import words
from tlkeras.data.dealing import deal, deal_beside, deal_by_time
from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, Texts
from tlkeras.data.folds import fold_splits
from tlkeras.data.splits import complete_splits, split_examples
from tlkeras.data.targets import MultiLabelTargets, ValueTargets
from tlkeras.data.units import Units, find_units
from tlkeras.errors import DataError

CLASSES = ("cat", "dog")


def texts(labels, *, start=0, **metadata):
    """Return texts that are no copies, one for each label."""
    rows = np.arange(start, start + len(labels))
    store = Texts(tuple(words(row) for row in rows.tolist()), rows, "t.csv")
    columns = {name: np.asarray(column) for name, column in metadata.items()}
    return Examples(np.array([f"row {row}" for row in rows]), store, ClassTargets(np.array(labels, np.int32)), columns)


def parts_of(splits):
    return {identity: name for name in ("train", "val", "test") for identity in getattr(splits, name).ids.tolist()}


def units(sizes, strata=None):
    count = len(sizes)
    of = np.repeat(np.arange(count), sizes)
    keys = np.array([f"{place:03}" for place in range(count)])
    return Units(of, keys, np.zeros(count, np.int64) if strata is None else np.array(strata), np.array(sizes))


def test_shares_are_taken_from_both_ends_of_the_order():
    assert deal(units([1] * 10), (0.2, 0.3), CLASSES).tolist() == [1, 1, 0, 0, 0, 0, 0, 2, 2, 2]


def test_a_large_group_is_passed_over_and_the_counts_are_of_examples():
    # A fifth of 20 is 4: the group of 10 would overshoot, so the next ones are taken.
    assert deal(units([10, 2, 2, 2, 2, 2]), (0.2,), CLASSES).tolist() == [0, 1, 1, 0, 0, 0]


def test_every_part_gets_something_however_uneven_the_groups_are():
    for sizes in ([1, 1, 100], [100, 1, 1], [50, 50, 1], [40, 40, 40]):
        assert set(deal(units(sizes), (0.15, 0.15), CLASSES).tolist()) == {0, 1, 2}


def test_adding_data_moves_few_examples_and_only_over_a_boundary():
    before = split_examples(texts([0] * 200 + [1] * 200), CLASSES, seed=0)
    after = split_examples(texts([0] * 200 + [1] * 200 + [0] * 20 + [1] * 20), CLASSES, seed=0)
    old, new = parts_of(before), parts_of(after)
    moved = [(old[name], new[name]) for name in old if old[name] != new[name]]
    # A new random split would move about half; ten boundary places a class are the most that 10 % more can shift.
    assert len(moved) <= 20 and ("val", "test") not in moved and ("test", "val") not in moved


def test_known_examples_stay_where_they_are_and_new_ones_follow_their_unit():
    known = np.array([0, 2, -1, 1, -1, 0, 0, -1])
    assert deal_beside(units([3, 2, 1, 1, 1]), known).tolist() == [0, 2, 2, 1, 1, 0, 0, 0]


def test_near_copies_stay_on_one_side_unless_asked_otherwise():
    base = texts([0] * 60 + [1] * 60)
    doubled = base.store.texts + tuple(text[:-1] + "#" for text in base.store.texts)
    labels = np.concatenate([base.labels, base.labels])
    both = Examples(np.array([f"r{n}" for n in range(240)]), Texts(doubled, np.arange(240)), ClassTargets(labels))
    place = parts_of(split_examples(both, CLASSES, seed=0))
    assert all(place[f"r{n}"] == place[f"r{n + 120}"] for n in range(120))
    place = parts_of(split_examples(both, CLASSES, seed=0, near_duplicates=False))
    assert any(place[f"r{n}"] != place[f"r{n + 120}"] for n in range(120))


def test_near_copies_of_pictures_in_memory_are_found_from_8_pixels_on():
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 200, (8, 8, 8, 3), dtype=np.uint8)
    for size, groups in ((64, 4), (32, 4), (4, 8)):
        pixels = np.kron(coarse[:4, :size, :size], np.ones((1, max(1, size // 8), max(1, size // 8), 1), np.uint8))
        store = ImageArrays(np.concatenate([pixels, pixels + 2]))
        found = find_units(Examples(np.arange(8).astype(str), store, ClassTargets(np.zeros(8, np.int32))), seed=0)
        assert len(found.keys) == groups


def test_a_group_column_is_followed_and_blank_groups_are_none():
    groups = np.array([f"g{n // 3}" if n < 90 else "" for n in range(120)])
    splits = split_examples(texts([n % 2 for n in range(120)], group=groups), CLASSES, seed=0)
    place = parts_of(splits)
    for group in range(30):
        assert len({place[f"row {n}"] for n in range(3 * group, 3 * group + 3)}) == 1
    assert len({place[f"row {n}"] for n in range(90, 120)}) > 1 and "by group" in splits.notes[0]


def test_a_group_that_lies_in_two_given_parts_is_an_error_that_names_it():
    train = texts([0, 0, 1, 1], group=["anna", "bert", "carl", ""])
    test = texts([0, 1], start=10, group=["dora", "carl"])
    with pytest.raises(DataError, match=r"1 groups lie in more than one part.*'carl' \(in train and test\)"):
        complete_splits({"train": train, "test": test}, CLASSES, seed=0)


def test_near_copies_of_test_examples_are_left_out_of_given_training_parts():
    train, val, test = texts([0, 0, 1, 1]), texts([0, 1], start=10), texts([0, 1], start=20)
    near = Texts((*train.store.texts[:3], test.store.texts[1].upper() + "!"), train.store.rows)
    given = {"train": Examples(train.ids, near, train.targets), "val": val, "test": test}
    splits = complete_splits(given, CLASSES, seed=0)
    assert splits.train.ids.tolist() == ["row 0", "row 1", "row 2"]
    assert splits.notes == ("1 examples left out of train: they also occur in a later part (1 of them as near copies).",)
    assert len(complete_splits(given, CLASSES, seed=0, near_duplicates=False).train) == 4


def test_the_newest_examples_are_the_test_part():
    times = np.random.default_rng(0).permutation(100).astype(np.float64)
    splits = split_examples(texts([n % 2 for n in range(100)], time=times), CLASSES, seed=0)
    assert sorted(splits.test.metadata["time"].tolist()) == list(range(85, 100))
    assert sorted(splits.val.metadata["time"].tolist()) == list(range(70, 85))
    assert "by time" in splits.notes[0]


def test_times_that_are_equal_stay_together_and_a_group_is_as_new_as_its_newest():
    parts = deal_by_time(units([1] * 10), np.array([1, 1, 1, 1, 2, 2, 2, 3, 3, 3.0]), (0.2, 0.2))
    assert parts.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    parts = deal_by_time(units([2, 1, 1]), np.array([1, 9, 5, 3.0]), (0.25, 0.5))
    assert parts.tolist() == [2, 1, 0]
    with pytest.raises(DataError, match=r"at least 3 different times\. Received: 2"):
        deal_by_time(units([1] * 4), np.array([1, 1, 2, 2.0]), (0.2, 0.2))


def test_a_missing_time_is_named_by_its_row():
    with pytest.raises(DataError, match=r"1 examples have no time, the first: t.csv, row 2"):
        split_examples(texts([0, 1] * 5, time=[0, 1, np.nan, *range(7)]), CLASSES, seed=0)


def test_folds_hold_every_example_out_once_and_no_group_is_parted():
    groups = [f"g{n // 2}" for n in range(120)]
    examples = texts([n // 2 % 2 for n in range(120)], group=groups)
    splits = fold_splits(examples, CLASSES, folds=5, seed=0)
    assert sorted(name for one in splits for name in one.test.ids.tolist()) == sorted(examples.ids.tolist())
    for number, one in enumerate(splits):
        assert np.bincount(one.test.labels).tolist() == [12, 12] and len(one.train) == 72
        assert one.val.ids.tolist() == splits[(number + 1) % 5].test.ids.tolist()
        held = [set(part.metadata["group"].tolist()) for part in (one.train, one.val, one.test)]
        assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]


def test_folds_that_cannot_be_made_are_explained():
    with pytest.raises(DataError, match="'dog' has 4 different examples, fewer than 5 folds"):
        fold_splits(texts([0] * 9 + [1] * 4), CLASSES, seed=0)
    with pytest.raises(ValueError, match="3 folds or more"):
        fold_splits(texts([0, 1]), CLASSES, folds=2, seed=0)


def test_the_most_frequent_class_of_a_group_is_its_stratum():
    examples = texts([1, 1, 0, 0], group=["a", "a", "a", "b"])
    found = find_units(examples, seed=0)
    assert {found.strata[found.of[0]], found.strata[found.of[3]]} == {1, 0} and found.strata[found.of[0]] == 1


@pytest.mark.parametrize(
    "targets",
    [ValueTargets(np.arange(40, dtype=np.float32)), MultiLabelTargets(np.eye(4, dtype=np.uint8)[[0] * 37 + [1, 2, 3]])],
)
def test_values_and_several_labels_are_split_without_empty_parts(targets):
    base = texts([0] * 40)
    splits = split_examples(Examples(base.ids, base.store, targets), ("a", "b", "c", "d"), seed=0)
    sizes = [len(splits.train), len(splits.val), len(splits.test)]
    assert sum(sizes) == 40 and min(sizes) >= 4
