"""A training that is killed at any step, and begun again, ends with the same bits as one that was not."""

import json
import os
import signal

import numpy as np
import pytest

from tests.killing import IMAGE, TEXT, run_jobs
from tests.networks import square_splits, tiny_source
from tlkeras.errors import TlkerasError, TrainingError
from tlkeras.runs import Run
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.checkpoints import positions
from tlkeras.training.fit import fit

KILLED = -signal.SIGKILL
HEAD = Phase(name="head", solver="closed_form", epochs=1)
TOP = Phase(name="top", trainable="top:1", epochs=2, learning_rate=1e-2)

# The training part of the pictures has 90 rows: 6 steps of 16 in an epoch.
BROKEN_OFF = {
    "in the first step": [1],
    "after the last step of an epoch": [6],
    "after the first step of the second epoch": [7],
    "within an epoch, again and again": [3, 40, 5, 10],
}


@pytest.fixture(scope="module")
def image_runs(tmp_path_factory):
    """What became of trainings on pictures: one that nobody stopped, and others by how they were stopped."""
    folder = tmp_path_factory.mktemp("runs")
    jobs = [("whole", {**IMAGE})]
    for name, steps in BROKEN_OFF.items():
        stops = [*({"at": step} for step in steps), {}]
        jobs += [(name, {**IMAGE, "folder": str(folder / name), **stop}) for stop in stops]
    for name, number in (("asked to stop", signal.SIGTERM), ("interrupted", signal.SIGINT)):
        base = {**IMAGE, "folder": str(folder / name), "save_every": 1e9}
        jobs += [(name, {**base, "at": 8, "signal": int(number)}), (name, base)]
    name = "kept at the end of epochs only"
    jobs += [(name, {**IMAGE, "folder": str(folder / name), "save_every": 1e9, **stop}) for stop in ({"at": 16}, {})]
    results: dict[str, list] = {}
    for (key, _), result in zip(jobs, run_jobs([job for _, job in jobs]), strict=True):
        results.setdefault(key, []).append(result)
    return results


def test_the_training_that_is_broken_off_is_one_with_early_stopping_and_a_plateau(image_runs):
    (whole,) = image_runs["whole"]
    rows = whole["history"][1:]
    assert len(rows) < IMAGE["phase"]["epochs"]
    assert rows[-1]["learning_rate"] < rows[0]["learning_rate"]


@pytest.mark.parametrize("name", [*BROKEN_OFF, "kept at the end of epochs only"])
def test_a_killed_training_ends_with_the_same_bits(image_runs, name):
    *killed, last = image_runs[name]
    assert killed and all(result == {"ended": KILLED} for result in killed), "the case needs a process that was killed"
    assert last == image_runs["whole"][0]


@pytest.mark.parametrize(("name", "code"), [("asked to stop", 143), ("interrupted", 130)])
def test_a_training_that_is_asked_to_stop_keeps_its_place_and_ends_with_the_same_bits(image_runs, name, code):
    stopped, last = image_runs[name]
    assert stopped == {"ended": code}
    assert last == image_runs["whole"][0]


def test_a_training_on_texts_ends_with_the_same_bits(tmp_path):
    base = {**TEXT, "folder": str(tmp_path / "run")}
    whole, killed, last = run_jobs([TEXT, {**base, "at": 9}, base])
    assert killed == {"ended": KILLED}
    assert last == whole


STRATEGIES = [
    {"strategy": "gradual_unfreeze", "kind": "image"},
    {"strategy": "from_scratch", "kind": "image", "augment": "light"},
    {"strategy": "discriminative", "kind": "image", "reproducible": True},
    {"strategy": "lora", "kind": "text"},
]


@pytest.mark.slow
@pytest.mark.parametrize("job", STRATEGIES, ids=lambda job: job["strategy"])
def test_every_kind_of_strategy_ends_with_the_same_bits(tmp_path, job):
    base = {**job, "folder": str(tmp_path / "run")}
    whole, *killed, last = run_jobs([job, {**base, "at": 4}, {**base, "at": 9}, base])
    assert killed == [{"ended": KILLED}] * 2
    assert last == whole


@pytest.mark.slow
@pytest.mark.parametrize("how", ["step", "time"])
def test_fifty_random_kills_in_a_row_change_no_bit(tmp_path, how):
    generator = np.random.default_rng(7)
    job = {"kind": "image", "phase": {"epochs": 40, "patience": 40, "learning_rate": 1e-3}}
    base = {**job, "folder": str(tmp_path / "run")}
    if how == "step":
        kills = [{**base, "at": int(generator.integers(1, 6))} for _ in range(50)]
    else:
        kills = [{**base, "after": float(generator.uniform(0.3, 1.6))} for _ in range(50)]
    whole, *killed, last = run_jobs([job, *kills, base])
    ended = killed.count({"ended": KILLED})
    assert ended == 50 if how == "step" else ended >= 10, "by the clock, some processes are done before they are killed"
    assert all(result in ({"ended": KILLED}, whole) for result in [*killed, last])
    assert last == whole


def _model(*, seed=0):
    return build_classifier(tiny_source(seed=seed), square_splits().classes, seed=1)


class Stop(RuntimeError):
    pass


