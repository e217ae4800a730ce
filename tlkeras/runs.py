"""The run folder: created, locked, found again to resume, finished."""

import contextlib
import logging
import os
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tlkeras.errors import ParityError, TlkerasError
from tlkeras.files import plain, printable, write_file, write_json, write_text
from tlkeras.machine import environment
from tlkeras.summary import summary_lines

if TYPE_CHECKING:
    import keras

    from tlkeras.evaluation.metrics import Evaluation
    from tlkeras.export.artifact import Artifact, Parity

ROOT = Path("saved_models")
"""Where runs land by default, below the current folder."""

_CONFIG, _FINISHED, _LOCK = "config.yaml", "finished.json", "run.lock"
_WHERE = ("output", "resume")
"""Fields that say where a run is, not what it does: two runs that differ only in them are the same."""

_log = logging.getLogger("tlkeras")


@dataclass(frozen=True)
class Run:
    """A run and its folder.

    Attributes:
        path: The folder.
        recipe: The recipe's name.
        config: The configuration as plain values.
        resumed: Whether an earlier process began it.
        lock: The descriptor that keeps other processes out of the folder, -1 where there is none.
    """

    path: Path
    recipe: str
    config: Mapping[str, Any]
    resumed: bool = False
    lock: int = field(default=-1, repr=False, compare=False)


def create_run(recipe: str, config: Any) -> Run:
    """Open the run folder at `config.output` (or a new one), lock it, and write down the configuration and the machine.

    Args:
        recipe: The recipe's name; it names the default folder, `saved_models/<recipe>/<date-time>`.
        config: A dataclass; of its fields, `output` and `resume` are read here.

    Raises:
        ValueError: The folder is in use already, or there is nothing to resume with this configuration.
        TlkerasError: Another process is writing to the folder.
    """
    settings = plain(config)
    output = Path(settings["output"]) if settings.get("output") else None
    resumed = bool(settings.get("resume"))
    path = _find_unfinished(recipe, settings, output) if resumed else _new_folder(recipe, output)
    lock = _lock(path)
    if resumed:
        _tidy(path)
    else:
        _check_free(path)  # again: another process may have been faster before we held the lock
        write_text(path / _CONFIG, yaml.safe_dump({"recipe": recipe, **settings}, sort_keys=False, allow_unicode=True))
        write_json(path / "environment.json", environment())
    if output is None:
        _point_latest(path)
    _start_log(path / "log.txt")
    _log.info("%s %s", "Going on with the run in" if resumed else "Run folder:", path)
    return Run(path=path, recipe=recipe, config=settings, resumed=resumed, lock=lock)


def finish_run(
    run: Run,
    evaluation: "Evaluation",
    artifacts: "Sequence[Artifact]",
    parity: "Sequence[Parity]",
    *,
    model: "keras.Model | None" = None,
) -> Run:
    """Write what is still missing, mark the run as finished, and log what a person wants to see at the end.

    Args:
        run: The run.
        evaluation: The result on the test split.
        artifacts: The exported files.
        parity: Their comparison with Keras, in the same order.
        model: A model to save as `model.keras`, where the folder does not hold one yet.

    Raises:
        ParityError: An exported file does not behave as the Keras model. Where it still lies under its name, the run is not
            marked as finished; where it was set apart (`tlkeras.verify_each`), all else is good and the run is finished first.
    """
    write_json(run.path / "parity.json", {result.target: result for result in parity})
    if artifacts:
        write_text(run.path / "labels.txt", "\n".join(artifacts[0].labels) + "\n")
    if model is not None and not (run.path / "model.keras").exists():
        write_file(run.path / "model.keras", model.save)
    for line in summary_lines(run.path, evaluation, artifacts, parity):
        _log.info("%s", line)
    failed = {result.target: result.problem for result in parity if not result.passed}
    in_place = [artifact.target for artifact in artifacts if artifact.target in failed and artifact.path.exists()]
    if in_place:
        raise ParityError(
            f"{', '.join(in_place)} does not behave as the Keras model that was evaluated. "
            f"See {run.path / 'parity.json'} for the differences; do not ship it."
        )
    write_json(run.path / "environment.json", environment())  # now that TensorFlow is loaded, the accelerators are known
    shutil.rmtree(run.path / "checkpoints", ignore_errors=True)  # of use to an unfinished run only
    write_json(run.path / _FINISHED, _headline(run, evaluation))
    _stop_log()
    _unlock(run.lock)
    (run.path / _LOCK).unlink(missing_ok=True)
    if failed:
        reasons = "".join(f"\n  {target}: {problem}" for target, problem in failed.items())
        raise ParityError(
            f"The run is finished and its other files are good, but these are not and were renamed to *.rejected*:{reasons}\n"
            f"See {run.path / 'parity.json'}. Another form: tlkeras export {run.path} --quantize dynamic. "
            "To accept a larger loss of accuracy: --quantize int8 --max-drop POINTS."
        )
    return run


