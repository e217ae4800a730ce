"""Files that vanish or change between the check and the reading."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkeras.data import decode
from tlkeras.data.decode import read_picture, read_pixels
from tlkeras.data.examples import Examples
from tlkeras.data.load import load_images
from tlkeras.data.vanished import read_still_there, splits_still_there, without_vanished
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
    assert gone in caplog.text and "1 pictures are gone or damaged" in caplog.text
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
    with pytest.raises(
        DataError, match=r"\d+ of \d+ pictures are gone or damaged .*data/b/\d\d\.png; nothing is left of a class"
    ):
        without_vanished(splits.train)


def test_a_picture_that_vanishes_while_it_is_read_is_left_out_and_said(splits, caplog):
    gone, calls = splits.train.store.paths[5], []

    def read(there):
        calls.append(len(there.train))
        Path(gone).unlink(missing_ok=True)  # after the files were looked at, before they are read
        return read_pixels(there.train.store, 4)

    with caplog.at_level(logging.WARNING, "tlkeras"):
        left, pixels = read_still_there(splits, read)
    assert calls == [len(splits.train), len(splits.train) - 1] and len(pixels) == len(left.train) == calls[1]
    assert gone in caplog.text and gone not in left.train.store.paths and left.val is splits.val


def test_a_picture_that_is_damaged_since_it_was_checked_is_left_out_and_said(splits, caplog):
    damaged = splits.val.store.paths[0]
    Path(damaged).write_bytes(b"\x89PNG\r\n\x1a\n")
    os.utime(damaged, ns=(1, 1))
    with caplog.at_level(logging.WARNING, "tlkeras"):
        left, _ = read_still_there(splits.val, lambda there: read_pixels(there.store, 4))
    assert left.ids.tolist() == splits.val.ids[1:].tolist() and damaged in caplog.text


def test_an_error_that_has_nothing_to_do_with_files_is_passed_on(splits):
    def read(there):
        raise DataError("of another kind")

    with pytest.raises(DataError, match="of another kind"):
        read_still_there(splits, read)
    whole = splits.train.store.paths[0]

    def lose(there):
        for path in there.train.store.paths:
            Path(path).unlink(missing_ok=True)
        return read_pixels(there.train.store, 4)

    with pytest.raises(DataError, match="gone or damaged"):
        read_still_there(splits, lose)
    assert not Path(whole).exists()


def _lose_while_read(splits, monkeypatch):
    """Let a picture of training and one of the test vanish just before each is decoded; return which."""
    gone = {splits.train.store.paths[5], splits.test.store.paths[0]}
    read = decode._read_row

    def losing(store, sizes, row, resize):
        if store.paths[row] in gone:
            Path(store.paths[row]).unlink()
        return read(store, sizes, row, resize)

    monkeypatch.setattr(decode, "_read_row", losing)
    return gone


def test_a_training_goes_on_without_a_picture_that_vanishes_while_it_is_read(splits, monkeypatch, caplog):
    from tests.networks import tiny_source
    from tlkeras.evaluation.evaluate import evaluate
    from tlkeras.strategies.phases import Phase
    from tlkeras.tasks.classification import build_classifier
    from tlkeras.training.fit import fit

    gone = _lose_while_read(splits, monkeypatch)
    model = build_classifier(tiny_source(), splits.classes)
    with caplog.at_level(logging.WARNING, "tlkeras"):
        fit(model, splits, [Phase(name="head", trainable="head", epochs=1)])
        evaluation = evaluate(model, splits, compare_nulls=False)
    assert all(path in caplog.text and not Path(path).exists() for path in gone)
    assert evaluation.ids.tolist() == splits.test.ids[1:].tolist()


def test_the_gallery_goes_on_without_pictures_that_vanish_while_it_is_made(splits, monkeypatch, caplog, tmp_path):
    from tests.networks import tiny_source
    from tlkeras.evaluation.evaluate import evaluate
    from tlkeras.evaluation.gallery import write_gallery
    from tlkeras.tasks.classification import build_classifier

    model = build_classifier(tiny_source(), splits.classes)
    evaluation = evaluate(model, splits, compare_nulls=False)
    gone = _lose_while_read(splits, monkeypatch)
    with caplog.at_level(logging.WARNING, "tlkeras"):
        items = write_gallery(model, splits, evaluation, tmp_path)
    assert {item.id for item in items} == set(splits.test.ids[1:].tolist())
    assert splits.train.ids[5] not in {near.id for item in items for near in item.neighbours}
    assert all(path in caplog.text and not Path(path).exists() for path in gone)
    assert all((tmp_path / item.image).is_file() for item in items)


def test_whatever_reads_a_picture_names_it_when_it_is_gone(splits):
    from tlkeras.data.sizes import typical_side
    from tlkeras.evaluation.slices import slice_columns
    from tlkeras.features.inputs import example_digests

    part = splits.test.take([0])
    (gone,) = part.store.paths
    Path(gone).unlink()
    for read in (
        lambda: read_picture(part.store, 0, 4),
        lambda: typical_side(part.store),
        lambda: slice_columns(part),
        lambda: example_digests(Examples(part.ids, part.store, part.targets)),
    ):
        with pytest.raises(DataError, match=rf"{gone}: the file does not exist.*Replace or remove"):
            read()
