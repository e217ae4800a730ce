"""A server in a thread, models whose answers one can foresee, and sockets that say whatever one wants."""

import asyncio
import contextlib
import io
import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tlkeras.export.predict import Predictor
from tlkeras.serve.engine import Engine
from tlkeras.serve.guard import Access
from tlkeras.serve.limits import Limits
from tlkeras.serve.server import find_access, listen, make_server
from tlkeras.serve.similar import Neighbours

SIZE = 8


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    port: int
    engine: Engine

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def serving(
    predictor: Predictor,
    *,
    limits: Limits | None = None,
    access: Access | None = None,
    find_neighbours: Callable[[], Neighbours] | None = None,
) -> Iterator[Address]:
    """Run a server in a thread for as long as the block lasts."""
    engine = Engine(predictor, limits or Limits(), find_neighbours)
    server = make_server(engine, access or find_access("127.0.0.1"))
    with listen("127.0.0.1", 0) as bound:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Address(bound.getsockname()[1], engine)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def image_predictor(run: Callable[[np.ndarray], np.ndarray] | None = None, **changes: Any) -> Predictor:
    """A picture model: the share of red is the probability of "red", the rest that of "other"."""
    contract = {
        "task": "classification",
        "input": {"size": SIZE, "dtype": "uint8", "resize": "crop"},
        "output": {"name": "probabilities"},
        "source": {"name": "tiny"},
    }
    contract.update(changes.pop("contract", {}))
    labels = changes.pop("labels", ("other", "red"))
    return Predictor(Path("model.tflite"), "image", labels, contract, _named(run or share_of_red), **changes)


def _named(run: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    return lambda batch: {"probabilities": run(batch)}


def share_of_red(batch: np.ndarray) -> np.ndarray:
    red = batch[..., 0].mean(axis=(1, 2)) / 255
    return np.stack([1 - red, red], axis=1).astype(np.float32)


def text_predictor(run: Callable[[np.ndarray], np.ndarray] | None = None, **terms: Any) -> Predictor:
    """A text model that takes strings: the share of the letter a is the probability of "yes"."""
    terms = {"input": {"dtype": "string"}, "output": {"name": "probabilities"}, **terms}
    contract = {"task": "classification", **terms, "source": {"name": "tiny"}}
    return Predictor(Path("model"), "text", ("no", "yes"), contract, _named(run or share_of_a))


def share_of_a(batch: np.ndarray) -> np.ndarray:
    shares = [text.count(b"a") / max(1, len(text)) for text in batch.tolist()]
    return np.array([[1 - share, share] for share in shares], np.float32)


def picture(colour: tuple[int, int, int] = (255, 0, 0), size: tuple[int, int] = (10, 12), kind: str = "png") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(address: Address, path: str, body: bytes | None = None, **headers: str) -> Reply:
    """Ask by urllib, as a program would; underscores in header names become hyphens."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        names.setdefault("Content-Type", "application/json" if body[:1] == b"{" else "image/png")
    request = urllib.request.Request(address.url(path), body, names)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())


def speak(address: Address, *parts: bytes, pause: float = 0.0, timeout: float = 20.0) -> bytes:
    """Send bytes, one part after the other, and return all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", address.port), timeout=timeout) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                received += chunk
        return received


def head(path: str = "/v1/predict", *, host: str = "127.0.0.1", method: str = "POST", **headers: str) -> bytes:
    """The head of a request, as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0
