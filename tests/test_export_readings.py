"""Pictures that readers get wrong: the right reader passes, each wrong one is named."""

from dataclasses import replace

import numpy as np
import pytest

from tests.export_models import exported_images, image_examples, image_model
from tlkeras.data import decode
from tlkeras.errors import ParityError
from tlkeras.export import compare, predict
from tlkeras.export.beneath import Yardstick, problem_with_reader
from tlkeras.export.readings import _KINDS, Reading, misread, problem_with_reading
from tlkeras.export.verify import verify

RIGHT = np.tile(np.array([[0.9, 0.1], [0.2, 0.8]]), (4, 1))
READING = Reading("turned", "as if they were upright", (), RIGHT, RIGHT[:, ::-1])


def test_answers_are_those_of_the_nearer_reading():
    # Half-way is a share of 0.5; the message gives the share.
    for share, found in ((0.0, ""), (0.49, ""), (0.6, "turned pictures are read as if they were upright (share 0.60)")):
        assert problem_with_reading(READING, RIGHT + share * (READING.wrong - RIGHT), mean=0.01) == found
    assert problem_with_reading(READING, RIGHT * np.nan, mean=0.01)


def test_what_single_pictures_do_by_chance_is_no_mistake():
    # Eight pictures: a share of 0.55 from all of them is one, the same share from half of them is not: 0.55 +- 2 * 0.19.
    for shares, refused in (([0.55] * 8, True), ([1.1] * 4 + [0.0] * 4, False)):
        outputs = RIGHT + np.array(shares)[:, None] * (READING.wrong - RIGHT)
        assert bool(problem_with_reading(READING, outputs, mean=0.01)) is refused


def test_a_mistake_that_would_move_no_more_than_rounding_is_not_looked_for():
    # It would move the answers by 0.7 in the mean: (0.8 + 0.6) / 2.
    assert problem_with_reading(READING, READING.wrong, mean=0.46)
    assert not problem_with_reading(READING, READING.wrong, mean=0.47)


def test_what_an_artefact_answers_to_the_plain_pictures_too_is_rounding_and_not_reading():
    reading = replace(READING, shown=(b"shown",), mistaken=(b"mistaken",))

    def rounds(contents):  # both pictures to the answer that Keras has for the wrong one
        return reading.wrong

    def tells_apart(contents):
        return reading.right if contents == reading.shown else reading.wrong

    assert misread(reading, reading.wrong, rounds, mean=0.01) == ""
    assert (
        misread(reading, reading.wrong, tells_apart, mean=0.01) == problem_with_reading(reading, reading.wrong, mean=0.01) != ""
    )
    coloured = replace(reading, kind="coloured")
    assert misread(coloured, reading.wrong, rounds, mean=0.01)


@pytest.fixture(scope="module")
def yardstick():
    return Yardstick(image_model(), image_examples())


@pytest.fixture(scope="module")
def predictor():
    return predict.load_artifact(exported_images()[1].path)


def test_right_answers_are_those_of_the_decoder_of_training(yardstick, predictor):
    assert [reading.kind for reading in yardstick.readings] == [entry[0] for entry in _KINDS]
    for reading in yardstick.readings:
        answers = predict.predict_images(predictor, reading.contents)
        np.testing.assert_allclose(np.stack([one.probabilities for one in answers]), reading.right, atol=1e-5)
    assert problem_with_reader(predictor, None, yardstick, mean=0.0) == ""


def replace_readings(yardstick, readings):
    other = Yardstick(yardstick.model, image_examples())
    other.readings = readings
    return other


@pytest.mark.parametrize("number", range(len(_KINDS)), ids=[f"{entry[0]} {entry[1]}" for entry in _KINDS])
def test_a_reader_with_a_mistake_is_named(number, yardstick, predictor, monkeypatch):
    kind, mistake, _, seen = _KINDS[number]
    chosen = yardstick.readings[number].contents

    def read(data, size, *, resize="crop"):
        return seen(data, size, resize) if data in chosen else decode.decode_image(data, size, resize=resize)

    monkeypatch.setattr(predict, "decode_image", read)
    alone = replace_readings(yardstick, yardstick.readings[number : number + 1])
    assert problem_with_reader(predictor, None, alone, mean=1e-5) == f"{kind} pictures are read {mistake} (share 1.00)"


def test_a_reader_that_cannot_read_a_kind_is_named(yardstick, predictor, monkeypatch):
    def read(data, size, *, resize="crop"):
        if data.startswith(b"\xff\xd8"):
            return decode.decode_image(data, size, resize=resize)
        raise ValueError("no PNG here")

    monkeypatch.setattr(predict, "decode_image", read)
    problem = problem_with_reader(predictor, None, yardstick, mean=0.01)
    assert problem == "transparent pictures, which Keras reads, cannot be read (no PNG here)"


def test_a_server_graph_that_ignores_the_orientation_is_named(monkeypatch, tmp_path):
    import tensorflow as tf

    from tlkeras.export import decode_graph
    from tlkeras.export.targets import export_model

    monkeypatch.setattr(decode_graph, "_orientation", lambda data: tf.constant(1))
    artifacts = export_model(image_model(), tmp_path, targets=["saved_model"])
    with pytest.raises(ParityError, match=r"picture files as they are: turned right \(EXIF\) pictures are read as if"):
        verify(artifacts, image_model(), image_examples())


def test_what_pushes_all_answers_one_way_is_told_from_what_pushes_some_either_way():
    reference = np.full((4, 2), 0.5)
    shift, error = compare.shifts("classification", reference, reference + np.array([[0.1, -0.1]] * 4))
    np.testing.assert_allclose(shift, [0.1, -0.1])
    np.testing.assert_allclose(error, 0, atol=1e-12)
    sides = np.array([[0.1, -0.1], [-0.1, 0.1]] * 2)
    shift, error = compare.shifts("classification", reference, reference + sides)
    np.testing.assert_allclose(shift, 0, atol=1e-12)
    np.testing.assert_allclose(error, 0.05)
    values = np.array([[1.0], [3.0]])  # their deviation is 1
    np.testing.assert_allclose(compare.shifts("regression", values, values + 0.5)[0], 0.5)
