"""Core ML packages for Apple's systems: pictures in as pictures, labels and scores out. They run on Apple's systems only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tlkeras.errors import TlkerasError
from tlkeras.export import metadata
from tlkeras.export.answers import SIMILARITY
from tlkeras.export.material import Material
from tlkeras.export.outputs import answering
from tlkeras.features.litert import quiet
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.table import TASKS

_DEPLOYMENT = "iOS15"
"""The oldest system that takes ML programs."""
CLASS_LABEL = "classLabel"


def write_coreml(material: Material, path: Path) -> dict:
    """Write a `.mlpackage` (weights and arithmetic in 16 bits) and return its contract.

    It takes a picture `image` of the model's size, RGB, and gives `classLabel` and its probabilities, as Core ML's classifiers
    do; with several labels, `probabilities`, and in regression, `value`. Beside them `similarity`, see `answering`.

    Args:
        material: The model.
        path: The package.

    Raises:
        TlkerasError: coremltools is not installed or cannot convert the network; or the package is not what was asked for.
    """
    model = material.model
    if model.modality == "text":
        raise TlkerasError(
            "coremltools 9 cannot convert the mask of a text encoder (Cast to bool). Export tflite or onnx instead."
        )
    package = _convert(model)
    problems = list(structure_problems(package.get_spec(), model))
    if problems:
        raise TlkerasError(f"The Core ML package is not what was asked for: {'; '.join(problems)}")
    terms = metadata.contract(model)
    package.license = model.source.facts.get("licence") or "unknown"
    package.user_defined_metadata["tlkeras"] = metadata.to_json(terms).decode()
    with quiet():
        package.save(str(path))
    return terms


def _convert(model: TransferModel) -> Any:
    import tensorflow as tf

    try:
        with quiet():  # it warns of every package that it was not tested with, and of Apple's libraries
            import coremltools
    except ImportError as error:
        raise TlkerasError(f"Core ML needs coremltools ({error}). Install it: pip install 'tlkeras[coreml]'") from None
    size, name, network = model.source.input_size, TASKS[model.task].output, answering(model, narrow=True)

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 3), tf.float32, name="image")], autograph=False)
    def answer(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return network(image)

    options: dict[str, Any] = {}
    if model.task == "classification":
        options["classifier_config"] = coremltools.ClassifierConfig(list(model.classes))
    picture = coremltools.ImageType(name="image", shape=(1, size, size, 3), color_layout=coremltools.colorlayout.RGB)
    try:
        with quiet():
            package = coremltools.convert(
                [answer.get_concrete_function()],
                source="tensorflow",
                convert_to="mlprogram",
                inputs=[picture],
                minimum_deployment_target=coremltools.target[_DEPLOYMENT],
                skip_model_load=True,
                **options,
            )
    except (NotImplementedError, ValueError, RuntimeError) as error:
        raise TlkerasError(f"coremltools cannot convert this network: {str(error).splitlines()[0][:300]}") from error
    spec = package.get_spec()
    # The converter calls outputs Identity, Identity_1 … in the order of their names here; classifiers name the first one.
    found = sorted(one.name for one in spec.description.output if not one.name.startswith(CLASS_LABEL))
    wanted = [SIMILARITY] if model.task == "classification" else [name, SIMILARITY]
    for old, new in zip(found, wanted, strict=False):
        coremltools.utils.rename_feature(spec, old, new)
    with quiet():
        return coremltools.models.MLModel(spec, weights_dir=package.weights_dir, skip_model_load=True)


def structure_problems(spec: Any, model: TransferModel) -> Iterator[str]:
    """Yield where a package's description is not the model's: the picture it takes, what it gives, the labels' order.

    Args:
        spec: The specification, a protobuf message of coremltools.
        model: The model.
    """
    size = model.source.input_size
    inputs = {one.name: one.type.imageType for one in spec.description.input}
    picture = inputs.get("image")
    if picture is None or (picture.width, picture.height) != (size, size):
        yield f"it takes {sorted(inputs)} and not a picture 'image' of {size} x {size}"
    elif picture.colorSpace != picture.ColorSpace.Value("RGB"):
        yield "its picture is not RGB"
    outputs = [one.name for one in spec.description.output]
    expected = CLASS_LABEL if model.task == "classification" else TASKS[model.task].output
    for name in (expected, *([SIMILARITY] if model.familiar else [])):
        if name not in outputs:
            yield f"it gives {outputs} and not {name!r}"
    if model.task == "classification" and list(_labels(spec)) != list(model.classes):
        yield f"its labels are {list(_labels(spec))[:10]}"


def _labels(spec: Any) -> Iterator[str]:
    """Yield the labels that the operation `classify` holds."""
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            for operation in block.operations:
                if operation.type == "classify":
                    for value in operation.inputs["classes"].arguments[0].value.immediateValue.list.values:
                        yield from value.immediateValue.tensor.strings.values
