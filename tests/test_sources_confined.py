"""A process that opens foreign files has no network and runs no programs, whoever in it asks."""

import platform
import socket
import subprocess
import sys
import textwrap

import pytest

BEFORE = """
import ctypes, os, platform, subprocess, sys, threading
from tlkeras.sources.confined import confine
confine(4 * 2**30, 60)
libc = ctypes.CDLL(None, use_errno=True)
"""
KERNEL = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")


def _child(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", BEFORE + textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_connection_to_a_server_that_listens_is_refused_and_never_arrives():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        code = """
            import socket
            try:
                socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
            except PermissionError as error:
                print("refused:", error)
        """
        assert _child(code, server.getsockname()[1]).startswith("refused:")
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.skipif(not KERNEL, reason="only Linux on x86-64 and ARM 64 has the filter")
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX"])
def test_the_kernel_refuses_sockets_to_code_in_c_and_in_threads_that_start_later(family):
    code = """
        import socket
        answers = []
        thread = threading.Thread(target=lambda: answers.append((libc.socket(int(sys.argv[1]), 1, 0), ctypes.get_errno())))
        thread.start(); thread.join()
        answers.append((libc.socket(int(sys.argv[1]), 1, 0), ctypes.get_errno()))
        print(answers)
    """
    assert _child(code, int(getattr(socket, family))) == "[(-1, 1), (-1, 1)]"


@pytest.mark.skipif(not KERNEL, reason="only Linux on x86-64 and ARM 64 has the filter")
def test_the_kernel_refuses_other_programs_and_rings_that_could_open_sockets():
    code = """
        arguments = (ctypes.c_char_p * 2)(b"true", None)
        ran = libc.execv(b"/bin/true", arguments), ctypes.get_errno()
        ring = libc.syscall(425, 8, ctypes.create_string_buffer(120)), ctypes.get_errno()
        print(ran, ring)
    """
    assert _child(code) == "(-1, 1) (-1, 1)"


def test_python_refuses_programs_and_still_computes_reads_and_starts_threads(tmp_path):
    (tmp_path / "file").write_text("content")
    code = """
        for run in (lambda: subprocess.run(["true"]), lambda: os.system("true"), lambda: os.execv("/bin/true", ["true"])):
            try:
                run()
                print("ran")
            except PermissionError:
                pass
        thread = threading.Thread(target=lambda: print(open(sys.argv[1]).read(), platform.machine() != ""))
        thread.start(); thread.join()
    """
    assert _child(code, tmp_path / "file") == "content True"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_memory_files_and_writing_are_limited(tmp_path):
    code = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            bytearray(5 * 2**30)
        except MemoryError:
            print("memory")
        print("file", os.write(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY), bytes(2_000_000)))
        print(resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= 1024, resource.getrlimit(resource.RLIMIT_CPU)[1] == 60)
    """
    assert _child(code, tmp_path / "large").split("\n") == ["memory", "file 1000000", "True True"]