def _broken_off(folder, *, phases=(HEAD, TOP), after=3, **options):
    """A run that stopped after some steps of the second phase."""
    import keras

    class Break(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_begin(self, batch, logs=None):
            self.steps += 1
            if self.steps > after:
                raise Stop

    run = Run(folder, "test", {})
    with pytest.raises(Stop):
        fit(_model(), square_splits(), phases, run=run, save_every=0, callbacks=[Break()], **options)
    return run


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    return _broken_off(tmp_path_factory.mktemp("stopped"), after=2)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("recipe", {"run": "other"}),
        ("data", {"fingerprint": "1"}),
        ("classes", {"classes": ("low", "high", "middle")}),
        ("batch_size", {"batch_size": 8}),
        ("phases", {"phases": (HEAD, Phase(name="top", trainable="top:2", epochs=2))}),
        ("source weights", {"seed": 3}),
        ("version of keras", {"version": "9.9"}),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_and_the_difference_named(stopped, monkeypatch, what, change):
    from dataclasses import replace

    from tlkeras.training import resume

    if "version" in change:
        versions = resume.installed_versions()
        monkeypatch.setattr(resume, "installed_versions", lambda: {**versions, "keras": "9.9"})
    splits = replace(square_splits(), **{name: change[name] for name in ("fingerprint", "classes") if name in change})
    run = replace(stopped, recipe=change.get("run", "test"))
    model = build_classifier(tiny_source(seed=change.get("seed", 0)), splits.classes, seed=1)
    before = sorted(file.name for file in stopped.path.rglob("*"))
    with pytest.raises(TlkerasError, match=rf"differs in {what} \(there .*, now .*another --output"):
        fit(model, splits, change.get("phases", (HEAD, TOP)), run=run, batch_size=change.get("batch_size", 32))
    assert sorted(file.name for file in stopped.path.rglob("*")) == before


def test_another_number_of_threads_is_a_warning(stopped, monkeypatch, caplog, tmp_path):
    import shutil

    shutil.copytree(stopped.path, tmp_path / "copy")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    fit(_model(), square_splits(), (HEAD, TOP), run=Run(tmp_path / "copy", "test", {}))
    assert "equal up to rounding" in caplog.text


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_is_taken(tmp_path, caplog, damaged):
    whole, resumed = _model(), _model()
    fit(whole, square_splits(), (HEAD, TOP))
    run = _broken_off(tmp_path)
    files = sorted((tmp_path / "checkpoints").glob("*step_*[1-9].npz"), reverse=True)
    assert len(files) == 2
    for file in files[:damaged]:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    fit(resumed, square_splits(), (HEAD, TOP), run=run)
    assert caplog.text.count("is damaged") >= damaged
    for a, b in zip(whole.network.get_weights(), resumed.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_that_is_not_finite_leaves_finite_checkpoints_and_the_best_weights(tmp_path):
    import keras

    class Break(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == 4:
                self.model.trainable_variables[0].assign(self.model.trainable_variables[0] * np.nan)

    run = Run(tmp_path, "test", {})
    with pytest.raises(TrainingError, match="phase 'top', epoch 2, step 2"):
        fit(_model(), square_splits(), (HEAD, TOP), run=run, save_every=0, callbacks=[Break()])
    kept = positions(tmp_path / "checkpoints")
    assert kept[-1].step == 4
    for file in (tmp_path / "checkpoints").glob("*.npz"):
        with np.load(file) as arrays:
            assert all(np.isfinite(arrays[name]).all() for name in arrays.files)


def test_the_best_so_far_survives_a_stop_that_a_worse_epoch_follows(tmp_path):
    ruin = Phase(name="ruin", trainable="all", epochs=3, patience=3, learning_rate=30.0, schedule="constant")
    run = _broken_off(tmp_path, phases=(HEAD, ruin), after=4)
    model, head_only = _model(), _model()
    history = fit(model, square_splits(), (HEAD, ruin), run=run)
    fit(head_only, square_splits(), (HEAD,))
    assert [row["best"] for row in history.rows] == [1, 0, 0, 0], "the case needs epochs that are worse"
    for a, b in zip(model.network.get_weights(), head_only.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_room_for_checkpoints_training_goes_on_and_says_so(tmp_path, monkeypatch, caplog):
    from tlkeras.training import resume

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resume, "write_checkpoint", full)
    fit(_model(), square_splits(), (HEAD, TOP), run=Run(tmp_path, "test", {}), save_every=0)
    assert "No checkpoint could be written" in caplog.text
    assert "No space left" in caplog.text
    assert (tmp_path / "model.keras").exists()


def test_the_state_of_own_callbacks_is_kept(tmp_path):
    import keras

    class Count(keras.callbacks.Callback):
        def __init__(self, stop_at):
            super().__init__()
            self.count, self.stop_at = 0, stop_at

        def on_train_batch_end(self, batch, logs=None):
            self.count += 1

        def on_train_batch_begin(self, batch, logs=None):
            if self.count == self.stop_at:
                raise Stop

        def get_state(self):
            return {"count": self.count}, [np.full(2, self.count)]

        def set_state(self, facts, arrays):
            self.count = facts["count"]
            assert arrays[0].tolist() == [self.count] * 2

    run = Run(tmp_path, "test", {})
    with pytest.raises(Stop):
        fit(_model(), square_splits(), (HEAD, TOP), run=run, save_every=0, callbacks=[Count(4)])
    last = Count(-1)
    fit(_model(), square_splits(), (HEAD, TOP), run=run, callbacks=[last])
    assert last.count == 6


def test_a_training_in_another_thread_leaves_the_signals_alone():
    from concurrent.futures import ThreadPoolExecutor

    from tlkeras.training.stopping import stop_between_steps

    before = signal.getsignal(signal.SIGTERM)

    def inside():
        with stop_between_steps():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() is before
    with stop_between_steps() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        with pytest.raises(SystemExit):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_facts_of_a_checkpoint_say_what_it_belongs_to(stopped):
    file = sorted((stopped.path / "checkpoints").glob("*.npz"))[-1]
    with np.load(file) as arrays:
        facts = json.loads(arrays["facts"].tobytes())
    assert facts["about"]["classes"] == ["high", "low", "middle"]
    assert [row["phase"] for row in facts["history"]] == ["head"]
