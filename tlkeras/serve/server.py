"""Start the server: find the model, bind the address, say where it is, and run until asked to stop."""

import asyncio
import ipaddress
import logging
import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.errors import TlkerasError
from tlkeras.export.predict import load_artifact
from tlkeras.serve.engine import Engine, FindNeighbours
from tlkeras.serve.guard import Access
from tlkeras.serve.limits import Limits

if TYPE_CHECKING:
    import uvicorn

TOKEN_VARIABLE = "TLKERAS_SERVE_TOKEN"  # noqa: S105  (a variable's name)
_SERVED = ("model_float32.tflite", "saved_model")
_log = logging.getLogger("tlkeras")


def run_server(
    path: str | Path, *, host: str = "127.0.0.1", port: int = 8000, refuse: bool = True, limits: Limits | None = None
) -> None:
    """Serve an exported model until interrupted.

    Args:
        path: An exported file or folder, or a run folder, whose training examples are shown then as well.
        host: The address to bind. Any but this machine's own asks every client for a token, which is logged; the environment
            variable TLKERAS_SERVE_TOKEN sets it.
        port: The port; 0 takes a free one.
        refuse: Answer "none of these" to inputs unlike anything the model was trained on, where it can tell.
        limits: What is accepted.

    Raises:
        TlkerasError: The extra `serve` is not installed, there is no model, or the address cannot be bound.
    """
    _require_packages()
    access = find_access(host)
    predictor, find_neighbours = open_model(Path(path), refuse=refuse)
    server = make_server(Engine(predictor, limits or Limits(), find_neighbours), access)
    with listen(host, port) as bound:
        _announce(predictor.path, bound, host, access)
        try:
            asyncio.run(server.serve(sockets=[bound]))
        except KeyboardInterrupt:
            _log.info("Stopped.")


def make_server(engine: Engine, access: Access) -> "uvicorn.Server":
    """Return a server that is ready to run; see `uvicorn.Server.serve`.

    Args:
        engine: What answers.
        access: Who may ask.
    """
    import uvicorn

    from tlkeras.serve.app import build_app
    from tlkeras.serve.connections import Protocol

    limits = engine.limits
    config = uvicorn.Config(
        build_app(engine, access),
        http=type("Protocol", (Protocol,), {"head_seconds": limits.read_seconds}),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        h11_max_incomplete_event_size=16_384,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def open_model(path: Path, *, refuse: bool = True) -> tuple[Any, FindNeighbours | None]:
    """Return the loaded model, and how to read its training examples, where a run folder is given.

    Args:
        path: An exported file or folder, or a run folder.
        refuse: See `load_artifact`.

    Raises:
        TlkerasError: There is no exported model.
    """
    if not (path / "config.yaml").is_file():
        return load_artifact(path, refuse=refuse), None
    found = [path / "exports" / name for name in _SERVED if (path / "exports" / name).exists()]
    if not found:
        raise TlkerasError(f"The run {path} holds no exported model: no exports/{_SERVED[0]}. Finish the run, or name a file.")
    predictor = load_artifact(found[0], refuse=refuse)
    if found[0].suffix != ".tflite":
        return predictor, None

    def find_neighbours() -> Any:
        from tlkeras.serve import similar

        return similar.find_features(predictor, *similar.training_examples(path, predictor.modality))

    return predictor, find_neighbours


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that takes connections already: whoever reads the address may connect at once.

    Args:
        host: The address to bind.
        port: The port; 0 takes a free one.

    Raises:
        ValueError: The port is none.
        TlkerasError: The address cannot be bound.
    """
    if not 0 <= port <= 65535:  # getaddrinfo would take it modulo 65536
        raise ValueError(f"A port is a number from 0 to 65535. Received: {port}")
    bound = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # With another protocol number asyncio leaves Nagle's algorithm on, and each answer to one client takes 40 ms.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # elsewhere it would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
        return bound
    except OSError as error:
        if bound is not None:
            bound.close()
        reason = error.strerror or error
        raise TlkerasError(
            f"Cannot serve on {host}, port {port}: {reason}. Give another --port (0 takes a free one)."
        ) from None


def find_access(host: str) -> Access:
    """Return who may ask, for a server that is bound to `host`."""
    names = {"localhost", host.lower()}
    if _is_loopback(host):
        return Access(frozenset({*names, "127.0.0.1", "::1"}))
    token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)
    if len(token) < 16:
        raise TlkerasError(f"{TOKEN_VARIABLE} is too easy to guess. Received: {len(token)} characters. Give 16 or more.")
    return Access(frozenset({*names, socket.gethostname().lower(), socket.getfqdn().lower()}), addresses=True, token=token)


def _require_packages() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise TlkerasError(f"The server needs {error.name}. Install it: pip install 'tlkeras[serve]'") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _announce(path: Path, bound: socket.socket, host: str, access: Access) -> None:
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104  (compared, not bound)
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{bound.getsockname()[1]}/"
    _log.info("Serving %s", path)
    _log.info("Page:  %s%s", address, f"#token={access.token}" if access.token else "")
    token = " -H 'Authorization: Bearer TOKEN'" if access.token else ""
    _log.info("API:   %sopenapi.json%s", address, f"; send the token:{token}" if token else "")
    if access.token:
        _log.warning("Requests and the token travel unencrypted: use it in a network you trust, or behind a proxy with TLS.")
    _log.info("Stop it with Ctrl-C.")
