"""Faults of classes, splits and labels in the catalogue that no other test checks."""

import csv
import logging

import numpy as np
import pytest

from tests.data_files import words
from tests.test_data_health import photos
from tlkeras.data.checks import require_classes
from tlkeras.data.load import load_images, load_texts
from tlkeras.data.split_files import save_splits
from tlkeras.errors import DataError

AWKWARD = ["a/b", "a\\b", "..", "CON", "bell\x07", "two words", "émoji 😀", "=1+1"]


def test_the_seed_is_always_set_and_said(tmp_path):
    root = photos(tmp_path, {"cat": 20, "dog": 20})
    first, second = load_images(root), load_images(root)
    assert first.fingerprint == second.fingerprint and "seed 0" in first.notes[-1]
    assert load_images(root, seed=1).fingerprint != first.fingerprint


@pytest.mark.parametrize("twin", ["cat ", "CAT", "cat\u00a0", " Cat"])
def test_names_that_differ_in_blanks_or_case_are_refused(twin):
    with pytest.raises(DataError, match="look alike"):
        require_classes(["cat", twin], "x")


def test_awkward_class_names_are_data_and_never_paths(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text", "label"], *([words(n), AWKWARD[n % 8]] for n in range(80))])
    splits = load_texts(path)
    assert set(splits.classes) == set(AWKWARD)
    out = tmp_path / "out"
    out.mkdir()
    save_splits(splits, out / "splits.csv")
    assert [file.name for file in out.iterdir()] == ["splits.csv"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "t.csv"]


def test_class_folders_with_blanks_and_emoji_are_ordinary(tmp_path):
    assert load_images(photos(tmp_path, {"two words": 4, "größe": 4, "😀": 4})).classes == ("größe", "two words", "😀")


def test_a_class_of_one_example_is_an_error_that_names_it_and_the_way_out(tmp_path):
    root = photos(tmp_path, {"cat": 20, "dog": 1})
    with pytest.raises(DataError, match=r"'dog' has 1 different examples.*leave it out"):
        load_images(root)


def test_a_model_that_tells_nothing_apart_is_told(caplog):
    from tests.networks import square_splits, tiny_source
    from tlkeras.evaluation.evaluate import evaluate
    from tlkeras.tasks.classification import build_classifier

    splits = square_splits()
    model = build_classifier(tiny_source(), splits.classes)
    kernel, bias = model.head.network.get_layer("logits").weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([0.0, 1.0, 0.0])
    caplog.set_level(logging.WARNING, "tlkeras")
    evaluate(model, splits, compare_nulls=False)
    assert "Every test example is taken for 'low': the model tells nothing apart" in caplog.text
