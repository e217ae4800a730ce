"""`tlkeras export` and `tlkeras benchmark`: a run read back, forms added to it, refused files set apart, budgets."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import tlkeras as tl
from tlkeras.cli import main
from tlkeras.errors import DataError, TlkerasError
from tlkeras.evaluation.limits import Limits
from tlkeras.evaluation.metrics import Measure
from tlkeras.export import export_command, material, tflite
from tlkeras.export.artifact import Artifact, Parity
from tlkeras.export.benchmark import KEPT, Benchmark, Latency, benchmark_artifact, keep_benchmark, measure_here
from tlkeras.export.budget import Variant, advise, pick, save_tradeoff
from tlkeras.export.finished import load_run
from tlkeras.export.predict import load_artifact


@dataclass(frozen=True)
class Config:
    data: str
    output: str
    source: str = "tiny_cnn"
    image_size: int = 33
    seed: int = 3
    resume: bool = False


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was trained and exported as float32."""
    config = Config("sample:200", str(tmp_path_factory.mktemp("runs") / "run"))
    run = tl.create_run("image_classification", config)
    splits = tl.load_images(config.data, seed=config.seed)
    tl.save_splits(splits, run.path / "splits.csv")
    model = tl.build_model(tl.load_image_source(config.source, image_size=config.image_size), splits)
    tl.fit(model, splits, [tl.Phase("all", trainable="all", epochs=6, learning_rate=1e-2, patience=6)], run=run)
    artifacts = tl.export_model(model, run.path / "exports", targets=["tflite_float32"])
    tl.verify(artifacts, model, splits.test, output=run.path / "parity.json")
    return run.path, model, splits


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of the run."""
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


def targets_in(folder: Path) -> list[str]:
    return [entry["target"] for entry in json.loads((folder / "exports" / "metadata.json").read_text())["artifacts"]]


def test_a_run_read_back_has_the_same_weights_data_and_contract(trained):
    path, model, splits = trained
    back = load_run(path)
    assert back.recipe == "image_classification"
    for old, new in zip(model.network.get_weights(), back.model.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for part in ("train", "val", "test"):
        assert set(getattr(back.splits, part).ids) == set(getattr(splits, part).ids)
    assert (back.model.classes, back.model.source.input_size) == (model.classes, 33)
    assert back.model.source.pretrained is False  # tiny_cnn has no other weights


def test_what_is_no_finished_run_is_refused_by_what_is_missing(folder, tmp_path):
    with pytest.raises(TlkerasError, match=r"config\.yaml is missing"):
        load_run(tmp_path / "nothing")
    (folder / "model.keras").unlink()
    with pytest.raises(TlkerasError, match=r"model\.keras is missing.*resume"):
        load_run(folder)


def test_a_run_whose_data_or_network_are_others_now_is_refused(folder):
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("tiny_cnn", "mobilenet_v2"))
    with pytest.raises(TlkerasError, match=r"not the model that its configuration builds: 22 weights against 2\d\d"):
        load_run(folder)
    (folder / "config.yaml").write_text(config.replace("sample:200", "gone/"))
    with pytest.raises(DataError, match=r"'gone/' does not exist"):
        load_run(folder)


def test_a_form_is_added_verified_and_listed_beside_the_others(folder, capsys):
    assert main(["export", str(folder), "--quantize", "float16"]) == 0
    assert "model_float16.tflite is the model that was evaluated: same label" in capsys.readouterr().out
    assert targets_in(folder) == ["tflite_float32", "tflite_float16"]
    parity = json.loads((folder / "parity.json").read_text())
    assert list(parity) == ["tflite_float32", "tflite_float16"]
    assert parity["tflite_float16"]["passed"] is True
    assert load_artifact(folder / "exports" / "model_float16.tflite").labels == load_run(folder).model.classes


def test_a_changed_file_of_another_target_loses_its_line(folder):
    (folder / "exports" / "model_float32.tflite").write_bytes(b"something else")
    assert main(["export", str(folder), "--quantize", "dynamic"]) == 0
    assert targets_in(folder) == ["tflite_dynamic"]


def test_a_refused_file_is_renamed_unlisted_and_exits_with_1(folder, monkeypatch, capsys):
    right = material.convert_saved_model

    def wrong(*args, **options):
        """The model of another training: the file is whole, and wrong."""
        content = bytearray(right(*args, **options))
        weights = np.frombuffer(content, np.float32, offset=0)[: len(content) // 4]
        big = np.flatnonzero((np.abs(weights) > 0.01) & (np.abs(weights) < 1))
        weights[big] *= -1
        return bytes(content)

    monkeypatch.setattr(material, "convert_saved_model", wrong)
    monkeypatch.setattr(tflite, "add_image_metadata", lambda content, **options: content)
    assert main(["export", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "does not behave as the Keras model that was evaluated" in error
    assert "model_float32.rejected.tflite" in error
    assert not (folder / "exports" / "model_float32.tflite").exists()
    assert (folder / "exports" / "model_float32.rejected.tflite").exists()
    assert targets_in(folder) == []
    assert json.loads((folder / "parity.json").read_text())["tflite_float32"]["passed"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "saved_model", "--quantize", "int8"], "Only tflite is quantized"),
        (["--max-drop", "-1"], "--max-drop is a number of points"),
        (["--max-size", "5 apples"], "Expected a size such as 10MB"),
        (["--max-size", "5MB", "--format", "saved_model"], "A budget is for tflite"),
    ],
)
def test_flags_that_make_no_sense_are_refused_at_once(words, message, capsys):
    assert main(["export", "nowhere", *words]) == 2
    assert message in capsys.readouterr().err


def variant(
    target: str, megabytes: float, milliseconds: float, difference: float, *, accuracy: float = 0.9, passed: bool = True
) -> Variant:
    path = Path(f"model_{target}.tflite")
    artifact = Artifact(path, f"tflite_{target}", int(megabytes * 1e6), ("a", "b"), {})
    parity = Parity(
        artifact.target, 500, 0.99, measure_keras=0.9, measure_artifact=accuracy, mean_difference=difference, passed=passed
    )
    latencies = (
        Latency(1, milliseconds, milliseconds, milliseconds, 50),
        Latency(2, 2 * milliseconds, 3 * milliseconds, 4 * milliseconds, 50),
    )
    return Variant(artifact, parity, Benchmark(path, artifact.size_bytes, latencies, 1_000_000, 0.1))


VARIANTS = [
    variant("float32", 12.0, 8.0, 1e-6),
    variant("float16", 6.0, 8.0, 1e-3),
    variant("dynamic", 3.2, 6.0, 0.02, accuracy=0.91),  # better on the test examples by chance
    variant("int8", 3.0, 2.0, 0.0, accuracy=0.92, passed=False),
]


@pytest.mark.parametrize(
    ("limits", "picked"),
    [
        (Limits(megabytes=20.0), "tflite_float32"),
        (Limits(megabytes=9.0), "tflite_float16"),
        (Limits(megabytes=5.0), "tflite_dynamic"),
        (Limits(milliseconds=7.0), "tflite_dynamic"),
        (Limits(megabytes=3.1), None),  # int8 is refused
        (Limits(megabytes=5.0, milliseconds=1.0), None),
    ],
)
def test_of_those_that_fit_the_one_most_like_keras_is_picked(limits, picked):
    found = pick(VARIANTS, limits)
    assert (found and found.artifact.target) == picked


def test_of_equals_the_smallest_is_picked():
    same = [replace(one, parity=replace(one.parity, mean_difference=0.01)) for one in VARIANTS[:3]]
    assert pick(same, Limits(megabytes=20.0)) == same[2]


def test_advice_has_numbers_that_follow_from_those_measured(trained):
    _, model, _ = trained
    parameters = model.network.count_params()
    (size,) = advise(VARIANTS, Limits(megabytes=1.6), model)
    assert f"has 3.2 MB; 1.6 MB are allowed. Take a source of at most {parameters / 2e6:.1f} M parameters" in size
    (time,) = advise(VARIANTS, Limits(milliseconds=5.9), model)
    # Time goes with the area: 33 * (5.9 / 6) ** 0.5 = 32.7.
    assert "takes 6.0 ms; 5.9 ms are allowed. Train with about --image-size 32 (now 33)" in time
    (tiny,) = advise(VARIANTS, Limits(milliseconds=0.1), model)
    assert "No input is small enough for that: take a source with fewer operations" in tiny
    mixed = [variant("float32", 12.0, 1.0, 0.0), variant("dynamic", 3.0, 9.0, 0.0)]
    (both,) = advise(mixed, Limits(megabytes=4.0, milliseconds=2.0), model)
    assert both.startswith("model_dynamic.tflite is small enough and model_float32.tflite fast enough, but none is both")
    assert advise(VARIANTS[3:], Limits(megabytes=9.0), model)[0].startswith("No form behaves as the Keras model does")


def test_a_budget_measures_all_forms_draws_them_and_picks_or_exits_with_1(folder, monkeypatch, capsys):
    sizes = {"float32": 8.0, "float16": 8.0, "dynamic": 4.0, "int8": 2.0}

    def measured(path):
        name = path.name.removeprefix("model_").split(".")[0]
        return Benchmark(path, path.stat().st_size, (Latency(1, 1.0, 1.0, sizes[name], 50),), 1_000_000, 0.1)

    monkeypatch.setattr(export_command, "benchmark_artifact", measured)
    assert main(["export", str(folder), "--max-latency", "9ms", "--max-drop", "100"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:5]] == [f"model_{name}.tflite" for name in sizes]
    assert "On a phone: not measured." in out
    assert f"Take {folder / 'exports' / 'model_'}" in out
    assert (folder / "exports" / "tradeoff.png").read_bytes().startswith(b"\x89PNG")
    assert main(["export", str(folder), "--max-latency", "1ms"]) == 1
    captured = capsys.readouterr()
    assert "8.0 ms is more than 1 ms" in captured.out
    assert "No form of this model fits." in captured.err


def test_the_picture_of_the_trade_off_is_drawn_with_and_without_limits(tmp_path):
    for limits, picked in ((Limits(megabytes=5.0, milliseconds=7.0), VARIANTS[2]), (Limits(), None)):
        save_tradeoff(VARIANTS, limits, picked, tmp_path / "tradeoff.png")
        assert (tmp_path / "tradeoff.png").stat().st_size > 5000


def test_a_benchmark_runs_in_processes_of_its_own_and_shows_sizes_times_and_memory(trained, capsys):
    path = trained[0] / "exports" / "model_float32.tflite"
    found = benchmark_artifact(path, threads=(1,), seconds=0.01)
    (latency,) = found.latencies
    assert found.size_bytes == path.stat().st_size
    assert latency.n >= 50
    assert 0 < latency.p10 <= latency.p50 <= latency.p90
    assert 100_000 < found.peak_bytes < 300_000_000
    assert found.fastest == latency
    keep_benchmark(found)
    kept = json.loads((path.parent / KEPT).read_text())
    assert kept["model_float32.tflite"]["latencies"][0]["p90"] == latency.p90
    assert measure_here(str(path), 1, 0.0)["latency"]["n"] == 50
    with pytest.raises(TlkerasError, match=r"no such artefact.*gone\.tflite"):
        benchmark_artifact("gone.tflite")
    broken = path.with_name("broken.tflite")
    broken.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(TlkerasError, match=r"could not be measured on 1 threads: .*cut short"):
        benchmark_artifact(broken, threads=(1,))
    broken.unlink()


def test_an_empty_measure_is_shown_as_such():
    from tlkeras.export.export_lines import variant_parts

    unknown = replace(VARIANTS[0], parity=Parity("tflite_float32", 5, problem="x", drop=Measure(0.0, 0.0, 0.0, 5)))
    table, note = variant_parts([unknown], Limits())
    assert isinstance(table, tuple)
    rows = table[1]
    assert rows[0][2:4] == ("?", "")
    assert rows[0][-1] == "refused: not the same model"
    assert "not measured" in note
