"""An export that dies at any write, sync, rename or removal leaves whole files, and a summary that is true or none."""

import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.crashing import die_everywhere
from tlkeras.export import metadata, targets

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks as Linux has them"),
]
FILES = ("saved_model.pb", "variables/variables.data", "assets.extra/labels.txt")


def _write_folder(material, path):
    for name in FILES:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(material.model.content * 3)
    return {"input": {}}


def _write_one(material, path):
    path.write_bytes(material.model.content * 5)
    return {"input": {}}


@pytest.fixture
def folder():
    memory = Path("/dev/shm")  # syncs cost nothing there, and the test needs thousands of them
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name) / "exports"


def test_an_export_that_dies_anywhere_leaves_whole_files_and_a_true_summary(folder, monkeypatch):
    monkeypatch.setattr(targets, "save_graph", lambda *_: None)
    monkeypatch.setattr(metadata, "contract", lambda model, **_: {"labels": list(model.classes)})
    forms = {"saved_model": targets.Target("saved_model", _write_folder), "one": targets.Target("model.tflite", _write_one)}
    monkeypatch.setattr(targets, "TARGETS", forms)
    old, new = (SimpleNamespace(classes=("a", "b"), content=content) for content in (b"earlier", b"later"))
    summaries = []

    def export(model):
        targets.export_model(model, folder, targets=["saved_model", "one"])

    def check(at):
        files = [*(folder / "saved_model" / name for name in FILES), folder / "model.tflite"]
        there = [file.read_bytes() if file.exists() else None for file in files]
        assert len(set(there[:3])) == 1, f"{at}: a folder is there whole or not at all"
        assert {content[:5] for content in there if content} <= {b"earli", b"later"}
        assert there[3] in (b"earlier" * 5, b"later" * 5)
        summary = folder / metadata.CONTRACT
        summaries.append(summary.exists())
        if summary.exists():
            for entry in json.loads(summary.read_text())["artifacts"]:
                for name, digest in entry["sha256"].items():
                    assert metadata.sha256(folder / name) == digest, at
        if at % 5 == 0:
            export(new)
            assert (folder / "model.tflite").read_bytes() == b"later" * 5

    count = die_everywhere(lambda: export(new), check, lambda: export(old))
    assert count > 40
    assert False in summaries
    assert Path(folder / metadata.CONTRACT).exists()
