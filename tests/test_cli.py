"""The command line: what it prints, what it imports, how it exits."""

import io
import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tlkeras import cli
from tlkeras.cli import main
from tlkeras.export import predict
from tlkeras.recipes import load_recipe, recipe_files

RECIPE = '''"""Do next to nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Settings."""

    epochs: int = 3
    """How often."""
    output: str | None = None
    """Run folder."""
    resume: bool = False
    """Go on."""


SMOKE = {{"epochs": 1}}


def run(config):
    import os, signal
    import tlkeras as tl

    run = tl.create_run("mine", config)
    (run.path / "epochs").write_text(str(config.epochs))
    {body}
'''


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "start_tensorflow", lambda: None)


def _recipe(body="pass"):
    Path("mine.py").write_text(RECIPE.format(body=body))
    return ["run", "mine.py", "--output", "run"]


class _FakeRun:
    """Says the class that the first pixel, or the first letter, names."""

    def __init__(self, modality):
        self.modality = modality

    def __call__(self, batch):
        first = [int(row[0, 0, 0]) // 128 if self.modality == "image" else int(row[:1] == b"d") for row in batch]
        return {"probabilities": np.array([[0.9, 0.1] if item == 0 else [0.25, 0.75] for item in first], np.float32)}


@pytest.fixture
def artifact(monkeypatch):
    """Make `load_artifact` return a predictor for the modality asked for."""

    def use(modality):
        terms = {"size": 4} if modality == "image" else {"dtype": "string"}
        contract = {"task": "classification", "input": terms, "output": {"name": "probabilities"}}
        fake = predict.Predictor(Path("model.tflite"), modality, ("cat", "dog"), contract, _FakeRun(modality))
        monkeypatch.setattr(predict, "load_artifact", lambda path, refuse: fake)

    return use


@pytest.fixture
def photos(tmp_path):
    from PIL import Image

    for name, value in (("photos/b/dog.png", 255), ("photos/a/cat.png", 0)):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4), (value,) * 3).save(tmp_path / name)
    (tmp_path / "photos" / "notes.txt").write_text("not a picture")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["--version"], ["list"], ["show", "text_classification"], ["sources"], ["predict", "--help"],
              ["run", "image_classification", "--help"], ["run", "image_classification", "--epoch", "3"]]
)  # fmt: skip
def test_looking_around_imports_neither_tensorflow_nor_keras_nor_pandas(words):
    code = (
        "import sys; from tlkeras.cli import main; main(sys.argv[1:]);"
        "heavy = {'tensorflow', 'keras', 'keras_hub', 'pandas', 'sklearn', 'matplotlib'};"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == ""


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"• {name}" in shown for name in cli.COMMANDS)
    assert "--debug" in shown


def test_list_names_every_recipe_with_its_purpose(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in recipe_files())
    assert "Classify pictures: fine-tune an ImageNet network" in shown


def test_show_prints_the_recipe_as_it_is(capsys):
    assert main(["show", "image_classification"]) == 0
    assert capsys.readouterr().out == recipe_files()["image_classification"].read_text()


def test_copy_makes_a_recipe_of_ones_own_and_never_overwrites(capsys):
    assert main(["copy", "image_classification", "mine.py"]) == 0
    assert Path("mine.py").read_text() == recipe_files()["image_classification"].read_text()
    Path("mine.py").write_text("changed")
    assert main(["copy", "image_classification", "mine.py"]) == 2
    assert "mine.py exists already and is not overwritten" in capsys.readouterr().err
    assert Path("mine.py").read_text() == "changed"


def test_copy_wants_a_python_file(capsys):
    assert main(["copy", "image_classification", "mine"]) == 2
    assert "ends in .py. Received: 'mine'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lst"], "Unknown command. Received: 'lst'. Did you mean 'list'?"),
        (
            ["run", "image_clasification"],
            "Unknown recipe. Received: 'image_clasification'. Did you mean 'image_classification'",
        ),
        (["run", "image_classification", "--epoch", "3"], "--epochs INT"),
        (["run", "image_classification", "--epochs", "many"], "invalid literal for int() with base 10: 'many'"),
        (["run", "nowhere.py"], "No such recipe file. Received: 'nowhere.py'"),
        (["run", "--smoke", "image_classification"], "The recipe comes first"),
        (["blocks", "efficientnet_lit0"], "Did you mean 'efficientnet_lite0'"),
        (["predict", "model.tflite", "x.jpg", "--tpo", "2"], "--top INT"),
    ],
)
def test_a_mistake_gives_one_message_with_the_way_out_and_exit_code_2(words, expected, capsys):
    assert main(words) == 2
    shown = capsys.readouterr()
    assert expected in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_flags_reach_the_recipe():
    assert main([*_recipe(), "--epochs", "7"]) == 0
    assert Path("run/epochs").read_text() == "7"


