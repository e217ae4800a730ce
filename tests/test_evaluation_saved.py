"""What an evaluation writes can be read back, by tlkeras and without it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tlkeras.errors import TlkerasError
from tlkeras.evaluation.evidence import (
    Bin,
    Calibration,
    Fairness,
    Forgetting,
    GalleryItem,
    Neighbour,
    Privacy,
    Rejection,
    Robustness,
    Slice,
    from_plain,
)
from tlkeras.evaluation.metrics import Evaluation, Measure
from tlkeras.evaluation.saved import load_evaluation, load_gallery, save_evaluation, save_gallery

HALF = Measure(0.5, 0.25, 0.75, 8)
BARE = Calibration(0.1, 0.05, 0.08, 0.3, 1.5, 8, (Bin(0.0, 0.5, 4, 0.4, 0.5),))
EVIDENCE = {
    "thresholds": {"=cmd|x": 0.25},
    "calibration": replace(BARE, after=BARE),
    "rejection": Rejection("energy", -3.5, 30, HALF, "20 photographs", HALF, Measure(float("nan"), 0.0, 1.0, 8)),
    "slices": (Slice("group", "north", 8, "accuracy", HALF, -0.1, 0.04, True),),
    "fairness": (Fairness("group", "a", {"north": {"n": 8.0}}, 0.1, 0.2, 0.15, 0.5, {"north": 0.4}),),
    "robustness": (Robustness("blur", 0, HALF), Robustness("blur", 1, HALF)),
    "forgetting": Forgetting(HALF, None, HALF, "20 photographs"),
    "privacy": Privacy("loss threshold", HALF, HALF, {"loss threshold": HALF}, 8),
}


def evaluation(task: str = "classification") -> Evaluation:
    generator = np.random.default_rng(0)
    outputs = generator.dirichlet(np.ones(2), 8).astype(np.float32)
    targets: dict[str, np.ndarray] = {
        "classification": np.arange(8, dtype=np.int32) % 2,
        "multi_label": generator.integers(0, 2, (8, 2)).astype(np.uint8),
        "regression": generator.normal(size=8).astype(np.float32),
    }
    return Evaluation(
        task=task,
        measures={"accuracy": HALF},
        classes=("=cmd|x"[: 4 if task == "multi_label" else None], "b") if task != "regression" else ("value",),
        ids=np.array([f"id {row}" for row in range(8)]),
        targets=targets[task],
        outputs=outputs if task != "regression" else outputs[:, :1],
        confusion=np.eye(2, dtype=int) if task == "classification" else None,
        nulls={"majority": HALF},
        where=np.array([f"a,b.csv, row {row}" for row in range(8)]),
        columns={"group": np.array(["north", "south"] * 4)},
    )


@pytest.mark.parametrize("task", ["classification", "multi_label", "regression"])
def test_an_evaluation_comes_back_from_its_files(task, tmp_path):
    first = evaluation(task)
    save_evaluation(first, tmp_path)
    again = load_evaluation(tmp_path)
    for name in ("ids", "targets", "outputs", "where"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
        assert getattr(again, name).dtype.kind == getattr(first, name).dtype.kind
    np.testing.assert_array_equal(again.columns["group"], first.columns["group"])
    assert (again.measures, again.nulls, again.classes, again.task) == (first.measures, first.nulls, first.classes, task)


def test_what_was_measured_comes_back_and_what_was_not_is_left_out(tmp_path):
    save_evaluation(replace(evaluation(), **EVIDENCE), tmp_path)  # type: ignore[arg-type]
    again = load_evaluation(tmp_path)
    for name, value in EVIDENCE.items():
        # repr, because NaN is not equal to itself
        assert repr(getattr(again, name)) == repr(value), name
    save_evaluation(evaluation(), tmp_path)
    assert not set(EVIDENCE) & set(json.loads((tmp_path / "metrics.json").read_text()))


def test_the_table_can_be_read_by_any_program(tmp_path):
    save_evaluation(evaluation(), tmp_path)
    rows = (tmp_path / "predictions.csv").read_text().splitlines()
    assert rows[0] == "id,where,target,predicted,probability:=cmd|x,probability:b,column:group"
    assert rows[1].startswith('id 0,"a,b.csv, row 0",\'=cmd|x,')
    assert len(rows) == 9


def test_where_no_class_can_be_ranked_no_curve_is_drawn(tmp_path):
    alike = replace(evaluation(), targets=np.zeros(8, np.int32))
    save_evaluation(alike, tmp_path)
    assert not (tmp_path / "curves.png").exists()


def test_a_gallery_comes_back(tmp_path):
    neighbours = (Neighbour("7", "a", 0.9, text="near"),)
    items = (
        GalleryItem(
            "unsure_hit", "1", "x.csv, row 1", "a", "a", 0.4, text="so so", tokens=(("so", 0.25),), neighbours=neighbours
        ),
        GalleryItem("confident_mistake", "2", "2.png", "a", "b", 0.9, image="gallery/2.png", explanation="gallery/2_why.png"),
    )
    save_gallery(items, tmp_path)
    assert load_gallery(tmp_path) == items
    assert json.loads((tmp_path / "gallery.json").read_text())[0]["tokens"] == [["so", 0.25]]
    assert load_gallery(tmp_path / "elsewhere") == ()


def test_what_is_no_evaluation_is_refused_with_the_reason(tmp_path):
    with pytest.raises(TlkerasError, match=r"metrics\.json is missing"):
        load_evaluation(tmp_path)
    save_evaluation(evaluation(), tmp_path)
    (tmp_path / "predictions.csv").write_text("id,label\n1,a\n")
    with pytest.raises(TlkerasError, match="not of one evaluation"):
        load_evaluation(tmp_path)
    with pytest.raises(ValueError, match="no Bin: it lacks accuracy"):
        from_plain(Bin, {"low": 0, "high": 1, "n": 1, "confidence": 1})
