"""Where to cut a network into blocks, and the blocks that come of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlkeras.sources.graph import Graph, Step, find_boundaries, replay, trace
from tlkeras.sources.model import Block

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Segment:
    """The steps from `start` up to, not including, `stop`, under a name."""

    name: str
    start: int
    stop: int


def cut_into_blocks(
    network: "keras.Model", *, names: str | None = None, prepare: "Callable[[Any], Any] | None" = None, input_name: str
) -> tuple[Block, ...]:
    """Cut a network with one input and one output into blocks that share its layers.

    Args:
        network: A functional network.
        names: Regular expression whose first group names the block that a layer belongs to, matched at the start of the
            layer's name; a layer that it does not match belongs to the block of the layer before it, at the beginning to
            `stem`. Without it, blocks are found in the graph: see `segments_by_structure`.
        prepare: Layers to put between the input and the first block's first layer (the scaling of pixels).
        input_name: The name of the input.

    Returns:
        The blocks in order; each weight belongs to exactly one of them.
    """
    import keras

    graph = trace(network)
    segments = segments_by_name(graph, names) if names else segments_by_structure(graph)
    blocks = []
    before = graph.inputs[0]
    for segment in segments:
        steps = graph.steps[segment.start : segment.stop]
        first = segment.start == 0
        x = keras.Input(batch_shape=before.shape, dtype=before.dtype, name=input_name if first else f"{segment.name}_input")
        y = replay(steps, {id(before): prepare(x) if first and prepare else x})
        blocks.append(Block(segment.name, keras.Model(x, y, name=segment.name)))
        before = steps[-1].outputs[0]
    return tuple(blocks)


def segments_by_name(graph: Graph, names: str, *, first: str = "stem", carried: tuple[str, ...] = ()) -> tuple[Segment, ...]:
    """Cut where the layers' names say that one block ends and the next begins.

    Args:
        graph: The network.
        names: See `cut_into_blocks`.
        first: The name of what comes before the first match.
        carried: See `find_boundaries`.
    """
    labels, label = [], first
    for step in graph.steps:
        found = re.match(names, step.operation.name)
        label = found[1] if found else label
        labels.append(label)
    ends = [i for i in find_boundaries(graph, carried=carried) if i + 1 == len(labels) or labels[i + 1] != labels[i]]
    starts = [0, *(end + 1 for end in ends)]
    return tuple(Segment(labels[end], start, end + 1) for start, end in zip(starts, ends, strict=False))


def segments_by_structure(graph: Graph) -> tuple[Segment, ...]:
    """Cut around what the graph itself shows to be one unit.

    That is a residual or branching unit (paths that part at one boundary and meet at the next, unless they meet in a product,
    which is a gate within a unit), with the activation that follows it; and, in between, a stage that ends in pooling. A plain
    chain without either is cut after each activation. Pieces without a kernel join a neighbour.
    """
    boundaries = find_boundaries(graph)
    ends = _unit_ends(graph, boundaries) or [i for i in boundaries if _is_activation(graph.steps[i])]
    ends = _join_small(graph, sorted({*ends, boundaries[-1]}))
    starts = [0, *(end + 1 for end in ends)]
    return tuple(
        Segment(f"block_{number}" if number else "stem", start, end + 1)
        for number, (start, end) in enumerate(zip(starts, ends, strict=False))
    )


def _unit_ends(graph: Graph, boundaries: tuple[int, ...]) -> list[int]:
    ends = []
    for before, end in zip((-1, *boundaries), boundaries, strict=False):
        kind = type(graph.steps[end].operation).__name__
        if end - before > 1 and kind != "Multiply":
            ends += [before, end]
        elif "Pool" in kind:
            ends.append(end)
    return [end for end in ends if end >= 0]


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
