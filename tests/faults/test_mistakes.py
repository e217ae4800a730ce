import pytest

from tests.faults.mistakes import MISTAKES, load
from tlkeras.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path_factory.mktemp("cache")))


def follow(mistake, root):
    """Make the mistake, check its message, follow it, and return the splits that come of it."""
    call = mistake.make(root)
    if mistake.says is None:
        return load(call)
    with pytest.raises((DataError, ValueError)) as caught:
        load(call)
    assert mistake.says in str(caught.value)
    return load(mistake.fix(str(caught.value), root))


def test_there_are_thirty_mistakes():
    assert len(MISTAKES) == 30


@pytest.mark.parametrize("name", MISTAKES)
def test_following_the_printed_fix_works(name, tmp_path):
    splits = follow(MISTAKES[name], tmp_path)
    assert min(len(splits.train), len(splits.val), len(splits.test)) > 0 and len(splits.classes) >= 2


@pytest.mark.parametrize(
    ("name", "reason"), [("failed download", "HTML"), ("mixed separators", "cells instead of 2 (separated by comma)")]
)
def test_what_is_left_out_without_an_error_is_named(name, reason, tmp_path):
    (skipped,) = follow(MISTAKES[name], tmp_path).skipped
    assert reason in skipped.reason
