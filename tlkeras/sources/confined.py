"""Take from a process what opening a foreign file does not need: the network, other programs, much memory and disk."""

import contextlib
import ctypes
import errno
import platform
import struct
import sys
from typing import Any

WRITES = 1_000_000
"""Bytes that it may write to a file: Python tries out its folder for temporary files."""
FILES = 1024
"""Files that may be open at once."""

# socket, execve, execveat, io_uring_setup (which could open sockets past the filter), by the kernel's numbers of calls.
_CALLS = {"x86_64": (0xC000003E, (41, 59, 322, 425)), "aarch64": (0xC00000B7, (198, 221, 281, 425))}
_OTHER_NUMBERS = 0x40000000  # x86-64 knows the calls by a second set of numbers from here on
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_EVENTS = ("socket.", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.startfile")


def confine(memory: int, seconds: int) -> None:
    """Confine this process, for good, and all threads that it starts.

    On Linux (x86-64, ARM 64) the kernel refuses to open sockets and to run programs, whoever asks (seccomp). On all systems
    Python refuses both, which code in C could go round. Memory, processor time, open files and what is written are limited
    where the system has such limits (not on Windows). The number of processes is not: the system counts all of the user's.

    Args:
        memory: The address space that it may take, in bytes.
        seconds: The processor time, all threads together.
    """
    with contextlib.suppress(ImportError):
        import resource

        limits = {
            resource.RLIMIT_AS: memory,
            resource.RLIMIT_CPU: seconds,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_FSIZE: WRITES,
            resource.RLIMIT_NOFILE: FILES,
        }
        for limit, value in limits.items():
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(limit, (value, value))
    _ask_the_kernel()
    sys.addaudithook(_refuse)


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith(_EVENTS) and event != "socket.gethostname":
        raise PermissionError(errno.EPERM, f"a process that opens foreign files may not do this: {event}")


def _ask_the_kernel() -> bool:
    """Let the kernel refuse some system calls; whether it does."""
    architecture, calls = _CALLS.get(platform.machine(), (0, ()))
    if sys.platform != "linux" or not calls or sys.maxsize < 2**32:
        return False
    last = len(calls) + 4  # where the program returns that a call is allowed; after it, that one is refused
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 0, last - 1, architecture), (_LOAD, 0, 0, 0)]
    program.append((_AT_LEAST, last - 3, 0, _OTHER_NUMBERS))
    program += [(_EQUAL, last - 4 - place, 0, call) for place, call in enumerate(calls)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    control = ctypes.CDLL(None, use_errno=True).prctl
    control.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    address = ctypes.addressof(filters)
    return control(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0 and control(_SET_SECCOMP, _FILTER, address, 0, 0) == 0
