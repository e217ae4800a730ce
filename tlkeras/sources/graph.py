"""The graph of a functional network: its calls in order, the places where it can be cut, and parts of it called again.

Layer names are no guide in every family (InceptionV3, Xception and NASNet take new ones on every build), so cuts are found in
the graph.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Step:
    """One call of a layer (or of a bare operation) in a network.

    Attributes:
        operation: The layer; called again, it shares its weights.
        args: Its positional arguments, symbolic tensors among them.
        kwargs: Its keyword arguments.
        outputs: The symbolic tensors it returned.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple["keras.KerasTensor", ...]

    @property
    def inputs(self) -> "tuple[keras.KerasTensor, ...]":
        """The symbolic tensors among its arguments."""
        import keras

        flat = keras.tree.flatten((self.args, dict(self.kwargs)))
        return tuple(x for x in flat if isinstance(x, keras.KerasTensor))


@dataclass(frozen=True)
class Graph:
    """The calls of a network from its inputs to its one output, each after those it needs."""

    inputs: "tuple[keras.KerasTensor, ...]"
    steps: tuple[Step, ...]

    @property
    def output(self) -> "keras.KerasTensor":
        """What the last call returned: the network's output."""
        return self.steps[-1].outputs[0]


def trace(network: "keras.Model", *, replace: Callable[[Any], Any] = lambda layer: layer) -> Graph:
    """Record the calls of a functional network with one output.

    Its layers are called once more on new symbolic inputs and shared, not copied.

    Args:
        network: The network.
        replace: Given a layer, returns what is called in its place.

    Raises:
        ValueError: The network is not functional, or has several outputs.
    """
    import keras

    if not isinstance(network, (keras.Sequential, keras.Model)) or not hasattr(network, "outputs") or not network.outputs:
        raise ValueError(
            f"The network must be a functional keras.Model (or a built Sequential): its graph is cut into blocks. "
            f"Received: {type(network).__name__}. Wrap it as keras.Model(inputs, outputs)."
        )
    if len(network.outputs) != 1:
        raise ValueError(f"The network must have one output. Received: {len(network.outputs)} outputs.")
    steps: list[Step] = []

    def record(operation: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = operation(*args, **kwargs)
        steps.append(Step(operation, args, kwargs, tuple(keras.tree.flatten(outputs))))
        return outputs

    # A plain Model over the same tensors: clone_model refuses a call_function for Sequential, and KerasHub's backbones
    # have constructors of their own.
    plain = keras.Model(network.inputs, network.outputs[0])
    copy = keras.models.clone_model(plain, clone_function=replace, call_function=record)
    return Graph(inputs=tuple(copy.inputs), steps=tuple(steps))


def find_cuts(graph: Graph, *, carried: Collection[str] = (), width: int = 1) -> "dict[int, tuple[keras.KerasTensor, ...]]":
    """Return the places where the network can be cut, and what crosses each: the end of the network included.

    A cut lies after a step; what crosses it are the tensors that were computed before and are used after it. A layer with
    weights that is called in several places stays in one piece.

    Args:
        graph: The network.
        carried: Names of inputs that may cross any cut and do not count (the padding mask of texts).
        width: At most so many tensors cross: 1 in most networks, 2 between the cells of NASNet.

    Returns:
        For each index into `graph.steps` after which one can cut, ascending, the tensors in the order of their next use.
    """
    uses: dict[int, list[tuple[int, int]]] = {}  # by tensor: the steps, and the place among their arguments
    last_call: dict[int, int] = {}
    for index, step in enumerate(graph.steps):
        for place, tensor in enumerate(step.inputs):
            uses.setdefault(id(tensor), []).append((index, place))
        if getattr(step.operation, "weights", None):
            last_call[id(step.operation)] = index
    uses.setdefault(id(graph.output), []).append((len(graph.steps), 0))

    cuts = {}
    alive = {id(tensor): tensor for tensor in graph.inputs if tensor.name not in carried}
    inseparable = -1
    for index, step in enumerate(graph.steps):
        alive.update((id(tensor), tensor) for tensor in step.outputs)
        alive = {key: tensor for key, tensor in alive.items() if uses.get(key, [(-1, 0)])[-1][0] > index}
        inseparable = max(inseparable, last_call.get(id(step.operation), -1))
        if len(alive) <= width and id(step.outputs[0]) in alive and inseparable <= index:
            next_use = {key: min(use for use in uses[key] if use[0] > index) for key in alive}
            cuts[index] = tuple(alive[key] for key in sorted(alive, key=next_use.__getitem__))
    return cuts


def replay(steps: Iterable[Step], tensors: Mapping[int, Any]) -> dict[int, Any]:
    """Call the layers of consecutive steps on other tensors; the layers are shared.

    Args:
        steps: The calls.
        tensors: What takes the place of each symbolic tensor that comes from outside, by `id`.

    Returns:
        What takes the place of each symbolic tensor, those that came and those that were computed, by `id`.
    """
    import keras

    known = dict(tensors)
    for step in steps:
        args, kwargs = keras.tree.map_structure(lambda x: known.get(id(x), x), (step.args, dict(step.kwargs)))
        result = step.operation(*args, **kwargs)
        known.update(zip(map(id, step.outputs), keras.tree.flatten(result), strict=True))
    return known
