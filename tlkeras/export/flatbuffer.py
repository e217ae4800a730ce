"""LiteRT files as objects: unpacked, changed and packed again."""

from typing import Any

INTERFACE = ("QUANTIZE", "DEQUANTIZE", "CAST")
"""Operations that only change the kind of numbers."""
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""Operations with kernels."""


def unpack(content: bytes) -> Any:
    """Return a LiteRT model as the `ModelT` of LiteRT's schema; what is appended to the file is left out."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def pack(model: Any) -> bytes:
    """Return a `ModelT` as the content of a file."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operations(model: Any) -> list[tuple[str, Any]]:
    """Return the operations of a model in order, each with its name, without those of `INTERFACE`."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    # Numbers below 127 also stand in an older field.
    kinds = [names[max(int(code.builtinCode), int(code.deprecatedBuiltinCode))] for code in model.operatorCodes]
    found = [(kinds[one.opcodeIndex], one) for one in model.subgraphs[0].operators]
    return [(name, one) for name, one in found if name not in INTERFACE]
