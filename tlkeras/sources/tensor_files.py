"""safetensors files of unknown origin: every number in the header is checked before any array is made."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlkeras.errors import WeightsError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_LARGEST_HEADER = 16_000_000
_LARGEST_JSON = 16_000_000
# bfloat16 is the upper half of a float32.
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


@dataclass(frozen=True)
class Tensor:
    """Where an array lies in a file."""

    path: Path
    kind: str
    shape: tuple[int, ...]
    start: int

    def read(self) -> np.ndarray:
        """Return the array; bfloat16 as float32."""
        dtype, count = np.dtype(_DTYPES[self.kind]), math.prod(self.shape)
        values = np.fromfile(self.path, dtype, count, offset=self.start).reshape(self.shape)
        return (values.astype("<u4") << 16).view("<f4") if self.kind == "BF16" else values


def open_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, after checking its whole header; no array is read.

    The format: 8 bytes with the header's length, the header as JSON, the arrays without gaps and overlaps
    (https://github.com/huggingface/safetensors).

    Raises:
        WeightsError: A length, dtype, shape or offset is not what the format allows.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= min(_LARGEST_HEADER, size - 8):
            raise WeightsError(f"{path} is no safetensors file, or was tampered with: its header claims {length} bytes.")
        header = parse_json(stream.read(length), f"the header of {path}")
    header.pop("__metadata__", None)
    found, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: _offsets(item[1], path)[0]):
        start, stop = _offsets(entry, path)
        kind, shape = entry.get("dtype"), entry.get("shape")
        if kind not in _DTYPES or not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise WeightsError(
                f"{path} was tampered with, or is of an unknown kind: {name!r} has dtype {kind!r}, shape {shape!r}."
            )
        if start != end or stop - start != math.prod(shape) * np.dtype(_DTYPES[kind]).itemsize:
            raise WeightsError(f"{path} was tampered with: {name!r} claims the bytes {start} to {stop} for {kind}{shape}.")
        found[name], end = Tensor(path, kind, tuple(shape), 8 + length + start), stop
    if end != size - 8 - length:
        raise WeightsError(f"{path} was tampered with, or cut short: {size - 8 - length} bytes of arrays, {end} in the header.")
    return found


def _offsets(entry: object, path: Path) -> tuple[int, int]:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or [type(n) for n in offsets] != [int, int]:
        raise WeightsError(f"{path} was tampered with: an entry of its header is {str(entry)[:80]!r}.")
    return offsets[0], offsets[1]


def open_folder(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of `model.safetensors` in a folder, or of the files that its index names.

    Raises:
        WeightsError: They are missing, outside the folder, or not what the format allows.
    """
    if not (folder / INDEX).exists():
        if not (folder / SINGLE).exists():
            raise WeightsError(
                f"{folder} has no {SINGLE}. Received: {', '.join(sorted(p.name for p in folder.iterdir())[:8])}. Weights in "
                "pickles (.bin, .pt, .pth, .ckpt) can run code and are not read: save the model with safe_serialization=True."
            )
        return open_tensors(plain_file(folder, SINGLE))
    names = read_json(folder / INDEX).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise WeightsError(f"{folder / INDEX} has no weight_map from arrays to files.")
    found: dict[str, Tensor] = {}
    for name in sorted(set(names.values())):
        found |= open_tensors(plain_file(folder, name))
    return found


def plain_file(folder: Path, name: str) -> Path:
    """Return the path of a file that must lie in the folder itself.

    Raises:
        WeightsError: The name leads elsewhere, or there is no such file.
    """
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise WeightsError(f"{folder} must hold the file {name!r}, which must be a plain file in it.")
    return path


def read_json(path: Path) -> dict:
    """Return the object in a JSON file of at most 16 MB.

    Raises:
        WeightsError: It is larger, or no JSON object.
    """
    if path.stat().st_size > _LARGEST_JSON:
        raise WeightsError(f"{path} is larger than {_LARGEST_JSON // 1_000_000} MB, too large for a configuration.")
    return parse_json(path.read_bytes(), str(path))


def parse_json(content: bytes, what: str) -> dict:
    """Return the JSON object in `content`; `what` names it in messages."""

    def once(pairs: list[tuple[str, object]]) -> Mapping[str, object]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key occurs twice")
        return dict(pairs)

    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{what} is not valid JSON: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise WeightsError(f"{what} must be a JSON object. Received: {type(value).__name__}")
    return value