def test_smoke_sets_what_the_recipe_says_and_flags_win_over_it():
    assert main([*_recipe(), "--smoke"]) == 0
    assert Path("run/epochs").read_text() == "1"
    assert main(["run", "mine.py", "--output", "other", "--smoke", "--epochs", "2"]) == 0
    assert Path("other/epochs").read_text() == "2"


def test_the_help_of_a_recipe_shows_its_fields_with_their_comments(capsys):
    assert main(["run", "image_classification", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Peak learning rate of the head; lower blocks get a tenth. (default: 0.001)" in shown
    assert "--smoke for a run of a few seconds, with --source tiny_cnn" in shown


def test_a_recipe_file_runs_by_python_itself():
    _recipe()
    with Path("mine.py").open("a") as stream:
        stream.write(
            "\nif __name__ == '__main__':\n    from tlkeras.cli import run_recipe_file\n    run_recipe_file(__file__)\n"
        )
    done = subprocess.run([sys.executable, "mine.py", "--epochs", "x"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--epochs" in done.stderr


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("raise ValueError('Received: 3. Allowed: 4.')", 2, "Error: Received: 3. Allowed: 4."),
        ("raise tl.DataError('photos/cat.jpg: empty')", 1, "Error: photos/cat.jpg: empty"),
        ("raise tl.ParityError('float16 differs')", 1, "Error: float16 differs"),
        ("raise tl.WeightsError('no network')", 3, "Error: no network"),
        ("raise MemoryError('too big')", 3, "Error: Out of memory: too big. Try a smaller --batch-size"),
        ("raise OSError(28, 'No space left on device')", 3, "Error: The disk is full"),
        ("open('missing.csv')", 2, "No such file or directory: 'missing.csv'"),
        ("{}['x']", 1, "Error: KeyError: 'x'. This was not foreseen: --debug shows where"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "Interrupted."),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, ""),
    ],
)
def test_each_kind_of_failure_has_its_exit_code_and_no_traceback(body, code, message, capsys):
    assert main(_recipe(body.replace("{}", "dict()"))) == code
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err + shown.out
    if code in (130, 143):
        assert "Go on later with the same command and --resume" in shown.out


def test_debug_shows_the_traceback_and_the_log_always_has_it(capsys):
    words = _recipe("raise ValueError('wrong')")
    assert main(words) == 2
    assert "Traceback" in Path("run/log.txt").read_text()
    assert main([*words[:3], "again", "--debug"]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_second_start_tells_how_to_go_on_and_resume_does(capsys):
    words = _recipe()
    assert main(words) == 0
    assert main(words) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0


def test_sigterm_works_as_before_after_a_run():
    before = signal.getsignal(signal.SIGTERM)
    main(_recipe())
    assert signal.getsignal(signal.SIGTERM) is before


def test_demo_says_what_it_will_do_and_the_command_that_does_the_same(monkeypatch, capsys):
    seen: list[dict[str, object]] = []
    recipe = load_recipe(recipe_files()["image_classification"])
    monkeypatch.setattr(recipe, "run", lambda config: seen.append(dict(vars(config))))
    monkeypatch.setattr(cli, "load_recipe", lambda file: recipe)
    assert main(["demo", "--epochs", "2"]) == 0
    shown = capsys.readouterr().out
    assert "fine-tunes EfficientNet-Lite0" in shown
    command = "tlkeras run image_classification --data sample --source efficientnet_lite0 --image-size 97 --epochs 2"
    assert command in shown
    assert main(command.split()[1:]) == 0
    assert seen[0] == seen[1]
    assert (seen[0]["source"], seen[0]["image_size"], seen[0]["epochs"]) == ("efficientnet_lite0", 97, 2)


def test_predict_shows_a_row_for_each_picture_of_a_folder_in_order(artifact, photos, capsys):
    artifact("image")
    assert main(["predict", "model.tflite", "photos", "--top", "2"]) == 0
    assert capsys.readouterr().out == (
        "input             labels\nphotos/a/cat.png  cat 0.900, dog 0.100\nphotos/b/dog.png  dog 0.750, cat 0.250\n"
    )


def test_predict_gives_json_lines_a_program_can_read(artifact, photos, capsys):
    artifact("image")
    Path("broken.png").write_bytes(b"not a picture")
    assert main(["predict", "model.tflite", "photos/b/dog.png", "broken.png", "--json"]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == {"input": "photos/b/dog.png", "label": "dog", "probability": 0.75}
    assert second["input"] == "broken.png"
    assert second["problem"]


def test_predict_takes_texts_and_lines_of_standard_input(artifact, monkeypatch, capsys):
    artifact("text")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"dogs bark\n\ncats purr\n")))
    assert main(["predict", "model.tflite", "d", "-", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["input"], row["label"]) for row in rows] == [("d", "dog"), ("dogs bark", "dog"), ("cats purr", "cat")]


