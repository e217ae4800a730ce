"""How much worse does the model get as its inputs get worse: the measure by corruption and strength."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tlkeras.data.examples import Examples, ImageArrays, Texts
from tlkeras.evaluation.corruptions import PICTURES, SEVERITIES, TEXTS
from tlkeras.evaluation.evaluate import MEASURES, target_array
from tlkeras.evaluation.evidence import Robustness
from tlkeras.evaluation.measure import Measure
from tlkeras.evaluation.nulls import predictions
from tlkeras.features.engine import compiled, run_step
from tlkeras.features.inputs import read_inputs
from tlkeras.tasks.model import TransferModel

MOST = 500
"""Test examples that are spoilt; a seeded sample of more."""


def measure_robustness(
    model: TransferModel,
    examples: Examples,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Robustness, ...]:
    """Return the headline on test examples as they are (severity 0) and spoilt (1 to 5), a curve for each corruption.

    Args:
        model: A trained model.
        examples: Test examples; a seeded sample of 500 of more.
        seed: Seed of the sample and of the corruptions.
        on_progress: Called with the curves' points done, and their number.
    """
    if len(examples) > MOST:
        examples = examples.take(np.sort(np.random.default_rng(seed).choice(len(examples), MOST, replace=False)))
    if model.modality == "image":
        store = ImageArrays(np.asarray(read_inputs(examples, model.source).values))
        examples = replace(examples, store=store)
    kinds = PICTURES if model.modality == "image" else TEXTS
    # Compiled once: to trace a network takes longer than to run it on a few hundred examples.
    step = compiled(model.network, [read_inputs(examples, model.source)])

    def headline(part: Examples) -> Measure:
        module = MEASURES[model.task]
        outputs = run_step(step, [read_inputs(part, model.source)])[0].values
        return module.headline(module.score(target_array(part), predictions(model.task, outputs)), seed=seed)

    as_they_are = headline(examples)
    found = []
    for kind in kinds:
        found.append(Robustness(kind, 0, as_they_are))
        for severity in SEVERITIES:
            found.append(Robustness(kind, severity, headline(spoil(examples, kind, severity, seed=seed))))
            if on_progress:
                on_progress(len(found), len(kinds) * (len(SEVERITIES) + 1))
    return tuple(found)


def spoil(examples: Examples, kind: str, severity: int, *, seed: int = 0) -> Examples:
    """Return examples whose inputs are spoilt.

    Args:
        examples: Pictures in memory, or texts.
        kind: A name in `corruptions.PICTURES` or `corruptions.TEXTS`.
        severity: 1 to 5.
        seed: Each example has a seed of its own, made of this and its place.
    """
    store = examples.store
    if isinstance(store, Texts):
        texts = tuple(TEXTS[kind](text, severity, 1_000_003 * seed + row) for row, text in enumerate(store.texts))
        return replace(examples, store=replace(store, texts=texts))
    if not isinstance(store, ImageArrays):
        raise TypeError(f"Pictures are spoilt in memory. Received: {type(store).__name__}")
    return replace(examples, store=replace(store, pixels=PICTURES[kind](store.pixels, severity, seed)))
