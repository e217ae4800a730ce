"""Checkpoints: whatever happens while one is written or afterwards, the newest whole one is found and is what was written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.crashing import die_everywhere
from tlkeras.training.checkpoints import Checkpoint, Position, positions, read_checkpoint, write_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits and forks as Linux has them")


def _checkpoint(phase, step, size=300):
    generator = np.random.default_rng((phase, step))
    arrays = {f"variable_{index:04d}": generator.normal(size=size).astype(np.float32) for index in range(3)}
    return Checkpoint(Position(phase, step), arrays, {"history": [{"loss": 0.1 + step}]})


def _same(found, expected):
    assert found.position == expected.position
    assert found.facts == expected.facts
    assert found.arrays.keys() == expected.arrays.keys()
    for name, value in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], value)


def test_what_is_read_is_what_was_written(tmp_path):
    write_checkpoint(tmp_path, _checkpoint(1, 12))
    found = read_checkpoint(tmp_path, Position(1, 12))
    assert found is not None
    _same(found, _checkpoint(1, 12))


def test_places_are_ordered_by_their_numbers_and_not_by_the_clock(tmp_path):
    for age, (phase, step) in enumerate([(0, 9), (1, 0), (1, 80), (1, 100)]):
        write_checkpoint(tmp_path, _checkpoint(phase, step))
        os.utime(tmp_path / Position(phase, step).file, (1e9 - age, 1e9 - age))
    (tmp_path / "phase_07_step_00000001.npz.part").write_bytes(b"x")
    assert positions(tmp_path) == [Position(1), Position(1, 80), Position(1, 100)]


def test_kept_are_two_within_the_phase_and_the_last_two_that_are_finished(tmp_path):
    for phase, step in [(0, 5), (0, 10), (0, 15)]:
        write_checkpoint(tmp_path, _checkpoint(phase, step))
    assert positions(tmp_path) == [Position(0, 10), Position(0, 15)]
    for phase in (1, 2, 3):
        write_checkpoint(tmp_path, _checkpoint(phase, 0))
    assert positions(tmp_path) == [Position(2), Position(3)]
    write_checkpoint(tmp_path, _checkpoint(3, 4))
    assert positions(tmp_path) == [Position(2), Position(3), Position(3, 4)]


@LINUX
def test_a_process_that_dies_at_any_write_sync_or_rename_leaves_a_whole_checkpoint(tmp_path):
    earlier, later = _checkpoint(0, 10), _checkpoint(0, 20)

    def prepare():
        for file in sorted(tmp_path.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        write_checkpoint(tmp_path, _checkpoint(0, 5))
        write_checkpoint(tmp_path, earlier)

    newest = []

    def check(at):
        kept = positions(tmp_path)
        assert all(read_checkpoint(tmp_path, position) is not None for position in kept), at
        newest.append(kept[-1].step)
        found = read_checkpoint(tmp_path, kept[-1])
        assert found is not None
        _same(found, earlier if kept[-1] == earlier.position else later)
        if kept[-1] == later.position:
            assert earlier.position in kept, "the earlier one must outlast the later one's way to the disk"
        write_checkpoint(tmp_path, later)  # and the next process can go on writing
        assert positions(tmp_path)[-1] == later.position

    count = die_everywhere(lambda: write_checkpoint(tmp_path, later), check, prepare)
    assert count >= 12, "writes, syncs and renames were to be counted"
    assert newest == sorted(newest)
    assert set(newest) == {10, 20}


def test_no_flipped_bit_goes_unnoticed(tmp_path, caplog):
    caplog.set_level("CRITICAL", "tlkeras")
    original = _checkpoint(0, 3, size=8)
    write_checkpoint(tmp_path, original)
    path = tmp_path / original.position.file
    content = path.read_bytes()
    refused = 0
    for place in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        found = read_checkpoint(tmp_path, original.position)
        refused += found is None
        if found is not None:  # a time stamp, or another field of the archive that nobody reads
            _same(found, original)
    assert refused > 0.7 * len(content) / 3


@pytest.mark.parametrize("damage", ["cut", "empty", "nonsense", "pickle"])
def test_files_that_are_no_checkpoint_are_told_and_left_alone(tmp_path, caplog, damage):
    write_checkpoint(tmp_path, _checkpoint(0, 3))
    path = tmp_path / Position(0, 3).file
    if damage == "pickle":
        with path.open("wb") as stream:
            np.savez(stream, facts=np.array([{"a": 1}], dtype=object))
    else:
        path.write_bytes({"cut": path.read_bytes()[:-30], "empty": b"", "nonsense": b"hello"}[damage])
    assert read_checkpoint(tmp_path, Position(0, 3)) is None
    assert str(path) in caplog.text
    assert path.exists()


FULL = """
import resource, sys
from pathlib import Path
from tests.test_training_checkpoints import _checkpoint
from tlkeras.training.checkpoints import write_checkpoint
folder = Path(sys.argv[1])
if sys.argv[2] == "limit":
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_checkpoint(folder, _checkpoint(0, 20, size=100_000))
except OSError as error:
    print(error.errno)
"""


def _fill(folder, how):
    """Write a checkpoint that does not fit, in a process of its own; return the number of the error."""
    command = [sys.executable, "-c", FULL, str(folder), how]
    root = Path(__file__).parent.parent
    return int(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)


@LINUX
def test_a_file_that_may_not_grow_leaves_the_last_checkpoint_and_nothing_else(tmp_path):
    write_checkpoint(tmp_path, _checkpoint(0, 10))
    assert _fill(tmp_path, "limit") == errno.EFBIG
    assert [item.name for item in tmp_path.iterdir()] == [Position(0, 10).file]


@LINUX
def test_a_full_file_system_leaves_the_last_checkpoint_and_nothing_else(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small file system")
    try:
        write_checkpoint(tmp_path, _checkpoint(0, 10))
        assert _fill(tmp_path, "mount") == errno.ENOSPC
        assert [item.name for item in tmp_path.iterdir()] == [Position(0, 10).file]
        found = read_checkpoint(tmp_path, Position(0, 10))
        assert found is not None
        _same(found, _checkpoint(0, 10))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
