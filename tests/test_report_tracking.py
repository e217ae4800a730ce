"""TensorBoard and MLflow get the numbers of a run."""

import warnings

import pytest

from tests.run_folders import add_everything, write_run
from tlkeras.report.html import write_report
from tlkeras.report.run_record import read_run
from tlkeras.report.tracking import track
from tlkeras.runs import Run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return add_everything(write_run(tmp_path / "run"))


def test_nothing_is_tracked_unless_it_is_asked_for(folder, monkeypatch):
    monkeypatch.delenv("TLKERAS_TRACK", raising=False)
    track(read_run(folder))
    assert not (folder / "tensorboard").exists()
    monkeypatch.setenv("TLKERAS_TRACK", "tensorbord")
    with pytest.raises(ValueError, match=r"'tensorbord'.*tensorboard"):
        track(read_run(folder))


def test_tensorboard_gets_each_epoch_and_the_test_measures(folder, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
        monkeypatch.setenv("TLKERAS_TRACK", "tensorboard")
        write_report(folder)
        assert not (folder / "tensorboard").exists()  # an old folder is not tracked again
        write_report(Run(folder, "image_classification", {}))
        (file,) = (folder / "tensorboard").iterdir()
        events = list(loader.EventFileLoader(str(file)).Load())
    found = {(value.tag, event.step): value.tensor.float_val[0] for event in events for value in event.summary.value}
    assert found[("loss", 1)] == pytest.approx(0.5) and found[("val_accuracy", 1)] == pytest.approx(0.8)
    assert found[("test_accuracy", 1)] == 0.75 and ("phase", 1) not in found


def test_mlflow_gets_configuration_epochs_measures_and_the_report(folder, tmp_path, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow = pytest.importorskip("mlflow")
        monkeypatch.setenv("TLKERAS_TRACK", "mlflow")
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        mlflow.set_tracking_uri(f"file://{tmp_path}/tracked")
        write_report(Run(folder, "image_classification", {}))
        (run,) = mlflow.search_runs(output_format="list")
    assert run.data.params["source"] == "efficientnet_lite0"
    assert (run.data.metrics["loss"], run.data.metrics["test_accuracy"]) == (0.5, 0.75)
    assert run.data.tags["verdict"].startswith("Transfer helped")
    assert list((tmp_path / "tracked").rglob("report.html"))
