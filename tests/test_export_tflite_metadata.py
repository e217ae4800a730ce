import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import number_types as types
from flatbuffers.table import Table

from tests.export_models import SIZE, image_model, plain
from tlkeras.export.tflite_metadata import add_image_metadata
from tlkeras.features.litert import convert, load_litert


def metadata_buffers(content: bytes) -> list[bytes]:
    model = schema.Model.GetRootAsModel(content, 0)
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    return [model.Buffers(e.Buffer()).DataAsNumpy().tobytes() for e in entries if e.Name() == b"TFLITE_METADATA"]


class Node:
    """Read a table by the numbers of its fields in metadata_schema.fbs."""

    def __init__(self, table: Table):
        self.table = table

    def _offset(self, slot: int) -> int:
        offset = self.table.Offset(4 + 2 * slot)
        assert offset, f"field {slot} is missing"
        return offset + self.table.Pos

    def child(self, slot: int) -> "Node":
        return Node(Table(self.table.Bytes, self.table.Indirect(self._offset(slot))))

    def first(self, slot: int) -> "Node":
        start = self.table.Vector(self._offset(slot) - self.table.Pos)
        assert self.table.VectorLen(self._offset(slot) - self.table.Pos) == 1
        return Node(Table(self.table.Bytes, self.table.Indirect(start)))

    def element(self, slot: int, place: int) -> Table:
        start = self.table.Vector(self._offset(slot) - self.table.Pos) + 4 * place
        return Table(self.table.Bytes, self.table.Indirect(start))

    def text(self, slot: int) -> str:
        return self.table.String(self._offset(slot)).decode()

    def number(self, slot: int) -> int:
        return self.table.Get(types.Uint8Flags, self._offset(slot))

    def floats(self, slot: int) -> list[float]:
        return list(self.table.GetVectorAsNumpy(types.Float32Flags, self._offset(slot) - self.table.Pos))


def test_the_buffer_says_what_phone_libraries_ask_for():
    (data,) = metadata_buffers(add_image_metadata(convert(plain(image_model())), name="beasts", licence="MIT"))
    assert data[4:8] == b"M001"
    model = Node(Table(bytearray(data), flatbuffers.encode.Get(types.UOffsetTFlags.packer_type, data, 0)))
    assert (model.text(0), model.text(5), model.text(7)) == ("beasts", "MIT", "1.0.0")
    image, probabilities = model.first(3).first(2), model.first(3).first(3)
    assert image.child(3).number(0) == 2  # ImageProperties
    assert image.child(3).child(1).number(0) == 1  # RGB
    assert image.first(4).number(0) == 1  # NormalizationOptions
    assert (image.first(4).child(1).floats(0), image.first(4).child(1).floats(1)) == ([0.0], [1.0])
    assert (image.child(5).floats(0), image.child(5).floats(1)) == ([255.0], [0.0])
    assert probabilities.child(3).number(0) == 1  # FeatureProperties
    labels = probabilities.first(6)
    assert (labels.text(0), labels.number(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


def test_the_model_computes_the_same_afterwards():
    content = convert(plain(image_model()))
    before, after = load_litert(content), load_litert(add_image_metadata(content, name="beasts"))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)
    (name,) = before.inputs
    for output in before.outputs:
        np.testing.assert_array_equal(before(**{name: pixels})[output], after(**{name: pixels})[output])
    assert metadata_buffers(content) == []
