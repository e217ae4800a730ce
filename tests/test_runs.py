"""The run folder: where it is, who may write to it, when it can be resumed, what is in it at the end."""

import json
import logging
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tlkeras import runs
from tlkeras.errors import ParityError, TlkerasError
from tlkeras.evaluation.metrics import Measure
from tlkeras.export.artifact import Artifact, Parity
from tlkeras.runs import create_run, finish_run


@dataclass(frozen=True)
class Config:
    data: str = "sample"
    epochs: int = 3
    output: str | None = None
    resume: bool = False


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    runs._stop_log()


HOLD = """
import sys
from dataclasses import dataclass
from tlkeras.runs import create_run

@dataclass(frozen=True)
class Config:
    data: str = "sample"
    epochs: int = 3
    output: str | None = "held"
    resume: bool = False

create_run("recipe", Config())
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held():
    """A process that holds the run in the folder `held`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    while process.stdout.readline().strip() != "held":
        assert process.poll() is None
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def _evaluation():
    return SimpleNamespace(
        measures={"accuracy": Measure(0.9, 0.85, 0.94, 200), "f1_macro": Measure(0.89, 0.84, 0.93, 200)},
        nulls={"majority class": Measure(0.1, 0.06, 0.15, 200)},
        verdict="Transfer helped: +80.0 points [74.0, 86.0] above majority class",
    )


def _artifact(run, name="model_float32.tflite", target="tflite_float32"):
    path = run.path / "exports" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * 1234)
    return Artifact(path=path, target=target, size_bytes=1234, labels=("cat", "dog"), signature={})


def _parity(passed=True):
    return Parity(
        "tflite_float32",
        200,
        1.0 if passed else 0.5,
        measure_keras=0.9,
        max_difference=1e-6,
        mean_difference=1e-7,
        passed=passed,
    )


def test_a_run_gets_a_folder_named_by_recipe_and_time_and_latest_points_to_it():
    run = create_run("image_classification", Config())
    assert run.path.parent == Path("saved_models/image_classification")
    assert Path("saved_models/latest").resolve() == run.path.resolve()
    second = create_run("image_classification", Config())
    assert second.path != run.path
    assert Path("saved_models/latest").resolve() == second.path.resolve()


