import numpy as np
import pytest

from tlkeras.data.examples import Examples, ImageArrays
from tlkeras.data.targets import ClassTargets, MultiLabelTargets, NoTargets, ValueTargets

CLASSES = ("cat", "dog", "owl")
SEVERAL = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]], np.uint8)


@pytest.mark.parametrize(
    ("targets", "cells", "strata"),
    [
        (ClassTargets(np.array([2, 0, 0, 1], np.int32)), ["owl", "cat", "cat", "dog"], [2, 0, 0, 1]),
        (MultiLabelTargets(SEVERAL), ["cat", "cat|dog", "cat|dog|owl", ""], [0, 1, 2, 3]),
        (ValueTargets(np.array([0.1, -2, 3.5, 1e20], np.float32)), ["0.1", "-2.0", "3.5", "1e+20"], [0, 0, 0, 0]),
        (NoTargets(4), ["", "", "", ""], [0, 0, 0, 0]),
    ],
)
def test_targets_are_chosen_counted_and_written(targets, cells, strata):
    assert len(targets) == 4 and targets.cells(CLASSES) == cells and targets.strata().tolist() == strata
    assert targets.strata().dtype == np.int64
    chosen = targets.take(np.array([3, 1]))
    assert len(chosen) == 2 and chosen.cells(CLASSES) == [cells[3], cells[1]]


def test_values_are_stratified_by_fifths():
    values = np.random.default_rng(0).permutation(100).astype(np.float32)
    assert ValueTargets(values).strata().tolist() == (values // 20).astype(int).tolist()


def test_only_single_classes_give_labels():
    store = ImageArrays(np.zeros((4, 2, 2, 3), np.uint8))
    examples = Examples(np.array(list("abcd")), store, MultiLabelTargets(SEVERAL))
    with pytest.raises(TypeError, match=r"one class for each example\. Received: MultiLabelTargets"):
        _ = examples.labels
    assert examples.take([2]).targets.cells(CLASSES) == ["cat|dog|owl"]
