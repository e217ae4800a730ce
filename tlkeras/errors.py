"""What can go wrong, as types: the command line turns each into one message and an exit code."""

import difflib
from collections.abc import Iterable


class TlkerasError(Exception):
    """A failure that is explained in its message; the command line prints it without a traceback."""

    exit_code = 2


class DataError(TlkerasError):
    """The user's data cannot be used as it is; the message names the file and row and the way out."""

    exit_code = 1


class ParityError(TlkerasError):
    """An exported artefact does not behave as the Keras model that was evaluated."""

    exit_code = 1


class TrainingError(TlkerasError):
    """Training went wrong in a way that more training would not mend (a loss that is not finite)."""

    exit_code = 1


class WeightsError(TlkerasError):
    """Pre-trained weights are missing, cannot be downloaded, or are not what their checksum says."""

    exit_code = 3


def unknown(kind: str, received: str, allowed: Iterable[str], see: str) -> ValueError:
    """Return the error for a name that is not in a table, with the nearest names.

    Args:
        kind: What the name stands for, as in `"source model"`.
        received: The name that came.
        allowed: The names that exist.
        see: Where to see them all, as in `"tlkeras sources"`.
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(received, names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    return ValueError(f"Unknown {kind}. Received: {received!r}.{hint} See all: {see}")
