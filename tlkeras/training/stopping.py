"""Asked to stop (Ctrl-C, SIGTERM), training finishes the step that it is in, so that what it keeps is consistent."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Stop:
    """Whether the process was asked to stop, and by which signal."""

    signal: int | None = None

    def leave(self) -> None:
        """Leave, as the signal would have made the process leave: exit code 130 or 143.

        Raises:
            KeyboardInterrupt: It was Ctrl-C.
            SystemExit: It was SIGTERM.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(143)


@contextmanager
def stop_between_steps() -> Iterator[Stop]:
    """Within the block, the first signal only sets `Stop.signal`; the second leaves at once.

    Python takes signals in its main thread: in another one nothing changes.
    """
    stop = Stop()

    def ask(number: int, _: Any) -> None:
        asked_before, stop.signal = stop.signal, number
        if asked_before is not None:
            stop.leave()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: it was not set from Python
