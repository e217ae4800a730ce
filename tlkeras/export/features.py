"""Feature vectors out of an exported `.tflite`: what its head reads, as one more output of the same graph."""

from pathlib import Path

import numpy as np

from tlkeras.export.artifact import ArtifactError

FEATURES = "features"
"""The name of the added output."""


def with_features(path: str | Path) -> bytes:
    """Return a LiteRT model that also gives the feature vectors which its head reads, float32, shape `(batch, channels)`.

    The head is the fully connected operation that the first output comes from; what it reads becomes an output named
    `features`. The other outputs stay what they are, bit for bit.

    Args:
        path: A `.tflite` file that `export_model` wrote.

    Raises:
        ArtifactError: There is no such operation, or it does not read float32.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    content = Path(path).read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    makers = {int(place): one for one in graph.operators for place in one.outputs}
    maker = makers.get(int(graph.outputs[0]))
    while maker is not None and model.operatorCodes[maker.opcodeIndex].builtinCode != schema.BuiltinOperator.FULLY_CONNECTED:
        maker = next((makers[int(place)] for place in maker.inputs if int(place) in makers), None)
    place = int(maker.inputs[0]) if maker else -1
    if place < 0 or graph.tensors[place].type != schema.TensorType.FLOAT32:
        raise ArtifactError(f"{path} has no head that reads float32 features. Give the float32 .tflite.")
    graph.outputs = np.append(graph.outputs, place).astype(np.int32)
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = FEATURES.encode(), place
    model.signatureDefs[0].outputs.append(entry)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
