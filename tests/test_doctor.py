"""What doctor finds, and what it says when something is missing."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tlkeras import doctor
from tlkeras.cli import main


@pytest.fixture
def no_devices(monkeypatch):
    """Leave out the start of TensorFlow, which takes seconds."""
    monkeypatch.setattr(doctor, "_accelerators", lambda: doctor.Finding("devices", "CPU:0"))


def _found():
    return {finding.subject: finding for finding in doctor.examine()}


def test_every_requirement_is_listed_with_its_version_and_meets_the_floor(no_devices):
    found = _found()
    for name in ("tensorflow", "keras", "keras-nlp", "tyro", "numpy"):
        assert found[name].value == metadata.version(name)
        assert found[name].good
        assert not found[name].remedy


def test_what_is_for_another_platform_is_left_out(no_devices, monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: ["grain>=0.2; platform_system == 'Nowhere'", "numpy>=1"])
    assert [item.name for item in doctor._required(extra="")] == ["numpy"]


def test_a_version_under_the_floor_is_not_fit_and_the_remedy_is_a_pip_line(no_devices, monkeypatch, capsys):
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=99", "no-such-package>=1"])
    found = _found()
    assert not found["numpy"].good
    assert found["numpy"].remedy == 'pip install "numpy>=99"'
    assert found["no-such-package"].value == "missing"
    assert main(["doctor"]) == 1
    assert "Not fit: numpy, no-such-package" in capsys.readouterr().out


def test_a_missing_sample_is_no_fault_but_has_its_pip_line(no_devices, monkeypatch):
    monkeypatch.setattr(doctor, "SAMPLES", {"no-such-sample": "sample pictures"})
    finding = _found()["no-such-sample"]
    assert finding.good
    assert finding.remedy == "for its sample pictures: pip install --no-deps no-such-sample"


def test_every_sample_is_in_the_requirements_file(no_devices):
    text = (Path(__file__).parent.parent / "requirements-samples.txt").read_text()
    assert all(f"{name}==" in text for name in doctor.SAMPLES)


def test_a_missing_extra_says_how_to_get_it(no_devices, monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: ['no-such-package>=1; extra == "keras-cv"'])
    finding = _found()["extra keras-cv"]
    assert finding.value == "not installed (no-such-package)"
    assert finding.remedy == 'if you want it: pip install "tlkeras[keras-cv]"'


def test_another_backend_is_not_fit(no_devices, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert not _found()["KERAS_BACKEND"].good


def test_a_tensorflow_that_crashes_does_not_take_doctor_with_it(monkeypatch):
    monkeypatch.setattr(doctor, "_DEVICES", "import os; os.abort()")
    finding = doctor._accelerators()
    assert not finding.good
    assert "does not start" in finding.value


def test_the_devices_are_asked_for_in_another_process():
    code = "import sys, tlkeras.doctor as d; print(d._accelerators().good, 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
