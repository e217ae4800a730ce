"""Explanations: windows and words counted by hand, and a model of which one knows what it looks at."""

import asyncio
import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.serving import image_predictor, picture, text_predictor
from tlkeras.evaluation.occlusion import CELLS, MAX_PARTS, cell_drops, covered_pictures, text_parts, without_part
from tlkeras.serve.engine import Engine
from tlkeras.serve.limits import Limits


def test_each_window_covers_two_by_two_cells_with_the_mean_colour():
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 200  # the mean is 100
    pictures = covered_pictures(pixels)
    assert pictures.shape == (49, 16, 16, 3)
    expected = pixels.copy()
    expected[2:6, 10:14] = 100  # the second row, the sixth column of windows; a cell is 2 x 2 pixels
    np.testing.assert_array_equal(pictures[1 * 7 + 5], expected)
    assert (pixels[:8] == 200).all()


def test_a_cell_gets_the_mean_of_the_windows_that_cover_it():
    drops = np.zeros((7, 7))
    drops[0, 0], drops[3, 3] = 1.0, 4.0
    cells = cell_drops(drops.ravel())
    expected = np.zeros((CELLS, CELLS))
    expected[0, 0] = 1  # covered by one window only
    expected[0, 1] = expected[1, 0] = 0.5
    expected[1, 1] = 0.25
    expected[3:5, 3:5] = 1  # each covered by four windows, one of which drops by 4
    np.testing.assert_allclose(cells, expected)


def test_words_are_found_and_left_out():
    text = "  good\tfilm,  isn't it "
    assert [text[part.start : part.stop] for part in text_parts(text)] == ["good", "film,", "isn't", "it"]
    assert without_part(text, text_parts(text)[1]).split() == ["good", "isn't", "it"]
    assert text_parts("  \n ") == []


def test_a_long_text_is_divided_into_runs_of_words_that_cover_it():
    text = " ".join(f"w{number}" for number in range(1000))
    parts = text_parts(text)
    assert len(parts) == MAX_PARTS
    assert " ".join(text[part.start : part.stop] for part in parts) == text


def _explained(predictor, body):
    async def run():
        engine = Engine(predictor, Limits())
        answer = await engine.explain(body)
        engine.close()
        return answer

    return asyncio.run(run())


def test_the_map_shows_where_the_model_looks():
    def corner(batch):
        """Look at the lower right cell only."""
        seen = batch[:, -1, -1, 0].astype(np.float32) / 255
        return np.stack([1 - seen, seen], axis=1)

    body = picture((255, 0, 0), (8, 8))
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[4:, 4:] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    answer = _explained(image_predictor(corner), stream.getvalue())
    assert (answer["label"], answer["explanation"]["of"]) == ("red", "red")
    drops = np.array(answer["explanation"]["drops"])
    assert drops[-1, -1] == pytest.approx(1 - 64 / 255, abs=1e-5)  # covered by the mean, 255 / 4
    assert np.count_nonzero(drops) == 4
    assert answer["explanation"]["picture"].startswith("data:image/png;base64,")
    assert _explained(image_predictor(corner), body)["explanation"]["drops"] == np.zeros((8, 8)).tolist()


def test_the_word_that_counts_has_the_drop_worked_out_by_hand():
    answer = _explained(text_predictor(), json.dumps({"text": "aaaa bb"}).encode())
    assert answer["label"] == "yes"  # 4 of 7 letters
    assert answer["explanation"]["words"] == [
        {"text": "aaaa", "drop": pytest.approx(4 / 7 - 0, abs=1e-5)},
        {"text": "bb", "drop": pytest.approx(4 / 7 - 1, abs=1e-5)},
    ]


def test_a_text_without_words_has_an_explanation_without_words():
    assert _explained(text_predictor(), b'{"text": " "}')["explanation"]["words"] == []


def test_the_class_that_was_decided_for_is_explained_also_where_its_threshold_is_low():
    output = {"name": "probabilities", "thresholds": [0.7, 0.3]}
    answer = _explained(text_predictor(output=output), json.dumps({"text": "aaaa bbbbb"}).encode())
    assert (answer["label"], answer["probability"]) == ("yes", pytest.approx(0.4))
    assert answer["explanation"]["of"] == "yes"
    assert answer["explanation"]["words"][0]["drop"] == pytest.approx(0.4)
