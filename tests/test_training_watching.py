"""A training that no longer goes on says so."""

import time

from tests.networks import square_splits, tiny_source
from tlkeras.runs import Run
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.classification import build_classifier
from tlkeras.training import watching
from tlkeras.training.fit import fit


def test_input_that_hangs_is_one_warning_and_steps_that_go_on_are_none(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(watching, "LEAST_SECONDS", 0.4)
    with watching.watching(tmp_path) as watch:
        for step in range(8):
            time.sleep(0.1)
            watch.on_train_batch_end(step) if step % 2 else watch.on_test_batch_end(step)
        assert not caplog.records, "twice as long as the limit, but never without a step"
        time.sleep(1.2)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "reading the data hangs" in caplog.text
    assert "--resume" in caplog.text
    assert "test_input_that_hangs" in (tmp_path / "stacks.txt").read_text()


def test_a_step_is_late_after_ten_times_the_steps_before():
    watch = watching.Watch(None)
    assert watch.limit() == watching.LEAST_SECONDS
    watch.steps = [1.0, 60.0, 60.0]
    assert watch.limit() == 600


def test_each_training_is_watched(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(watching, "LEAST_SECONDS", 0.05)  # to trace the first step takes longer
    splits = square_splits()
    model = build_classifier(tiny_source(), splits.classes, seed=1)
    fit(model, splits, [Phase(name="top", epochs=1)], run=Run(tmp_path, "test", {}))
    assert caplog.text.count("There was no training step") == 1
    assert "train_by_gradient" in (tmp_path / "stacks.txt").read_text()
