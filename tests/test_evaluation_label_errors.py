import sys

import numpy as np
import pytest

from tests.data_files import words
from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, Texts
from tlkeras.errors import DataError, TlkerasError
from tlkeras.evaluation.label_errors import find_label_errors, out_of_fold


def blobs(count, classes=3, width=6, seed=0):
    """Return well separated features, their labels and folds that deal each class round."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = 4 * np.eye(classes, width)
    return centres[labels] + generator.normal(size=(count, width)), labels, np.arange(count) // classes % 5


def test_probabilities_are_out_of_fold():
    features, labels, fold = blobs(150)
    probabilities = out_of_fold(features, labels, fold, 3)
    assert probabilities.shape == (150, 3) and np.allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.97
    wrong = labels.copy()
    wrong[7] = (labels[7] + 1) % 3
    changed = out_of_fold(features, wrong, fold, 3)
    # What example 7 is labelled cannot influence what is predicted for it, apart from the strength, which its fold may choose.
    assert changed[7].argmax() == labels[7] and abs(changed[7] - probabilities[7]).max() < 0.05


def test_a_class_that_random_features_cannot_tell_is_predicted_by_chance():
    generator = np.random.default_rng(0)
    features, labels = generator.normal(size=(200, 20)), np.arange(200) % 2
    fold = np.arange(200) // 2 % 5
    assert 0.3 < (out_of_fold(features, labels, fold, 2).argmax(axis=1) == labels).mean() < 0.7


@pytest.fixture(scope="module")
def source():
    from tlkeras import load_image_source

    return load_image_source("tiny_cnn", image_size=33)


def coloured(count, seed=0):
    """Return pictures that are mostly red or mostly blue, with noise, and their labels."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype(np.int32)
    pixels = generator.integers(0, 90, (count, 33, 33, 3), dtype=np.uint8)
    pixels[labels == 0, :, :, 0] += 150
    pixels[labels == 1, :, :, 2] += 150
    return pixels, labels


def test_planted_label_errors_are_found_and_their_class_is_suggested(source):
    pixels, labels = coloured(80)
    planted = [3, 18, 40, 61]
    labels[planted] = 1 - labels[planted]
    examples = Examples(np.array([f"p{n}" for n in range(80)]), ImageArrays(pixels), ClassTargets(labels))
    done = []
    found = find_label_errors(examples, ("red", "blue"), source, on_progress=lambda *step: done.append(step))
    assert set(found.rows.tolist()) == set(planted)
    assert found.suggested.tolist() == (1 - labels[found.rows]).tolist()
    assert (np.diff(found.confidence) >= 0).all() and found.confidence.max() < 0.5
    assert found.accuracy == pytest.approx(76 / 80) and done[-1] == (80, 80)


def test_sound_labels_raise_no_suspicion(source):
    pixels, labels = coloured(60)
    examples = Examples(np.array([f"p{n}" for n in range(60)]), ImageArrays(pixels), ClassTargets(labels))
    assert len(find_label_errors(examples, ("red", "blue"), source).rows) == 0


def test_a_class_that_is_too_small_is_named(source):
    store = Texts(tuple(words(n) for n in range(6)), np.arange(6))
    examples = Examples(np.arange(6).astype(str), store, ClassTargets(np.array([0, 0, 0, 0, 1, 1], np.int32)))
    with pytest.raises(DataError, match="Class 'dog' has 2 different examples"):
        find_label_errors(examples, ("cat", "dog"), source)


def test_without_cleanlab_the_line_that_installs_it_is_given(monkeypatch, source):
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    pixels, labels = coloured(10)
    examples = Examples(np.arange(10).astype(str), ImageArrays(pixels), ClassTargets(labels))
    with pytest.raises(TlkerasError, match=r"pip install 'tlkeras\[deep\]'"):
        find_label_errors(examples, ("red", "blue"), source)
