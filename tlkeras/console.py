"""What the command line shows: messages, tables and errors, for a person at a terminal or for a log."""

import contextlib
import errno
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO

from tlkeras.errors import TlkerasError
from tlkeras.files import printable

_log = logging.getLogger("tlkeras")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def show_messages(stream: TextIO) -> None:
    """Send the library's messages to a stream: with colours on a terminal, as plain lines elsewhere."""
    hide_messages()
    _log.addHandler(_Messages(stream))
    _log.propagate = False  # other packages give the root logger handlers, which would show each message again
    _log.setLevel(logging.DEBUG)  # for log.txt, which also gets the tracebacks


def hide_messages() -> None:
    """Undo `show_messages`."""
    for handler in [handler for handler in _log.handlers if isinstance(handler, _Messages)]:
        _log.removeHandler(handler)
        _log.setLevel(logging.NOTSET)
        _log.propagate = True


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows: as a rich table on a terminal, in aligned plain columns elsewhere."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        from tlkeras.summary import format_table

        print(format_table(header, rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(header):
        table.add_column(name, no_wrap=index == 0, overflow="fold")  # the first column has names that one must be able to copy
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """Give a function that shows how far a step is (its name, how much is done, of how much) on a terminal; None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(file=sys.stderr), transient=True) as bars:
        steps: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in steps:
                steps[step] = bars.add_task(step, total=total)
            bars.update(steps[step], completed=done, total=total)

        yield show


def show_parts(parts: "Iterable[str | tuple[Sequence[str], Sequence[Sequence[str]]]]") -> None:
    """Print lines, and tables given as a header and its rows, as they come."""
    for part in parts:
        print(printable(part)) if isinstance(part, str) else print_table(*part)


def demo_text(command: str) -> str:
    """Say what `tlkeras demo` does, and by which command it is the same."""
    return (
        "This fine-tunes EfficientNet-Lite0 (real ImageNet weights, from an installed package) on the embedded pictures of\n"
        "animals, measures it on pictures it has not seen, beside what no transfer would have given, exports it for servers\n"
        "and phones, and checks that each exported file says what the trained model says. Nothing is downloaded; it takes\n"
        f"about a minute on two cores. The same as:\n\n    {command}\n"
    )


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Leave by an exception when asked to stop, so that what is being written is finished or removed."""

    def stop(*_: Any) -> None:
        raise SystemExit(143)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        _log.warning("Stopped before the end. Go on later with the same command and --resume.")
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)


def start_tensorflow() -> None:
    """Import Keras and TensorFlow without the lines that TensorFlow writes past Python's stderr at its start."""
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            import keras  # noqa: F401

            # Folds, trials and phases compile a network each: TensorFlow takes that for a mistake and warns of each.
            logging.getLogger("tensorflow").setLevel(logging.ERROR)
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def explain(error: BaseException, debug: bool) -> int:
    """Print one message for an error and return the exit code that ARCHITECTURE.md gives it."""
    code, message = _code_and_message(error)
    _log.debug("%s", message, exc_info=error)
    if debug:
        traceback.print_exception(error)
    print(message if code == 130 else f"Error: {printable(message)}", file=sys.stderr)
    return code


def _code_and_message(error: BaseException) -> tuple[int, str]:
    if isinstance(error, KeyboardInterrupt):
        return 130, "Interrupted."
    if isinstance(error, TlkerasError):
        return error.exit_code, str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return 3, f"Out of memory: {error}. Try a smaller --batch-size or --image-size, or a smaller source model."
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return 3, f"The disk is full: {error}. Make room, then run the same command with --resume."
    if isinstance(error, FileExistsError):
        return 2, f"{error.filename} exists already and is not overwritten. Give another name."
    if isinstance(error, (ValueError, OSError, ImportError)):
        return 2, str(error)
    return 1, f"{type(error).__name__}: {error}. This was not foreseen: --debug shows where it happened, please report it."


class _Messages(logging.Handler):
    """Shows messages on a stream."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(logging.INFO)
        self.stream = stream
        self.console: Any = None
        if stream.isatty():
            from rich.console import Console

            self.console = Console(file=stream)

    def emit(self, record: logging.LogRecord) -> None:
        warns = record.levelno >= logging.WARNING
        text = printable(f"{record.levelname.capitalize()}: {record.getMessage()}" if warns else record.getMessage())
        if self.console:
            self.console.print(text, markup=False, soft_wrap=True, style="yellow" if warns else None)
        else:
            self.stream.write(f"{text}\n")
            self.stream.flush()
