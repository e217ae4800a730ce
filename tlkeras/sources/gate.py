"""What is checked in a model file of unknown origin before Keras sees it.

A `.keras` file is an archive of JSON and HDF5. Its JSON names classes to be built: only layers known to compute and nothing
else are let in. Its HDF5 may point to other files, or claim arrays that fill the memory: neither is.
"""

import math
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tlkeras.errors import WeightsError
from tlkeras.sources.tensor_files import parse_json

_MEMBERS = {"metadata.json": 1_000_000, "config.json": 64_000_000, "model.weights.h5": 40 * 10**9}
_RATIO = 200
_DEPTH = 64
# Layers that hold code, or read files and other models.
_REFUSED = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup"}
_REFUSED |= {"TextVectorization", "HashedCrossing", "Hashing", "FeatureSpace"}
_PUBLIC = ("layers", "initializers", "regularizers", "constraints", "models", "dtype_policies", "quantizers")
_MODELS = {"Functional", "Sequential", "Model"}
_NOTATION = {"__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__", "__tuple__"}
# Layers inside Keras's networks that its public names do not list.
_INNER = {"LayerScale", "CustomScaleLayer"}
_ELSEWHERE = re.compile(r"^\s*(?:[a-zA-Z][\w+.-]*://|/|~|\\\\|[a-zA-Z]:[\\/])|(?:^|[/\\])\.\.(?:[/\\]|$)")


def check_keras_file(path: Path) -> dict[str, Any]:
    """Check a `.keras` file and return its configuration.

    Raises:
        WeightsError: It holds other members than Keras writes, a class that is not let in, a path, or a hostile HDF5 file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            config = parse_json(archive.read("config.json"), f"config.json in {path}")
            with archive.open("model.weights.h5") as stream:
                check_hdf5(stream, archive.getinfo("model.weights.h5").file_size, f"model.weights.h5 in {path}")
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, OSError) as error:
        raise WeightsError(f"{path} is no .keras file, or is damaged: {error}") from None
    # What it was trained with is never loaded.
    config.pop("compile_config", None)
    check_config(config, path)
    return config


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    seen = set()
    for member in archive.infolist():
        name, limit = member.filename, _MEMBERS.get(member.filename)
        if limit is None or name in seen:
            raise WeightsError(
                f"{path} holds {name[:80]!r}{' twice' if name in seen else ''}. A .keras file may hold {', '.join(_MEMBERS)} "
                "and nothing else: save the model anew with Keras, without layers that keep files (assets)."
            )
        if member.flag_bits & 1:
            raise WeightsError(f"{path} is encrypted.")
        if member.file_size > min(limit, 1_000_000 + _RATIO * member.compress_size):
            raise WeightsError(f"{path}: {name} unpacks to {member.file_size:,} bytes from {member.compress_size:,}: refused.")
        seen.add(name)
    if missing := set(_MEMBERS) - seen:
        raise WeightsError(f"{path} is no .keras file: it lacks {', '.join(sorted(missing))}.")


def check_config(config: Any, path: Path) -> None:
    """Refuse classes that are not let in, and strings that point elsewhere.

    Raises:
        WeightsError: The message names the class or the string.
    """
    allowed = _allowed()
    for item in _walk(config):
        if isinstance(item, str):
            if _ELSEWHERE.search(item):
                raise WeightsError(f"{path}: the configuration points to a file or address, {item[:80]!r}: refused.")
        elif "class_name" in item:
            _check_class(item, allowed, path)


def _walk(value: Any, depth: int = 0) -> Iterator[Any]:
    """Yield all dicts and strings."""
    if depth > 4 * _DEPTH:
        raise WeightsError("The configuration is nested too deeply: refused.")
    if isinstance(value, dict):
        yield value
        for key, item in value.items():
            yield str(key)
            yield from _walk(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, depth + 1)
    elif isinstance(value, str):
        yield value


def _allowed() -> dict[str, set[str]]:
    """The names that are let in, by the package that they must come from."""
    import keras
    import keras_hub  # noqa: F401 - see _is_hub_layer

    public = {name for part in _PUBLIC for name in dir(getattr(keras, part, None)) if not name.startswith("_")}
    return {
        "keras": (public - _REFUSED) | _MODELS | _INNER,
        "functions": {name for name in dir(keras.activations) if not name.startswith("_")} | {"keras_hub>gelu_approximate"},
        "operations": {name for name in dir(keras.ops) if not name.startswith("_")},
    }


def _check_class(item: dict[str, Any], allowed: dict[str, set[str]], path: Path) -> None:
    name, module, registered = item["class_name"], item.get("module"), item.get("registered_name")
    package = str(module).split(".")[0]
    if name in _NOTATION and module is None:
        return
    if name == "function":
        good = module in ("builtins", None) and item.get("config") in allowed["functions"]
    elif str(module).split(".")[:3] == ["keras", "src", "ops"]:
        good = _snake(str(name)) in allowed["operations"] or str(name) in ("GetItem",)
    else:
        good = (
            _is_hub_layer(str(module), str(name)) if package == "keras_hub" else package == "keras" and name in allowed["keras"]
        )
        good = good and registered in (None, name, f"keras_hub>{name}")
    if not good:
        raise WeightsError(
            f"{path} wants to build {name!r} of {module!r}{f', registered as {registered!r}' if registered else ''}. Only "
            "layers of Keras and KerasHub that compute and nothing else are let in (no Lambda, no code of one's own): build it "
            "from such layers, or load it yourself where you trust it, and pass it to tlkeras.source_from_keras."
        )


def _is_hub_layer(module: str, name: str) -> bool:
    """Say whether KerasHub has such a layer; nothing is imported, and layers that read files do not count."""
    import keras
    import keras_hub

    found = getattr(sys.modules.get(module), name, None)
    reading = (keras.Model, keras_hub.tokenizers.Tokenizer, keras_hub.models.Preprocessor)
    return isinstance(found, type) and issubclass(found, keras.layers.Layer) and not issubclass(found, reading)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def check_hdf5(file: Path | IO[bytes], size: int, what: str) -> None:
    """Refuse an HDF5 file with links, with arrays stored elsewhere, or with arrays larger than the file can hold.

    Args:
        file: The file.
        size: Its size in bytes.
        what: Its name in messages.

    Raises:
        WeightsError: It is hostile or damaged.
    """
    import h5py

    try:
        with h5py.File(file, "r") as opened:
            total = sum(_array_bytes(opened, what, set(), 0))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{what} is no HDF5 file, or is damaged: {str(error)[:200]}") from None
    if total > 1_000_000 + 20 * size:
        raise WeightsError(f"{what} claims arrays of {total:,} bytes and has {size:,}: refused.")


def _array_bytes(group: Any, what: str, seen: set[int], depth: int) -> Iterator[int]:
    import h5py

    if depth > _DEPTH:
        raise WeightsError(f"{what} is nested too deeply: refused.")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise WeightsError(f"{what}: {name[:80]!r} is a link to another place or file: refused.")
        item = group[name]
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            raise WeightsError(f"{what}: {name[:80]!r} occurs in two places: refused.")
        seen.add(place)
        if isinstance(item, h5py.Group):
            yield from _array_bytes(item, what, seen, depth + 1)
        elif item.is_virtual or item.external:
            raise WeightsError(f"{what}: {name[:80]!r} is stored in another file: refused.")
        elif item.dtype.kind not in "fiubVS":
            raise WeightsError(f"{what}: {name[:80]!r} holds {item.dtype}, not numbers: refused.")
        else:
            yield math.prod(item.shape or (1,)) * item.dtype.itemsize