def test_latest_is_a_text_file_where_links_are_impossible(monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("links are impossible")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    run = create_run("recipe", Config())
    assert (Path("saved_models") / Path("saved_models/latest").read_text().strip()).resolve() == run.path.resolve()


def test_configuration_and_machine_are_written_down():
    run = create_run("recipe", Config(epochs=5))
    assert yaml.safe_load((run.path / "config.yaml").read_text()) == {
        "recipe": "recipe", "data": "sample", "epochs": 5, "output": None, "resume": False,
    }  # fmt: skip
    facts = json.loads((run.path / "environment.json").read_text())
    assert facts["python"] == sys.version.split()[0]
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 1e8
    assert facts["versions"]["tensorflow"]


def test_an_output_folder_that_holds_other_things_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"holds no run \(found 'cat.jpg'\).*another --output"):
        create_run("recipe", Config(output="photos"))
    assert [item.name for item in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file"):
        create_run("recipe", Config(output="file"))


def test_an_unfinished_run_is_not_overwritten_and_the_error_names_resume():
    create_run("recipe", Config(output="run"))
    with pytest.raises(ValueError, match=r"unfinished run.*--resume"):
        create_run("recipe", Config(output="run"))


def test_a_finished_run_is_neither_overwritten_nor_resumed():
    run = create_run("recipe", Config(output="run"))
    finish_run(run, _evaluation(), [_artifact(run)], [_parity()])
    with pytest.raises(ValueError, match=r"finished run.*another --output"):
        create_run("recipe", Config(output="run"))
    with pytest.raises(ValueError, match="nothing to resume"):
        create_run("recipe", Config(output="run", resume=True))


def test_a_second_process_is_refused_and_told_the_pid(held):
    with pytest.raises(TlkerasError, match=f"pid {held.pid} "):
        create_run("recipe", Config(output="held"))
    with pytest.raises(TlkerasError, match=f"pid {held.pid} "):
        create_run("recipe", Config(output="held", resume=True))


def test_a_killed_process_leaves_no_lock_behind(held):
    held.kill()
    held.wait()
    assert create_run("recipe", Config(output="held", resume=True)).resumed


def test_a_file_system_without_locks_is_a_warning(monkeypatch, caplog):
    def refuse(_: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(runs, "_lock_descriptor", refuse)
    create_run("recipe", Config(output="run"))
    assert "start no second process" in caplog.text


def test_resume_finds_the_newest_unfinished_run_of_the_same_configuration():
    create_run("recipe", Config(epochs=3))
    newer = create_run("recipe", Config(epochs=3))
    create_run("recipe", Config(epochs=4))
    last = create_run("recipe", Config(epochs=3))
    finish_run(last, _evaluation(), [_artifact(last)], [_parity()])
    found = create_run("recipe", Config(epochs=3, resume=True))
    assert found.resumed
    assert found.path == newer.path


def test_resume_refuses_another_configuration_and_names_the_fields():
    create_run("recipe", Config(epochs=3, output="run"))
    with pytest.raises(ValueError, match=r"differs in data \(there 'sample', now 'photos'\); epochs \(there 3, now 5\)\. Give"):
        create_run("recipe", Config(data="photos", epochs=5, output="run", resume=True))


def test_resume_refuses_another_recipe_with_the_same_fields():
    create_run("recipe", Config(output="run"))
    with pytest.raises(ValueError, match="differs in recipe"):
        create_run("other", Config(output="run", resume=True))


def test_resume_without_a_run_says_so():
    with pytest.raises(ValueError, match=r"No unfinished run of recipe in saved_models/recipe\. Start one without --resume"):
        create_run("recipe", Config(resume=True))


def test_resume_removes_what_a_killed_process_was_writing():
    run = create_run("recipe", Config(output="run"))
    (run.path / ".writing-abc").mkdir()
    (run.path / ".writing-abc" / "model.keras").write_bytes(b"half")
    create_run("recipe", Config(output="run", resume=True))
    assert not (run.path / ".writing-abc").exists()


def test_messages_land_in_the_log_of_the_run_that_is_open():
    log = logging.getLogger("tlkeras")
    first = create_run("recipe", Config())
    log.info("of the first")
    second = create_run("recipe", Config())
    log.info("of the second")
    assert "of the first" in (first.path / "log.txt").read_text()
    assert "of the second" not in (first.path / "log.txt").read_text()
    assert "of the second" in (second.path / "log.txt").read_text()


def test_messages_show_on_stdout_where_nobody_else_shows_them():
    code = HOLD.replace("sys.stdin.read()", "")
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == ["Run folder: held", "held"]


def test_a_finished_run_holds_its_results_and_no_lock():
    run = create_run("recipe", Config())
    finish_run(run, _evaluation(), [_artifact(run)], [_parity()])
    assert (run.path / "labels.txt").read_text() == "cat\ndog\n"
    assert json.loads((run.path / "parity.json").read_text())["tflite_float32"]["label_agreement"] == 1.0
    finished = json.loads((run.path / "finished.json").read_text())
    assert finished["measures"]["accuracy"]["value"] == 0.9
    assert finished["files"]["exports/model_float32.tflite"] == 1234
    assert not (run.path / "run.lock").exists()


def test_a_model_that_is_handed_over_is_saved_where_there_is_none():
    run = create_run("recipe", Config())
    model = SimpleNamespace(save=lambda path: path.write_bytes(b"keras"))
    finish_run(run, _evaluation(), [_artifact(run)], [_parity()], model=model)
    assert (run.path / "model.keras").read_bytes() == b"keras"


def test_a_run_whose_export_differs_is_not_finished_but_says_why():
    run = create_run("recipe", Config())
    with pytest.raises(ParityError, match=r"tflite_float32 does not behave.*parity.json"):
        finish_run(run, _evaluation(), [_artifact(run)], [_parity(passed=False)])
    assert not (run.path / "finished.json").exists()
    assert json.loads((run.path / "parity.json").read_text())["tflite_float32"]["passed"] is False


def test_a_form_that_was_set_apart_leaves_a_finished_run_and_is_told(caplog):
    run = create_run("recipe", Config())
    good, bad = _artifact(run), replace(_artifact(run), target="tflite_int8", path=run.path / "exports" / "model_int8.tflite")
    lost = replace(_parity(passed=False), target="tflite_int8", problem="accuracy is lower by 4.00 points")
    with caplog.at_level(logging.INFO), pytest.raises(ParityError) as caught:
        finish_run(run, _evaluation(), [good, bad], [_parity(), lost])
    for words in ("run is finished", "tflite_int8: accuracy is lower by 4.00 points", "--quantize dynamic", "--max-drop"):
        assert words in str(caught.value)
    assert (run.path / "finished.json").exists()
    assert not (run.path / "run.lock").exists()
    assert json.loads((run.path / "parity.json").read_text())["tflite_int8"]["passed"] is False


def test_the_end_of_a_run_shows_result_nulls_files_and_the_next_command(caplog):
    run = create_run("recipe", Config())
    with caplog.at_level(logging.INFO):
        finish_run(run, _evaluation(), [_artifact(run)], [_parity()])
    shown = caplog.text
    for expected in (
        "this model      0.900  0.850 to 0.940  200",
        "majority class  0.100  0.060 to 0.150  200",
        "Transfer helped: +80.0 points",
        "exports/model_float32.tflite  1.2 kB  100.0% of 200",
        f"Next: tlkeras predict {run.path / 'exports' / 'model_float32.tflite'} INPUT",
        f"Everything is in {run.path}",
    ):
        assert expected in shown, expected
    assert "Transfer helped" in (run.path / "log.txt").read_text()


def test_an_output_of_ones_own_makes_no_saved_models_folder(tmp_path):
    create_run("recipe", Config(output="elsewhere/run"))
    assert not (tmp_path / "saved_models").exists()
