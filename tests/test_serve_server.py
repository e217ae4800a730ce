"""The command: what it serves, where, to whom; what it needs and leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.export_models import exported_images, image_examples, image_model, write_pictures
from tests.serving import picture
from tlkeras.cli import main
from tlkeras.errors import TlkerasError
from tlkeras.export.predict import load_artifact, predict_images
from tlkeras.export.targets import export_model
from tlkeras.serve import server
from tlkeras.serve.server import TOKEN_VARIABLE, find_access, open_model
from tlkeras.tasks.model import Familiar


def _start(folder: Path, *words: str, **environment: str) -> tuple[subprocess.Popen, str]:
    """Start the real command and return it with the address that it says."""
    code = (
        "import atexit, sys; from tlkeras.cli import main;"
        "atexit.register(lambda: print(*sorted({'tensorflow', 'keras', 'pandas', 'sklearn'} & set(sys.modules)), 'loaded'));"
        "sys.exit(main(['serve', *sys.argv[1:]]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.match(r"Page: +(\S+)", line):
            return process, found[1]
    raise AssertionError(process.communicate())


def _stop(process: subprocess.Popen) -> tuple[int, str, str]:
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None and process.stderr is not None
    # Not communicate(): it would lose lines that reading the address has buffered.
    with process:  # closes the pipes and waits
        out, err = process.stdout.read(), process.stderr.read()
    return process.returncode, out, err


def test_the_command_serves_a_tflite_without_tensorflow_writes_nothing_and_stops_on_request(tmp_path):
    path = exported_images()[1].path
    shots = tmp_path / "shots"
    shots.mkdir()
    file = Path(write_pictures(shots, image_examples().take([3]))[0])
    (expected,) = predict_images(load_artifact(path), [file])
    here = tmp_path / "here"
    here.mkdir()
    process, address = _start(here, str(path), "--port", "0")
    try:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        request = urllib.request.Request(f"{address}v1/predict", file.read_bytes(), {"Content-Type": "image/png"})
        with urllib.request.urlopen(request, timeout=20) as response:
            assert json.load(response)["label"] == expected.label
        assert list(here.iterdir()) == []
    finally:
        code, out, err = _stop(process)
    assert (code, out) == (0, "loaded\n")
    assert err.splitlines()[-1] == "Stopped."
    assert "Traceback" not in err


def test_on_another_address_the_command_prints_a_token_and_asks_for_it(tmp_path):
    process, address = _start(tmp_path, str(exported_images()[1].path), "--port", "0", "--host", "0.0.0.0")
    try:
        found = re.search(r":(\d+)/#token=(\S{32})$", address)
        assert found
        port, token = found.groups()
        url = f"http://127.0.0.1:{port}/v1/predict"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(url, picture(), {"Content-Type": "image/png"}), timeout=20)
        assert refused.value.code == 401
        refused.value.close()
        headers = {"Content-Type": "image/png", "Authorization": f"Bearer {token}"}
        with urllib.request.urlopen(urllib.request.Request(url, picture(), headers), timeout=20) as response:
            assert "label" in json.load(response)
    finally:
        code, _, err = _stop(process)
    assert code == 0
    assert "unencrypted" in err


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_on_this_machine_no_token_is_asked_for(host):
    access = find_access(host)
    assert access.token is None
    assert not access.addresses
    assert {"localhost", "127.0.0.1", host} <= access.names


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "box.example"])
def test_elsewhere_each_start_has_its_own_token(host, monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    tokens = {find_access(host).token for _ in range(3)}
    assert len(tokens) == 3
    assert all(token and len(token) >= 32 for token in tokens)


def test_the_token_can_be_set_but_not_to_something_short(monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "0123456789abcdef")
    assert find_access("0.0.0.0").token == "0123456789abcdef"
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    with pytest.raises(TlkerasError, match=r"easy to guess\. Received: 6 characters"):
        find_access("0.0.0.0")


def test_what_cannot_be_served_is_said(tmp_path, capsys, monkeypatch):
    (tmp_path / "config.yaml").write_text("recipe: x\n")
    path = str(exported_images()[1].path)
    for words, message in (
        ([str(tmp_path / "gone.tflite")], "There is no such artefact"),
        ([str(tmp_path)], "holds no exported model: no exports/model_float32.tflite"),
        ([path, "--port", "99999"], "A port is a number from 0 to 65535. Received: 99999"),
        ([path, "--host", "203.0.113.1"], "Cannot serve on 203.0.113.1, port 8000"),
    ):
        assert main(["serve", *words]) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(TlkerasError, match=r"needs uvicorn\. Install it: pip install 'tlkeras\[serve\]'"):
        server.run_server(path)


def test_an_artefact_alone_has_no_training_examples():
    predictor, find_neighbours = open_model(exported_images()[1].path)
    assert predictor.modality == "image"
    assert find_neighbours is None


@pytest.mark.parametrize(("words", "smallest"), [([], 0.5), (["--no-refuse"], None)])
def test_the_command_answers_none_of_these_unless_told_not_to(words, smallest, tmp_path, monkeypatch):
    familiar = Familiar(np.eye(5, 8, dtype=np.float16), 0.5)
    (artifact,) = export_model(replace(image_model(), familiar=familiar), tmp_path, targets=["tflite_float32"])
    served = []

    class Stopped:
        async def serve(self, **_):
            pass

    def make_server(engine, access):
        served.append(engine.predictor)
        return Stopped()

    monkeypatch.setattr(server, "make_server", make_server)
    assert main(["serve", str(artifact.path), "--port", "0", *words]) == 0
    assert [one.smallest for one in served] == [smallest]
