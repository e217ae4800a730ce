from typing import Any

import numpy as np
import pytest

from tlkeras.data.arrays import splits_from_arrays, splits_from_dataset, splits_from_texts
from tlkeras.errors import DataError


def stored(part: Any) -> Any:
    """Return the store of a part, whatever its kind."""
    return part.store


def pictures(number, start=0, shape=(4, 4, 3)):
    """Return `number` different pictures; all values of the n-th are `start + n`."""
    return (start + np.arange(number, dtype=np.uint8)).reshape(-1, *[1] * len(shape)) * np.ones((1, *shape), np.uint8)


def labels(number):
    return np.arange(number) % 2


def test_one_array_is_split_and_labels_follow_their_pictures():
    splits = splits_from_arrays((pictures(40), labels(40)), seed=0)
    assert splits.classes == ("0", "1") and [len(p) for p in (splits.train, splits.val, splits.test)] == [28, 6, 6]
    for part in (splits.train, splits.val, splits.test):
        np.testing.assert_array_equal(stored(part).pixels[:, 0, 0, 0] % 2, part.labels)
        assert part.labels.dtype == np.int32 and stored(part).pixels.dtype == np.uint8


def test_given_parts_are_kept():
    splits = splits_from_arrays((pictures(10), labels(10)), (pictures(4, 20), labels(4)), (pictures(6, 40), labels(6)))
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [10, 4, 6]
    assert splits.test.ids[0] == "test/0" and splits.test.store.where(0) == "test array, row 0"


def test_labels_may_be_a_column_or_one_hot_or_names():
    x = pictures(20)
    column = splits_from_arrays((x, labels(20)[:, None]), classes=("cat", "dog"))
    one_hot = splits_from_arrays((x, np.eye(2)[labels(20)]), classes=("cat", "dog"))
    named = splits_from_arrays((x, np.array(["cat", "dog"])[labels(20)]))
    objects = splits_from_arrays((x, np.array(["cat", "dog"], object)[labels(20)]), classes=("cat", "dog"))
    floats = splits_from_arrays((x, labels(20).astype(np.float32)), classes=("cat", "dog"))
    assert len({one.fingerprint for one in (column, one_hot, named, objects, floats)}) == 1 and named.classes == ("cat", "dog")


def test_number_labels_keep_their_numeric_order():
    assert splits_from_arrays((pictures(12), np.repeat([10, 2, 7], 4))).classes == ("2", "7", "10")


def test_the_order_of_given_classes_is_kept():
    splits = splits_from_arrays((pictures(12), np.repeat(["a", "b"], 6)), classes=("b", "a"))
    assert splits.classes == ("b", "a")
    first = int(np.flatnonzero(stored(splits.train).pixels[:, 0, 0, 0] < 6)[0])
    assert splits.train.labels[first] == 1


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1)])
def test_grey_pictures_are_taken_with_or_without_a_channel(shape):
    assert stored(splits_from_arrays((pictures(20, shape=shape), labels(20))).train).pixels.shape[1:] == (4, 4)


def test_numbers_in_the_pixel_range_are_rounded():
    x = pictures(20, 1).astype(np.float32) - 0.4
    splits = splits_from_arrays((x, labels(20)))
    assert splits.fingerprint == splits_from_arrays((pictures(20, 1), labels(20))).fingerprint
    assert splits_from_arrays((pictures(20, 1).astype(np.int64), labels(20))).fingerprint == splits.fingerprint


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (pictures(4) / 255, labels(4), r"seem to be in \[0, 1\].*Multiply them by 255"),
        (pictures(4) / 127.5 - 1, labels(4), "values from -1 to"),
        (pictures(4) + np.float32(np.nan), labels(4), "values from nan"),
        (pictures(4) * 300.0, labels(4), "undo their scaling"),
        (pictures(4, shape=(4, 4, 4)), labels(4), r"Received: \(4, 4, 4, 4\), uint8"),
        (pictures(4, shape=(4,)), labels(4), r"Received: \(4, 4\)"),
        (pictures(4).astype(str), labels(4), "must be numbers"),
        (pictures(4), labels(3), "4 inputs and labels of shape"),
        (pictures(4), np.array([0.5, 1, 0, 1]), "neither in row 0: .*0.5"),
        (pictures(4), np.array([0, 1, np.nan, 1]), r"neither in row 2: .*nan.*Leave such rows out"),
        (pictures(4), np.full((4, 2), 0.5), "not one-hot"),
        (pictures(4), np.array([0, "a", None, 1], object), "all str or all whole numbers.*in row 0: 0"),
        (pictures(4), np.array([0, 1, 2, 0]), r"outside the classes. Received: \[2\]; allowed: 0 to 1"),
        (pictures(4), np.array(["a", "b", "c", "a"]), "Received: .*'c'.*allowed: 'a', 'b'"),
    ],
)
def test_arrays_that_cannot_be_right_are_explained(x, y, message):
    with pytest.raises(ValueError, match=message):
        splits_from_arrays((x, y), classes=("a", "b"))


