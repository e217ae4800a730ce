"""Where to cut a network into blocks, and the blocks that come of it."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlkeras.sources.graph import Graph, Step, find_cuts, replay, trace
from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras

# NASNet's cells take the outputs of the two cells before them. More is not worth it: every tensor that crosses a cut is cached.
_WIDTH = 2
_MERGES = ("Add", "Concatenate")


@dataclass(frozen=True)
class Segment:
    """The steps from `start` up to, not including, `stop`, under a name; `tensors` is what it hands on."""

    name: str
    start: int
    stop: int
    tensors: "tuple[keras.KerasTensor, ...]"


def cut_into_blocks(
    network: "keras.Model",
    *,
    names: str | None = None,
    prepare: "Callable[[Any], Any] | None" = None,
    input_name: str,
    size: int | None = None,
) -> tuple[Block, ...]:
    """Cut a network with one input and one output into blocks that share its layers.

    Args:
        network: A functional network.
        names: Regular expression whose first group names the block that a layer belongs to, matched at the start of the
            layer's name; a layer that it does not match belongs to the block of the layer before it, at the beginning to
            `stem`. Without it, blocks are found in the graph: see `segments_by_structure`.
        prepare: Layers to put between the input and the first block's first layer (the scaling of pixels).
        input_name: The name of the input.
        size: Height and width of the input, in place of the network's own.

    Returns:
        The blocks in order; each weight belongs to exactly one of them.
    """
    import keras

    graph = trace(network)
    segments = segments_by_name(graph, names) if names else segments_by_structure(graph)
    (first,) = graph.inputs
    shape = first.shape if size is None else (first.shape[0], size, size, *first.shape[3:])
    inputs = [keras.Input(batch_shape=shape, dtype=first.dtype, name=input_name)]
    blocks: list[Block] = []
    before: tuple[keras.KerasTensor, ...] = (first,)
    for segment in segments:
        replaced = [prepare(inputs[0])] if prepare and not blocks else inputs
        steps = graph.steps[segment.start : segment.stop]
        known = replay(steps, dict(zip(map(id, before), replaced, strict=True)))
        outputs = [known[id(tensor)] for tensor in segment.tensors]
        blocks.append(Block(segment.name, keras.Model(_unpacked(inputs), _unpacked(outputs), name=segment.name)))
        before = segment.tensors
        inputs = [
            keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=f"input_{number}")
            for number, tensor in enumerate(outputs)
        ]
    return tuple(blocks)


def _unpacked(tensors: list[Any]) -> Any:
    return tensors if len(tensors) > 1 else tensors[0]


def segments_by_name(
    graph: Graph, names: str, *, first: str = "stem", carried: tuple[str, ...] = (), width: int = _WIDTH
) -> tuple[Segment, ...]:
    """Cut where the layers' names say that one block ends and the next begins.

    Args:
        graph: The network.
        names: See `cut_into_blocks`.
        first: The name of what comes before the first match.
        carried: See `find_cuts`.
        width: See `find_cuts`.
    """
    labels, label = [], first
    for step in graph.steps:
        found = re.match(names, step.operation.name)
        label = found[1] if found else label
        labels.append(label)
    cuts = find_cuts(graph, carried=carried, width=width)
    ends = [index for index in cuts if index + 1 == len(labels) or labels[index + 1] != labels[index]]
    return _segments(ends, cuts, lambda _, end: labels[end])


def segments_by_structure(graph: Graph, *, carried: tuple[str, ...] = ()) -> tuple[Segment, ...]:
    """Cut around what the graph itself shows to be one unit.

    That is a residual or branching unit (paths that part at one boundary and meet at the next, unless they meet in a product,
    which is a gate within a unit), with the activation that follows it; and, in between, a stage that ends in pooling. A plain
    chain without either is cut after each activation. A unit that holds most of the network, because a second tensor runs
    alongside (NASNet), is cut at its sums and concatenations. Pieces without a kernel join a neighbour.
    """
    cuts = find_cuts(graph, carried=carried, width=_WIDTH)
    single = tuple(index for index, tensors in cuts.items() if len(tensors) == 1)
    ends = _unit_ends(graph, single) or [i for i in single if _is_activation(graph.steps[i])]
    ends += _ends_alongside(graph, single, cuts)
    ends = _join_small(graph, sorted({*ends, single[-1]}))
    return _segments(ends, cuts, lambda number, _: f"block_{number}" if number else "stem")


def _segments(
    ends: Iterable[int], cuts: "Mapping[int, tuple[keras.KerasTensor, ...]]", name: Callable[[int, int], str]
) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    for number, end in enumerate(ends):
        segments.append(Segment(name(number, end), segments[-1].stop if segments else 0, end + 1, cuts[end]))
    return tuple(segments)


def _unit_ends(graph: Graph, boundaries: tuple[int, ...]) -> list[int]:
    ends = []
    for before, end in zip((-1, *boundaries), boundaries, strict=False):
        kind = type(graph.steps[end].operation).__name__
        if end - before > 1 and kind != "Multiply":
            ends += [before, end]
        elif "Pool" in kind:
            ends.append(end)
    return [end for end in ends if end >= 0]


def _ends_alongside(graph: Graph, boundaries: tuple[int, ...], cuts: Mapping[int, Any]) -> list[int]:
    """Return the merges within units that hold more than half of the weights."""
    sizes = [sum(math.prod(w.shape) for w in getattr(step.operation, "weights", ())) for step in graph.steps]
    ends = []
    for before, end in zip((-1, *boundaries), boundaries, strict=False):
        if 2 * sum(sizes[before + 1 : end + 1]) > sum(sizes):
            kinds = {at: type(graph.steps[at].operation).__name__ for at in cuts if before < at < end}
            ends += [at for at, kind in kinds.items() if kind in _MERGES]
    return ends


def _is_activation(step: Step) -> bool:
    import keras

    activation = getattr(step.operation, "activation", None)
    return "relu" in type(step.operation).__name__.lower() or activation not in (None, keras.activations.linear)


def _join_small(graph: Graph, ends: list[int]) -> list[int]:
    """Let pieces without weights join what comes before, pieces with vectors only (normalisation) what comes after."""
    kept: list[int] = []
    start = 0
    for end in ends:
        ranks = [len(w.shape) for step in graph.steps[start : end + 1] for w in getattr(step.operation, "weights", ())]
        if not ranks and kept:
            kept[-1] = end
        elif any(rank > 1 for rank in ranks):
            kept.append(end)
        else:
            continue
        start = end + 1
    if not kept or kept[-1] != ends[-1]:
        kept[-1:] = [ends[-1]]
    return kept
