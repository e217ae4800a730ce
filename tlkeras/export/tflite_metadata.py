"""The TFLITE_METADATA buffer: what MediaPipe and other phone libraries read to name the classes of a picture model.

The tables follow tensorflow/lite/support/metadata/metadata_schema.fbs (Apache-2.0, schema 1.0.0); they are few, so they are
written with the flatbuffers builder, each field by its number in the schema.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tlkeras.export.metadata import LABELS

_FEATURES, _IMAGE = 1, 2  # union ContentProperties
_RGB = 1  # enum ColorSpaceType
_NORMALIZATION = 1  # union ProcessUnitOptions
_AXIS_LABELS = 2  # enum AssociatedFileType


def add_image_metadata(content: bytes, *, name: str, licence: str | None = None, output: str = "probabilities") -> bytes:
    """Return the LiteRT model with a description of its input (RGB, no scaling needed) and its outputs (`labels.txt`).

    Args:
        content: A LiteRT model with one uint8 image input and one output.
        name: The model's name.
        licence: The licence of its weights.
        output: What its output is: `"probabilities"`, or `"value"`.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_model_metadata(name, licence or "unknown", output), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _model_metadata(name: str, licence: str, output: str) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)

    def text(value: str) -> int:
        return builder.CreateString(value)

    def floats(value: float) -> int:
        return builder.CreateNumpyVector(np.array([value], np.float32))

    def table(offsets: Mapping[int, int], enums: Mapping[int, int] | None = None) -> int:
        builder.StartObject(max([*offsets, *(enums or {})], default=-1) + 1)
        for slot, offset in offsets.items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, value in (enums or {}).items():
            builder.PrependUint8Slot(slot, value, 0)
        return builder.EndObject()

    def tables(offsets: Sequence[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def content(kind: int, properties: int) -> int:
        return table({1: properties}, {0: kind})

    scaling = table({1: table({0: floats(0.0), 1: floats(1.0)})}, {0: _NORMALIZATION})  # mean, standard deviation
    image = table(
        {
            0: text("image"),
            3: content(_IMAGE, table({}, {0: _RGB})),
            4: tables([scaling]),
            5: table({0: floats(255.0), 1: floats(0.0)}),  # largest, smallest value
        }
    )
    labels = table({0: text(LABELS), 1: text("The class of each output.")}, {2: _AXIS_LABELS})
    scores = {0: text(output), 3: content(_FEATURES, table({})), 6: tables([labels])}
    if output == "probabilities":
        scores[5] = table({0: floats(1.0), 1: floats(0.0)})
    graph = table({2: tables([image]), 3: tables([table(scores)])})
    root = table({0: text(name), 2: text("1"), 3: tables([graph]), 5: text(licence), 7: text("1.0.0")})
    builder.Finish(root, b"M001")
    return bytes(builder.Output())
