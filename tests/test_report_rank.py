"""`tlkeras rank`: settings, files, tables and lines."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.networks import square_splits
from tlkeras import cli
from tlkeras.cli import main
from tlkeras.data.examples import Skipped
from tlkeras.evaluation.depth import Boundary, Depth
from tlkeras.evaluation.limits import Limits
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.name_similarity import NameSimilarity
from tlkeras.evaluation.ranking import RankedSource, Ranking
from tlkeras.features.distance import Distance
from tlkeras.report import rank_command
from tlkeras.report.rank_lines import rank_parts
from tlkeras.report.rank_settings import RankSettings

MEASURE = Measure(0.8, 0.7, 0.9, 50)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cli, "start_tensorflow", lambda: None)


def _ranking() -> Ranking:
    names, distances = NameSimilarity(0.66, {}), {"domain_auc": Distance(0.9, 0.5, 0.6, 20)}
    level, scores = Measure(0, 0, 0, 50), {"ridge": 0.8, "leep": -1.0}
    first = RankedSource(
        "sees", MEASURE, MEASURE, level, (1, 2), True, scores, True, 9, 4.0, 5.25, 97, "MIT", 2, names, distances, 1.5
    )
    fit, behind = Measure(0.4, 0.3, 0.5, 50), Measure(0.05, -0.01, 0.1, 50)
    second = RankedSource("slow", MEASURE, fit, behind, (1, 2), True, {"ridge": 0.75}, True, 9, 9.0, None, 97, "Apache-2.0", 1)
    null, gain = Measure(0.5, 0.4, 0.6, 50), Measure(0.3, 0.2, 0.4, 50)
    return Ranking((first, second), "accuracy", 50, "number of parameters", null, gain, "sees comes first.",
                   (Skipped("huge", "9 MB is more than 1 MB"),), ("No names.",), "0", 12.0)  # fmt: skip


def _depth() -> Depth:
    boundaries = (
        Boundary("stem", 1, 8, MEASURE, Measure(0.1, 0.05, 0.2, 50)),
        Boundary("top", 0, 9, MEASURE, Measure(0, 0, 0, 50)),
    )
    return Depth("sees", "accuracy", 50, boundaries, "top", "top", "head", "The probe gains up to the top.")


def test_a_ranking_is_shown_as_two_tables_and_what_it_means():
    parts = list(rank_parts(_ranking(), Path("out")))
    (header, rows), (_, more) = (part for part in parts if not isinstance(part, str))
    assert dict(zip(header, rows[1], strict=True)) == {
        "source": "slow",
        "explained": "0.400",
        "place": "1 to 2",
        "behind the first": "0.050 [-0.010, 0.100] (tied)",
        "accuracy": "0.800",
        "95 % interval": "[0.700, 0.900]",
        "MB": "9.0",
        "ms": "–",
        "static": "1",
        "licence": "Apache-2.0",
    }
    assert rows[0][7] == "5.2"
    assert more[0] == ("sees", "-1.000", "0.66", "0.90 (0.50)", "–", "1.5")
    lines = [part for part in parts if isinstance(part, str)]
    assert "sees with random weights: 0.500; the real ones have +30.0 points [+20.0, +40.0]" in lines
    assert "Left out: huge: 9 MB is more than 1 MB" in lines
    assert lines[-1] == f"Written: {Path('out/ranking')}.json, {Path('out/ranking')}.png"


def test_a_depth_probe_is_shown_as_a_table_that_marks_where_it_is_enough():
    table, line = rank_parts(_depth(), None)
    rows = table[1]
    assert [row[-1].endswith("<- enough") for row in rows] == [False, True]
    assert "gains up to the top" in line


def test_settings_reach_the_ranking_and_its_files_are_written(monkeypatch, tmp_path):
    given: dict[str, object] = {}

    def rank(splits, sources, **options):
        given.update(options, sources=sources)
        return _ranking()

    monkeypatch.setattr(rank_command, "load_images", lambda *_, **__: square_splits())
    monkeypatch.setattr(rank_command, "rank", rank)
    flags = ["--sources", "a, b", "--max-size", "10MB", "--max-latency", "30ms", "--licence", "mit", "--limit", "50"]
    assert main(["rank", "sample", *flags, "--output", "out"]) == 0
    assert given.pop("limits") == Limits(megabytes=10, milliseconds=30, licence="mit")
    assert given == {"sources": ["a", "b"], "limit": 50, "image_size": None, "sequence_length": None, "seed": 0}
    assert json.loads((tmp_path / "out/ranking.json").read_text())["best"] == "sees"
    assert np.asarray(Image.open(tmp_path / "out/ranking.png").convert("L")).std() > 10


def test_depth_takes_the_place_of_the_ranking(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(rank_command, "load_texts", lambda *_, **__: square_splits())
    monkeypatch.setattr(rank_command, "probe_depth", lambda splits, source, **_: _depth())
    assert main(["rank", "sample", "--kind", "texts", "--depth", "minilm_l6", "--output", "out"]) == 0
    assert json.loads((tmp_path / "out/depth.json").read_text())["enough"] == "top"
    assert (tmp_path / "out/depth.png").stat().st_size > 1000
    assert "features above" in capsys.readouterr().out


def test_pictures_and_texts_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_command, "load_images", lambda *_, **__: "pictures")
    monkeypatch.setattr(rank_command, "load_texts", lambda *_, **__: "texts")
    for name in ("photos/cat/1.png", "photos/dog/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    (tmp_path / "reviews.csv").write_text("text,label\na,b\n")
    for name in ("letters/cat/1.txt", "letters/dog/2.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("hello")
    found = {data: rank_command.load_data(data, RankSettings()) for data in ("photos", "reviews.csv", "letters", "sample")}
    assert found == {"photos": "pictures", "reviews.csv": "texts", "letters": "texts", "sample": "pictures"}
    assert rank_command.load_data("reviews.csv", RankSettings(image_column="file")) == "pictures"
    assert rank_command.load_data("sample", RankSettings(kind="texts")) == "texts"


def test_mistakes_are_named_before_anything_is_read(capsys):
    assert main(["rank", "sample", "--max-size", "soon"]) == 2
    assert "Expected a size such as 10MB or 800kB. Received: 'soon'" in capsys.readouterr().err
