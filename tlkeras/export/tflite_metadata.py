"""The TFLITE_METADATA buffer: what MediaPipe and other phone libraries read to prepare inputs and to name classes.

The tables follow tensorflow/lite/support/metadata/metadata_schema.fbs (Apache-2.0, schema 1.0.0); they are few, so they are
written with the flatbuffers builder, each field by its number in the schema.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tlkeras.export.answers import SIMILARITY
from tlkeras.export.metadata import LABELS, VOCABULARY

BERT_INPUTS = ("ids", "mask", "segment_ids")
"""What MediaPipe calls the inputs of a BERT classifier."""
_FEATURES, _IMAGE = 1, 2  # union ContentProperties
_RGB = 1  # enum ColorSpaceType
_NORMALIZATION, _BERT_TOKENIZER = 1, 4  # union ProcessUnitOptions
_AXIS_LABELS, _VOCABULARY = 2, 5  # enum AssociatedFileType
_MEANING = 'Cosine similarity to the nearest training example; below the threshold in metadata.json it is "none of these".'


def add_image_metadata(content: bytes, *, name: str, licence: str | None = None, output: str = "probabilities") -> bytes:
    """Return the LiteRT model with a description of its input (RGB, no scaling needed) and its outputs (`labels.txt`).

    Args:
        content: A LiteRT model with one uint8 image input; its first output is the task's, another one the similarity.
        name: The model's name.
        licence: The licence of its weights.
        output: What its first output is: `"probabilities"`, or `"value"`.
    """

    def subgraph(write: "_Writer", inputs: Sequence[str], outputs: int) -> int:
        fields = {0: write.text("image"), 3: write.content(_IMAGE, {0: _RGB}), 4: write.tables([write.scaling()])}
        image = write.table({**fields, 5: write.range(255.0)})
        return write.table({2: write.tables([image]), 3: write.outputs(output, outputs)})

    return _with_metadata(content, name, licence, subgraph)


def add_text_metadata(content: bytes, *, name: str, licence: str | None = None) -> bytes:
    """Return the LiteRT model with a description of its BERT inputs, its tokenizer (`vocab.txt`) and its outputs.

    Args:
        content: A LiteRT model with the inputs `BERT_INPUTS`, int32; its first output is the class probabilities, another one
            the similarity.
        name: The model's name.
        licence: The licence of its weights.
    """

    def subgraph(write: "_Writer", inputs: Sequence[str], outputs: int) -> int:
        tensors = [write.table({0: write.text(one), 3: write.content(_FEATURES, {})}) for one in inputs]
        vocabulary = write.file(VOCABULARY, "The word pieces, one a line.", _VOCABULARY)
        tokenizer = write.table({1: write.table({0: write.tables([vocabulary])})}, {0: _BERT_TOKENIZER})
        scores = write.outputs("probabilities", outputs)
        return write.table({2: write.tables(tensors), 3: scores, 5: write.tables([tokenizer])})

    return _with_metadata(content, name, licence, subgraph)


def _with_metadata(
    content: bytes, name: str, licence: str | None, subgraph: "Callable[[_Writer, Sequence[str], int], int]"
) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    write = _Writer()
    graph = subgraph(write, _input_names(model), len(model.subgraphs[0].outputs))
    fields = {0: write.text(name), 2: write.text("1"), 3: write.tables([graph])}
    root = write.table({**fields, 5: write.text(licence or "unknown"), 7: write.text("1.0.0")})
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(write.finish(root), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _input_names(model: Any) -> list[str]:
    """Return the names of the inputs in the order of the graph, which is the order that readers go by."""
    names = {int(one.tensorIndex): one.name.decode() for one in model.signatureDefs[0].inputs} if model.signatureDefs else {}
    return [names.get(int(place), "") for place in model.subgraphs[0].inputs]


class _Writer:
    """Writes the tables of one metadata buffer; every method returns an offset."""

    def __init__(self) -> None:
        import flatbuffers

        self.builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return self.builder.CreateString(value)

    def table(self, offsets: Mapping[int, int], enums: Mapping[int, int] | None = None) -> int:
        """Write a table of fields by their number: offsets of what was written before, and small numbers."""
        self.builder.StartObject(max([*offsets, *(enums or {})], default=-1) + 1)
        for slot, offset in offsets.items():
            self.builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, value in (enums or {}).items():
            self.builder.PrependUint8Slot(slot, value, 0)
        return self.builder.EndObject()

    def tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def file(self, name: str, description: str, kind: int) -> int:
        return self.table({0: self.text(name), 1: self.text(description)}, {2: kind})

    def content(self, kind: int, properties: Mapping[int, int]) -> int:
        return self.table({1: self.table({}, properties)}, {0: kind})

    def scaling(self) -> int:
        """Pixels enter as they are: mean 0, deviation 1."""
        return self.table({1: self.table({0: self._floats(0.0), 1: self._floats(1.0)})}, {0: _NORMALIZATION})

    def outputs(self, first: str, count: int) -> int:
        """Describe the task's output and, where there is a second one, the similarity: to MediaPipe a head without labels."""
        tables = [self.scores(first)]
        if count > 1:
            fields = {0: self.text(SIMILARITY), 1: self.text(_MEANING), 3: self.content(_FEATURES, {})}
            tables.append(self.table({**fields, 5: self.range(1.0)}))
        return self.tables(tables)

    def scores(self, output: str) -> int:
        labels = self.file(LABELS, "The class of each output.", _AXIS_LABELS)
        fields = {0: self.text(output), 3: self.content(_FEATURES, {}), 6: self.tables([labels])}
        return self.table({**fields, 5: self.range(1.0)} if output == "probabilities" else fields)

    def range(self, largest: float) -> int:
        return self.table({0: self._floats(largest), 1: self._floats(0.0)})

    def finish(self, root: int) -> bytes:
        self.builder.Finish(root, b"M001")
        return bytes(self.builder.Output())

    def _floats(self, value: float) -> int:
        return self.builder.CreateNumpyVector(np.array([value], np.float32))
