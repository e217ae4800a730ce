"""Run folders written by hand, so that reports can be tested without training anything."""

import csv
import json
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

EVIL = "<img src=x onerror=document.title='evil'>"
VALUE = {"value": 0.75, "low": 0.5, "high": 0.9, "n": 8}


def measure(value: float, *, spread: float = 0.1, n: int = 8) -> dict[str, Any]:
    return {"value": value, "low": value - spread, "high": value + spread, "n": n}


def write_run(
    folder: Path, *, config: dict[str, Any] | None = None, metrics: dict[str, Any] | None = None, rows: Any = None
) -> Path:
    """A run of a classification with two classes, one of them named to run a script."""
    folder.mkdir(parents=True)
    settings = {
        "recipe": "image_classification",
        "data": "photos",
        "source": "efficientnet_lite0",
        "flip": False,
        "splits": None,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump({**settings, **(config or {})}, sort_keys=False))
    found = {
        "task": "classification",
        "test": {"accuracy": measure(0.75), "roc_auc": measure(0.8)},
        "nulls": {"majority of training": measure(0.5), "pixels + linear model": measure(0.6)},
        "gain": measure(0.15),
        "verdict": "Transfer helped: +15.0 points [+5.0, +25.0] above pixels + linear model",
        "per_class": {
            "cat": {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 4},
            EVIL: {"precision": 2 / 3, "recall": 1.0, "f1": 0.8, "support": 4},
        },
        "confusion": [[2, 2], [0, 4]],
        "classes": ["cat", EVIL],
    }
    (folder / "metrics.json").write_text(json.dumps({**found, **(metrics or {})}))
    rows = rows or [(f"{index}.png", "cat", "cat" if index < 6 else "dog") for index in range(8)]
    with (folder / "predictions.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("id", "where", "target", "predicted"), *((row[0], *row) for row in rows)])
    return folder


def add_everything(folder: Path) -> Path:
    """What a run may hold besides, with hostile names and texts wherever they can come from data."""
    metrics = json.loads((folder / "metrics.json").read_text())
    bins = [{"low": 0.5, "high": 1.0, "n": 8, "confidence": 0.8, "accuracy": 0.75}]
    calibration = {"ece": 0.052, "ece_null": 0.04, "brier": 0.31, "temperature": 1.7, "bins": bins}
    metrics |= {
        "calibration": {**calibration, "after": {**calibration, "ece": 0.033}},
        "rejection": {"method": "energy", "threshold": 3.5, "foreign": EVIL, "auc": measure(0.9)},
        "slices": [
            {"column": "camera", "value": EVIL, "n": 4, "measure": "accuracy", "metric": measure(0.25), "difference": -0.5,
             "significant": True},
            {"column": "camera", "value": "new", "n": 4, "measure": "accuracy", "metric": measure(0.9), "difference": 0.5,
             "significant": False},
        ],
        "fairness": [{"column": EVIL, "of": "cat", "demographic_parity_difference": 0.2, "equalized_odds_difference": 0.3,
                      "null": 0.1, "p_value": 0.04}],
        "robustness": [{"corruption": "blur", "severity": 1, "metric": measure(0.7)},
                       {"corruption": "blur", "severity": 3, "metric": measure(0.4)}],
        "forgetting": {
            "drift": measure(0.12),
            "before": None,
            "slices_before": [{"column": "brightness", "value": "dark", "n": 4, "measure": "accuracy", "metric": measure(0.5),
                               "difference": -0.1, "significant": False}],
        },
        "privacy": {"attack": "loss threshold", "auc": measure(0.61)},
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "gallery").mkdir()
    for name in ("gallery/a.png", "confusion_matrix.png", "training.png", "calibration.png"):
        Image.new("RGB", (40, 30), (200, 60, 60)).save(folder / name)
    near = [{"id": EVIL, "target": EVIL, "similarity": 0.9, "image": "gallery/a.png"}]
    item = {"id": EVIL, "where": EVIL, "target": EVIL, "predicted": "cat", "probability": 0.97}
    gallery = [
        {**item, "kind": "confident_mistake", "image": "gallery/a.png", "explanation": "gallery/a.png", "neighbours": near},
        {**item, "kind": "unsure_hit", "tokens": [[EVIL, 2.0], ["film", -1.0]]},
    ]
    (folder / "gallery.json").write_text(json.dumps(gallery))
    (folder / "history.csv").write_text("phase,epoch,loss,val_loss,accuracy,val_accuracy\nhead,1,0.5,0.6,0.9,0.8\n")
    (folder / "splits.csv").write_text('id,split,label,where,digest\n1,train,cat,x,1\n2,train,"<b>",x,2\n3,test,cat,x,3\n')
    (folder / "bad_inputs.jsonl").write_text(json.dumps({"where": EVIL, "reason": "cannot be read"}) + "\n")
    (folder / "exports").mkdir()
    exported = {"target": "tflite_float16", "path": "model_float16.tflite", "size_bytes": 6_800_000}
    metadata = {"modality": "image", "source": {"name": "efficientnet_lite0"}, "artifacts": [exported]}
    (folder / "exports" / "metadata.json").write_text(json.dumps(metadata))
    latencies = [{"threads": 1, "p90": 4.0}, {"threads": 2, "p90": 2.5}]
    (folder / "exports" / "benchmark.json").write_text(json.dumps({"model_float16.tflite": {"latencies": latencies}}))
    parity = {"n": 8, "label_agreement": 1.0, "passed": True, "problem": "", "max_difference": 0.0}
    (folder / "parity.json").write_text(json.dumps({"tflite_float16": parity}))
    environment = {"python": "3.12.1", "platform": "Linux", "cores": 2, "versions": {"keras": "3.15.1", "grain": None}}
    (folder / "environment.json").write_text(json.dumps(environment))
    return folder
