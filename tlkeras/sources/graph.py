"""The graph of a functional network: its calls in order, the places where it can be cut, and parts of it called again.

Layer names are no guide in every family (InceptionV3, Xception and NASNet take new ones on every build), so cuts are found in
the graph.
"""

from collections.abc import Collection, Iterable, Mapping
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


def trace(network: "keras.Model") -> Graph:
    """Record the calls of a functional network with one output.

    Its layers are called once more on new symbolic inputs and shared, not copied.

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
    copy = keras.models.clone_model(plain, clone_function=lambda layer: layer, call_function=record)
    return Graph(inputs=tuple(copy.inputs), steps=tuple(steps))


def find_boundaries(graph: Graph, *, carried: Collection[str] = ()) -> tuple[int, ...]:
    """Return the steps after which the network can be cut through one tensor, the last step included.

    That is where every other call is an ancestor or a descendant of the step: nothing else that was computed before is used
    after it. A layer with weights that is called in several places stays in one piece.

    Args:
        graph: The network.
        carried: Names of inputs that may cross any cut (the padding mask of texts).

    Returns:
        Ascending indices into `graph.steps`.
    """
    last_use: dict[int, int] = {}
    last_call: dict[int, int] = {}
    for index, step in enumerate(graph.steps):
        last_use.update((id(tensor), index) for tensor in step.inputs)
        if getattr(step.operation, "weights", None):
            last_call[id(step.operation)] = index
    last_use[id(graph.output)] = len(graph.steps)

    boundaries = []
    live = {id(tensor) for tensor in graph.inputs if tensor.name not in carried}
    crossing_layer = -1
    for index, step in enumerate(graph.steps):
        live |= {id(tensor) for tensor in step.outputs}
        live = {tensor for tensor in live if last_use.get(tensor, -1) > index}
        crossing_layer = max(crossing_layer, last_call.get(id(step.operation), -1))
        if live == {id(step.outputs[0])} and crossing_layer <= index:
            boundaries.append(index)
    return tuple(boundaries)


def replay(steps: Iterable[Step], tensors: Mapping[int, Any]) -> Any:
    """Call the layers of consecutive steps on other tensors and return the last result; the layers are shared.

    Args:
        steps: The calls.
        tensors: What takes the place of each symbolic tensor that comes from outside, by `id`.
    """
    import keras

    known = dict(tensors)
    result: Any = None
    for step in steps:
        args, kwargs = keras.tree.map_structure(lambda x: known.get(id(x), x), (step.args, dict(step.kwargs)))
        result = step.operation(*args, **kwargs)
        known.update(zip(map(id, step.outputs), keras.tree.flatten(result), strict=True))
    return result
