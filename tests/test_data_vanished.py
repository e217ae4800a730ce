"""Files that vanish or change between the check and the reading."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkeras.data.decode import read_pixels
from tlkeras.data.load import load_images
from tlkeras.data.vanished import splits_still_there, without_vanished
from tlkeras.errors import DataError


@pytest.fixture
def splits(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "data" / ("ab"[number % 2]) / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    return load_images(tmp_path / "data")


def test_a_picture_that_vanished_is_left_out_and_said(splits, caplog):
    gone = splits.train.store.paths[3]
    Path(gone).unlink()
    with caplog.at_level(logging.WARNING, "tlkeras"):
        left = splits_still_there(splits)
    assert gone in caplog.text and "1 pictures are gone" in caplog.text
    assert left.train.ids.tolist() == np.delete(splits.train.ids, 3).tolist()
    assert left.train.labels.tolist() == np.delete(splits.train.labels, 3).tolist() and len(read_pixels(left.train.store, 4))
    assert left.test.ids.tolist() == splits.test.ids.tolist() and left.fingerprint == splits.fingerprint


def test_a_picture_that_changed_is_said_and_read_as_it_is(splits, caplog):
    changed = splits.val.store.paths[0]
    os.utime(changed, ns=(1, 1))
    with caplog.at_level(logging.WARNING, "tlkeras"):
        assert without_vanished(splits.val) is splits.val and without_vanished(splits.train) is splits.train
    assert [changed in record.getMessage() for record in caplog.records] == [True]


def test_a_class_that_vanished_is_an_error_that_names_a_file(splits):
    for path, label in zip(splits.train.store.paths, splits.train.labels, strict=True):
        if label == 1:
            Path(path).unlink()
    with pytest.raises(DataError, match=r"\d+ of \d+ pictures are gone .*data/b/\d\d\.png; nothing is left of a class"):
        without_vanished(splits.train)