def test_pictures_and_labels_that_are_no_pair_are_explained():
    with pytest.raises(
        ValueError, match=r"splits_from_arrays\(\(pictures, labels\)\). Received: one array of shape \(4, 4, 4, 3\)"
    ):
        splits_from_arrays(pictures(4), labels(4))
    with pytest.raises(ValueError, match=r"`val` must be a pair.* Received: list"):
        splits_from_arrays((pictures(4), labels(4)), [pictures(4)])  # type: ignore[arg-type]


def test_one_class_is_an_error():
    with pytest.raises(DataError, match="at least two classes"):
        splits_from_arrays((pictures(4), np.zeros(4, int)))


def test_parts_must_be_labelled_in_one_way():
    with pytest.raises(ValueError, match="Give all in one way"):
        splits_from_arrays((pictures(4), labels(4)), test=(pictures(4), np.array(["a", "b"] * 2)))


def test_texts_are_split_and_copies_stay_on_one_side():
    texts = [f"text {n % 20}" for n in range(60)]
    splits = splits_from_texts(texts, [("neg", "pos")[n % 2] for n in range(60)], seed=0)
    parts = [set(stored(part).texts) for part in (splits.train, splits.val, splits.test)]
    assert splits.classes == ("neg", "pos") and splits.modality == "text" and sum(map(len, parts)) == 20
    for part in (splits.train, splits.val, splits.test):
        assert [int(text.split()[1]) % 2 for text in stored(part).texts] == part.labels.tolist()


@pytest.mark.parametrize("text", ["", "  ", None, b"bytes", float("nan")])
def test_a_text_that_is_none_is_named_by_its_row(text):
    with pytest.raises(ValueError, match="row 1"):
        splits_from_texts(["a", text], [0, 1])


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def test_a_dataset_is_read_batched_or_not(tf):
    arrays = splits_from_arrays((pictures(20), labels(20)), classes=("a", "b"))
    dataset = tf.data.Dataset.from_tensor_slices((pictures(20), labels(20)))
    assert splits_from_dataset(dataset, classes=("a", "b")).fingerprint == arrays.fingerprint
    assert splits_from_dataset(dataset.batch(3), classes=("a", "b")).fingerprint == arrays.fingerprint
    one_hot = dataset.map(lambda x, y: (tf.cast(x, tf.float32), tf.one_hot(y, 2))).batch(20)
    assert splits_from_dataset(one_hot, classes=("a", "b")).fingerprint == arrays.fingerprint


def test_a_dataset_brings_its_class_names(tf):
    dataset = tf.data.Dataset.from_tensor_slices((pictures(20), labels(20)))
    dataset.class_names = ["cat", "dog"]  # as keras.utils.image_dataset_from_directory does
    assert splits_from_dataset(dataset).classes == ("cat", "dog")


def test_a_dataset_that_cannot_be_kept_is_explained(tf):
    dataset = tf.data.Dataset.from_tensor_slices((pictures(20), labels(20)))
    with pytest.raises(ValueError, match=r"more than the 100 bytes.*raise `limit`"):
        splits_from_dataset(dataset, classes=("a", "b"), limit=100)
    with pytest.raises(ValueError, match="endless"):
        splits_from_dataset(dataset.repeat(), classes=("a", "b"))
    with pytest.raises(ValueError, match=r"\(image, label\) pairs"):
        splits_from_dataset(dataset.map(lambda x, y: x), classes=("a", "b"))
    with pytest.raises(ValueError, match=r"gives texts.*splits_from_texts"):
        splits_from_dataset(tf.data.Dataset.from_tensor_slices((["a", "b"], [0, 1])))
    with pytest.raises(ValueError, match="is empty"):
        splits_from_dataset(dataset.take(0), classes=("a", "b"))
    ragged = tf.data.Dataset.range(2, 4).map(lambda n: (tf.zeros((n, n, 3), tf.uint8), n))
    with pytest.raises(ValueError, match=r"several shapes: \(2, 2, 3\) and \(3, 3, 3\).*Resizing"):
        splits_from_dataset(ragged, classes=("a", "b"))
