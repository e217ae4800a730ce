"""Pictures are written, whatever the names and numbers are."""

import numpy as np
import pytest
from PIL import Image

from tlkeras.plots import save_confusion, save_training, shorten


def test_training_is_drawn_with_gaps_where_a_phase_has_no_value(tmp_path):
    rows = [
        {"phase": "head", "epoch": 1, "loss": 0.9, "val_loss": 1.0, "accuracy": 0.6, "val_accuracy": 0.5, "best": 1},
        {"phase": "top $x$ blocks", "epoch": 1, "loss": 0.7, "accuracy": 0.7, "best": 0},
        {"phase": "top $x$ blocks", "epoch": 2, "loss": 0.6, "val_loss": 0.8, "accuracy": 0.7, "val_accuracy": 0.6, "best": 1},
    ]
    save_training(rows, tmp_path / "training.png")
    with Image.open(tmp_path / "training.png") as image:
        assert image.size[0] > 800
    save_training(rows[:1], tmp_path / "head.png")  # nothing may lie outside: Matplotlib would warn


@pytest.mark.parametrize("count", [2, 40])
def test_confusion_is_drawn_for_few_and_many_classes_with_hostile_names(tmp_path, count):
    names = ["<script>", "$\\frac{1}{0}$", *(f"class {index} with a very long name indeed" for index in range(count - 2))]
    confusion = np.random.default_rng(0).integers(0, 9, (count, count))
    save_confusion(confusion, names, tmp_path / "confusion.png")
    pixels = np.asarray(Image.open(tmp_path / "confusion.png").convert("RGB"))
    assert pixels.std() > 10


def test_long_names_are_cut_and_formulas_defused():
    assert shorten("a" * 30) == "a" * 23 + "…"
    assert shorten("$x$") == r"\$x\$"
