"""Processes that die at their n-th write, sync or rename: every moment at which a disk can be left behind."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

DIED = 77


class Disk:
    """Counts what is done to the disk, and at the chosen operation does half of it, or nothing, and ends the process."""

    def __init__(self, dies_at: int = -1) -> None:
        self.done, self.dies_at = 0, dies_at

    def die_if_due(self, half: Callable[[], Any] = lambda: None) -> None:
        self.done += 1
        if self.done == self.dies_at:
            half()
            os._exit(DIED)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Within the block, files opened for writing by Python, `os.fsync`, renames and removals are counted."""
        disk = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                disk.die_if_due(lambda: super(Raw, self).write(memoryview(data)[: len(memoryview(data)) // 2]))
                return super().write(data)

        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if "w" not in mode:
                return originals["open"](file, mode, *arguments, **options)
            buffered = io.BufferedWriter(Raw(file, "w"))
            if "b" in mode:
                return buffered
            return io.TextIOWrapper(buffered, encoding=options.get("encoding"), newline=options.get("newline"))

        def counted(name: str) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                disk.die_if_due()
                result = originals[name](*arguments, **options)
                disk.die_if_due()
                return result

            return call

        names = ("fsync", "rename", "replace", "unlink", "mkdir", "rmdir")
        originals: dict[str, Any] = {"open": io.open, **{name: getattr(os, name) for name in names}}
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch("io.open", opened))
            for name in names:
                stack.enter_context(mock.patch(f"os.{name}", counted(name)))
            yield


def die_everywhere(write: Callable[[], Any], check: Callable[[int], Any], prepare: Callable[[], Any]) -> int:
    """Let processes die at each operation of `write` in turn, check what each leaves, and return how many there were.

    Args:
        write: Writes to the disk.
        check: Called with the number of the operation at which the process died.
        prepare: Makes the disk what it was before; called before each process.
    """
    at = 0
    while True:
        at += 1
        prepare()
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            code = 1
            try:
                with Disk(at).watched():
                    write()
                code = 0
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if code == 0:
            return at - 1
        if code != DIED:
            raise RuntimeError(f"The process that was to die at operation {at} ended with {code}")
        check(at)