def test_predict_takes_a_picture_or_names_of_pictures_from_standard_input(artifact, photos, monkeypatch, capsys):
    artifact("image")
    for content, name in ((Path("photos/b/dog.png").read_bytes(), "-"), (b"photos/b/dog.png\n", "photos/b/dog.png")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert main(["predict", "model.tflite", "-", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"input": name, "label": "dog", "probability": 0.75}


def test_predict_scores_a_table_and_keeps_every_column(artifact, capsys):
    artifact("text")
    Path("new.csv").write_text("id,text,=x\n7,dogs bark at night,1\n8,cats purr,2\n")
    assert main(["predict", "model.tflite", "new.csv", "--output", "scored.csv"]) == 0
    lines = Path("scored.csv").read_text().splitlines()
    assert lines[0].startswith("id,text,'=x,label,probability")
    assert lines[1].startswith("7,dogs bark at night,1,dog,0.75")
    assert "scored.csv: 2 rows" in capsys.readouterr().err


def test_predict_asks_where_to_write_a_scored_table(artifact, capsys):
    artifact("text")
    Path("new.csv").write_text("text\nx\n")
    assert main(["predict", "model.tflite", "new.csv"]) == 2
    assert "new.csv --output scored.csv" in capsys.readouterr().err


def test_predict_writes_a_table_of_pictures(artifact, photos):
    artifact("image")
    assert main(["predict", "model.tflite", "photos", "--output", "out.csv"]) == 0
    assert Path("out.csv").read_text().splitlines() == [
        "input,label,probability,problem", "photos/a/cat.png,cat,0.900000,", "photos/b/dog.png,dog,0.750000,",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("modality", "words", "message"),
    [
        ("image", [], "nothing to predict on. Give files or folders of pictures"),
        ("image", ["empty"], "no pictures in the folder 'empty'"),
        ("text", [], "Give texts or a table"),
        ("text", ["x", "--top", "0"], "--top is a number of classes"),
    ],
)
def test_predict_says_what_it_lacks(artifact, capsys, modality, words, message):
    Path("empty").mkdir()
    artifact(modality)
    assert main(["predict", "model.tflite", *words]) == 2
    assert message in capsys.readouterr().err


def test_sources_lists_all_with_where_their_weights_are(capsys):
    from tlkeras.sources.catalog import list_sources

    assert main(["sources"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for row in list_sources():
        assert any(line.startswith(f"{row.name} ") and row.weights in line for line in lines), row.name


def test_blocks_counts_every_parameter_of_the_source(capsys):
    from tlkeras import load_image_source

    assert main(["blocks", "tiny_cnn", "--image-size", "65"]) == 0
    rows = [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()[1:] if "(None" in line]
    source = load_image_source("tiny_cnn", image_size=65, pretrained=False)
    assert sum(int(row[2].replace(",", "")) for row in rows) == source.network.count_params()
    assert rows[-1][3] == str(source.network.output_shape)


def test_messages_do_not_outlive_the_command(capsys):
    before = list(logging.getLogger("tlkeras").handlers)
    main(["list"])
    assert main(["blocks", "nothing"]) == 2
    assert [item for item in logging.getLogger("tlkeras").handlers if item not in before] == []


def test_the_package_run_as_a_module_is_the_command_line():
    ran = subprocess.run(
        [sys.executable, "-m", "tlkeras", "sources", "nothing-like-it"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "nothing-like-it" in ran.stderr
    assert "Traceback" not in ran.stderr
