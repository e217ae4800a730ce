import io
import os
import pickle
import struct
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest

from tlkeras.errors import WeightsError
from tlkeras.sources import packaged


class Call:
    """Pickles as a call of `function(*args)`."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class Storage:
    def __init__(self, key, kind, count):
        self.key, self.kind, self.count = key, kind, count


class Tensor:
    def __init__(self, storage, offset, shape, stride):
        self.arguments: tuple = (storage, offset, shape, stride, False, OrderedDict())

    def __reduce__(self):
        return vars(sys.modules["torch._utils"])["_rebuild_tensor_v2"], self.arguments


class StateDictPickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return ("storage", getattr(sys.modules["torch"], obj.kind), obj.key, "cpu", obj.count, None)
        return None


@pytest.fixture
def write_state_dict(tmp_path):
    """Write PyTorch's stream format of before version 1.6, with names of a torch that exists only while writing."""

    def write(tensors, storages):
        torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
        rebuild = types.FunctionType((lambda: None).__code__, {}, "_rebuild_tensor_v2")
        rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
        vars(utils)["_rebuild_tensor_v2"] = rebuild
        for kind in ("FloatStorage", "LongStorage"):
            setattr(torch, kind, type(kind, (), {"__module__": "torch"}))
        stream = io.BytesIO()
        for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(header, stream, protocol=2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "torch", torch)
            patch.setitem(sys.modules, "torch._utils", utils)
            StateDictPickler(stream, protocol=2).dump(tensors)
        pickle.dump(list(storages), stream, protocol=2)
        for values in storages.values():
            stream.write(struct.pack("<q", len(values)) + values.tobytes())
        (tmp_path / "a.pth").write_bytes(stream.getvalue())
        return tmp_path / "a.pth"

    return write


VALUES = np.arange(12, dtype="<f4")


def test_a_state_dict_is_read_with_its_shapes_strides_and_offsets(write_state_dict):
    storage = Storage("1", "FloatStorage", 12)
    tensors = {
        "plain": Tensor(storage, 0, (3, 4), (4, 1)),
        "transposed": Tensor(storage, 0, (4, 3), (1, 4)),
        "tail": Tensor(storage, 9, (3,), (1,)),
        "scalar": Tensor(Storage("2", "LongStorage", 1), 0, (), ()),
    }
    path = write_state_dict(tensors, {"1": VALUES, "2": np.array([5], "<i8")})
    read = packaged.read_state_dict(path)
    np.testing.assert_array_equal(read["plain"], VALUES.reshape(3, 4))
    np.testing.assert_array_equal(read["transposed"], VALUES.reshape(3, 4).T)
    np.testing.assert_array_equal(read["tail"], [9, 10, 11])
    assert read["scalar"] == 5
    assert read["scalar"].dtype == np.int64


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(write_state_dict):
    tensors = {"beyond": Tensor(Storage("1", "FloatStorage", 12), 8, (2, 4), (4, 1))}
    with pytest.raises(WeightsError, match=r"a\.pth cannot be read as a PyTorch state dict"):
        packaged.read_state_dict(write_state_dict(tensors, {"1": VALUES}))


def test_a_file_that_is_cut_short_is_refused(write_state_dict):
    path = write_state_dict({"a": Tensor(Storage("1", "FloatStorage", 12), 0, (12,), (1,))}, {"1": VALUES})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="cannot be read"):
        packaged.read_state_dict(path)


@pytest.mark.parametrize("position", [0, 2, 3])
def test_a_file_that_wants_to_call_something_is_refused_before_it_does(tmp_path, position):
    witness = tmp_path / "executed"
    stream = io.BytesIO()
    parts = [0x1950A86A20F9469CFC6C, 1001, {}, {}, []]
    parts[position] = Call(os.system, f"touch {witness}")
    for part in parts:
        pickle.dump(part, stream, protocol=2)
    path = tmp_path / "evil.pth"
    path.write_bytes(stream.getvalue())
    with pytest.raises(WeightsError, match=r"evil\.pth .* it asks for posix\.system|nt\.system"):
        packaged.read_state_dict(path)
    assert not witness.exists()
    # The file is as dangerous as it looks: Python's own unpickler executes it.
    with path.open("rb") as file:
        for _ in range(position + 1):
            pickle.load(file)
    assert witness.exists()


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps(3))
    with pytest.raises(WeightsError, match=r"not a PyTorch state dict in the format before PyTorch 1\.6"):
        packaged.read_state_dict(path)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be read"):
        packaged.read_state_dict(path)


def test_a_package_file_with_another_content_is_refused(monkeypatch):
    path = packaged.weights_file(packaged.MINILM_L6, "config.json")
    assert path.name == "config.json"
    monkeypatch.setitem(packaged._FILES, packaged.MINILM_L6, {"model/config.json": "0" * 64})
    with pytest.raises(WeightsError, match=r"config\.json is not the file that tlkeras knows.*expected 0000"):
        packaged.weights_file(packaged.MINILM_L6, "config.json")


def test_the_packaged_state_dicts_hold_the_known_arrays():
    lite = packaged.read_state_dict(packaged.weights_file(packaged.EFFICIENTNET_LITE0))
    assert lite["_conv_stem.weight"].shape == (32, 3, 3, 3)
    # 4,694,024 with the batch counters left out: the published 4.65 million and the statistics.
    assert sum(a.size for name, a in lite.items() if not name.endswith("num_batches_tracked")) == 4_694_024
    mobile = packaged.read_state_dict(packaged.weights_file(packaged.MOBILENET_V2))
    assert sum(a.size for name, a in mobile.items() if not name.endswith("num_batches_tracked")) == 3_538_984