def _new_folder(recipe: str, output: Path | None) -> Path:
    if output is not None:
        _check_free(output)
        output.mkdir(parents=True, exist_ok=True)
        return output
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    (ROOT / recipe).mkdir(parents=True, exist_ok=True)
    number = 1
    while True:  # two runs may start in the same second
        path = ROOT / recipe / (stamp if number == 1 else f"{stamp}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
        number += 1


def _check_free(path: Path) -> None:
    """Refuse a folder that holds anything but our lock."""
    if not path.exists():
        return
    if not path.is_dir():
        raise ValueError(f"The run folder cannot be made. Received: {path}, which is a file. Give another --output.")
    names = {item.name for item in path.iterdir()} - {_LOCK}
    if _FINISHED in names:
        raise ValueError(f"{path} holds a finished run. Give another --output, or move that run away.")
    if _CONFIG in names:
        _unlock(_lock(path))  # if it is running, that is the better message
        raise ValueError(f"{path} holds an unfinished run. Go on with it by --resume, or give another --output.")
    if names:
        raise ValueError(f"{path} is not empty and holds no run (found {min(names)!r}). Give another --output.")


def _find_unfinished(recipe: str, settings: Mapping[str, Any], output: Path | None) -> Path:
    if output is not None and (output / _FINISHED).exists():
        raise ValueError(f"{output} holds a finished run: there is nothing to resume. Give another --output for a new run.")
    found = [output / _CONFIG] if output is not None else sorted((ROOT / recipe).glob(f"*/{_CONFIG}"), reverse=True)
    unfinished = [file for file in found if file.exists() and not (file.parent / _FINISHED).exists()]
    if not unfinished:
        raise ValueError(f"No unfinished run of {recipe} in {output or ROOT / recipe}. Start one without --resume.")
    differences = [_differences(file, {"recipe": recipe, **settings}) for file in unfinished]
    same = [file for file, difference in zip(unfinished, differences, strict=True) if not difference]
    if not same:
        raise ValueError(
            f"Cannot resume {unfinished[0].parent}: its configuration differs in {'; '.join(differences[0])}. "
            "Give the same values, or start a new run without --resume."
        )
    return same[0].parent


def _differences(file: Path, settings: Mapping[str, Any]) -> list[str]:
    saved = yaml.safe_load(file.read_text(encoding="utf-8"))
    names = [name for name in {**saved, **settings} if name not in _WHERE]
    return [
        f"{name} (there {saved.get(name)!r}, now {settings.get(name)!r})"
        for name in names
        if saved.get(name) != settings.get(name)
    ]


def _lock(path: Path) -> int:
    """Hold the folder until `_unlock` or the end of the process, however it ends; the descriptor is never closed by chance."""
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock_descriptor(descriptor)
    except (BlockingIOError, PermissionError):
        holder = os.read(descriptor, 1000).decode(errors="replace")
        os.close(descriptor)
        if holder == _identity():  # a notebook cell that is run again
            return -1
        raise TlkerasError(
            f"{path} is being written by another process ({holder}). Wait for it, stop it, or give another --output."
        ) from None
    except OSError:
        _log.warning("%s cannot be locked (its file system has no locks): start no second process in it.", path)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, _identity().encode())
    return descriptor


def _lock_descriptor(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # beyond the content, which others must be able to read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(descriptor: int) -> None:
    if descriptor >= 0:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _identity() -> str:
    return f"pid {os.getpid()} on {socket.gethostname()}"


def _tidy(path: Path) -> None:
    """Remove what a killed process was writing."""
    for folder in path.rglob(".writing-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _point_latest(path: Path) -> None:
    target = path.relative_to(ROOT)
    try:
        write_file(ROOT / "latest", lambda temporary: temporary.symlink_to(target))
    except OSError:
        write_text(ROOT / "latest", f"{target}\n")


class _Console(logging.Handler):
    """Plain lines on whatever stdout is at the time, so that notebooks and captured output get them."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stdout.write(printable(self.format(record)) + "\n")
        sys.stdout.flush()


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _start_log(file: Path) -> None:
    _stop_log()
    if not _log.hasHandlers():
        _log.addHandler(_Console(logging.INFO))
    if _log.level == logging.NOTSET:
        _log.setLevel(logging.INFO)
    handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    handler.set_name(_LOCK)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    _log.addHandler(handler)


def _stop_log() -> None:
    for handler in [item for item in _log.handlers if item.get_name() == _LOCK]:
        _log.removeHandler(handler)
        handler.close()


def _headline(run: Run, evaluation: "Evaluation") -> dict[str, Any]:
    files = sorted(file for file in run.path.rglob("*") if file.is_file() and file.name != _LOCK)
    return {
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        "recipe": run.recipe,
        "measures": evaluation.measures,
        "verdict": evaluation.verdict,
        "files": {file.relative_to(run.path).as_posix(): file.stat().st_size for file in files},
    }
