"""Test examples to look at: the surest mistakes, the least sure hits, the pairs of classes that are confused most."""

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlkeras.data.decode import read_pixels
from tlkeras.data.examples import Examples, Splits, Texts
from tlkeras.data.vanished import read_still_there
from tlkeras.evaluation.evidence import GalleryItem, Neighbour
from tlkeras.evaluation.explain import grad_cam, token_attributions
from tlkeras.evaluation.faithful import enlarge
from tlkeras.evaluation.metrics import Evaluation
from tlkeras.evaluation.neighbours import nearest_rows, sample, unit_rows
from tlkeras.evaluation.responses import respond
from tlkeras.evaluation.saved import save_gallery
from tlkeras.features.inputs import read_inputs
from tlkeras.files import write_file
from tlkeras.tasks.model import TransferModel

FOLDER = "gallery"
EACH = 4
"""Examples of each kind, and pairs of classes."""
NEAREST = 3
STEPS = 100
"""Points of the path of integrated gradients, at most; a text that differs little from padding would need many."""
SHOWN = 224
"""Side of the pictures that are written, in pixels, at least."""
log = logging.getLogger("tlkeras")


def write_gallery(
    model: TransferModel, splits: Splits, evaluation: Evaluation, folder: str | Path, *, each: int = EACH
) -> tuple[GalleryItem, ...]:
    """Write `gallery.json` and the pictures in `gallery/` into a run folder: what to look at, why, and what it resembles.

    Pictures carry Grad-CAM of the predicted class, texts the integrated gradients of each token; with each come the nearest
    training examples in the space of features that the head reads (of at most 2,000). Pictures that are gone since they were
    evaluated, or go meanwhile, are left out and said.

    Args:
        model: The model that was evaluated.
        splits: Its data.
        evaluation: What `evaluate` returned.
        folder: The run folder.
        each: Examples of each kind, and confused pairs, at most.

    Returns:
        The items; none for tasks in which an example has not one class.
    """
    if evaluation.task != "classification":
        return ()
    started, folder = time.monotonic(), Path(folder)
    _, items = read_still_there(
        _as_evaluated(splits, evaluation), lambda there: _make_items(model, there, evaluation, folder, each)
    )
    save_gallery(items, folder)
    log.info("The gallery took %.1f s", time.monotonic() - started)
    return tuple(items)


def _make_items(model: TransferModel, splits: Splits, evaluation: Evaluation, folder: Path, each: int) -> list[GalleryItem]:
    evaluation = _of_examples(evaluation, splits.test)
    chosen = choose_examples(evaluation, each=each)
    rows = np.array([row for row, _ in chosen], np.int64)
    examples = splits.test.take(rows)
    known = sample(splits.train)
    features = _known_features(model, splits, known)
    own = unit_rows(respond(model, examples).features)
    predicted = evaluation.outputs[rows].argmax(axis=1)
    look = _explained_texts if isinstance(examples.store, Texts) else _explained_pictures
    shown = look(model, examples, predicted, folder)
    items = []
    for place, (row, kind) in enumerate(chosen):
        near, similarities = nearest_rows(features, own[place], NEAREST)
        item = GalleryItem(
            kind=kind,
            id=str(evaluation.ids[row]),
            where=str(splits.test.store.where(row)),
            target=evaluation.classes[evaluation.targets[row]],
            predicted=evaluation.classes[predicted[place]],
            probability=float(evaluation.outputs[row].max()),
            neighbours=_neighbours(known.take(near), similarities, splits.classes, folder),
        )
        items.append(replace(item, **shown[place]))
    return items


def _as_evaluated(splits: Splits, evaluation: Evaluation) -> Splits:
    """Return the splits with the test examples that were evaluated, in that order: files may have vanished before."""
    place = {name: row for row, name in enumerate(splits.test.ids.tolist())}
    return replace(splits, test=splits.test.take([place[name] for name in np.asarray(evaluation.ids).tolist()]))


def _of_examples(evaluation: Evaluation, examples: Examples) -> Evaluation:
    """Return what was found for these examples, in their order; what is summed up stays that of all."""
    place = {name: row for row, name in enumerate(np.asarray(evaluation.ids).tolist())}
    rows = np.array([place[name] for name in examples.ids.tolist()], np.int64)
    ids, targets, outputs = evaluation.ids[rows], evaluation.targets[rows], evaluation.outputs[rows]
    return replace(evaluation, ids=ids, targets=targets, outputs=outputs)


def _known_features(model: TransferModel, splits: Splits, known: Examples) -> np.ndarray:
    """Features of the training examples, which a model that answers "none of these" holds already if they are few."""
    familiar = model.familiar
    if familiar is not None and len(familiar.bank) == len(splits.train) == len(known):
        return familiar.bank.astype(np.float32)
    return unit_rows(respond(model, known).features)


def choose_examples(evaluation: Evaluation, *, each: int = EACH) -> list[tuple[int, str]]:
    """Return rows of the test examples to look at, each once, with the kind.

    `confident_mistake`: wrong with the highest probabilities. `unsure_hit`: right with the lowest. `confused_pair`: for each of
    the pairs of classes that are confused most (both ways together), the surest example not shown yet.
    """
    targets, outputs = evaluation.targets, evaluation.outputs
    predicted, sure = outputs.argmax(axis=1), outputs.max(axis=1)
    wrong = predicted != targets
    order = np.argsort(-sure, kind="stable")
    mistakes, hits = order[wrong[order]], order[::-1][~wrong[order[::-1]]]
    chosen = [(int(row), "confident_mistake") for row in mistakes[:each]]
    chosen += [(int(row), "unsure_hit") for row in hits[:each]]
    shown = {row for row, _ in chosen}
    pairs = np.sort(np.stack([targets, predicted], axis=1), axis=1)
    kinds, counts = np.unique(pairs[wrong], axis=0, return_counts=True)
    for pair in kinds[np.argsort(-counts, kind="stable")][:each]:
        rest = [int(row) for row in mistakes if (pairs[row] == pair).all() and int(row) not in shown]
        chosen += [(row, "confused_pair") for row in rest[:1]]
    return chosen


def _explained_pictures(model: TransferModel, examples: Examples, predicted: np.ndarray, folder: Path) -> list[dict]:
    pixels = read_inputs(examples, model.source).values
    try:
        maps = grad_cam(model, pixels, predicted)
    except ValueError as error:  # a source that gives no feature map
        log.info("Pictures in the gallery carry no explanation: %s", error)
        maps = None
    found = []
    for place, picture in enumerate(pixels):
        name = f"{FOLDER}/{place:02}.png"
        _write_picture(picture, folder / name)
        terms = {"image": name}
        if maps is not None:
            terms["explanation"] = f"{FOLDER}/{place:02}_why.png"
            _write_picture(overlay(picture, maps[place]), folder / terms["explanation"])
        found.append(terms)
    return found


def _explained_texts(model: TransferModel, examples: Examples, predicted: np.ndarray, folder: Path) -> list[dict]:
    rows, tokenizer = read_inputs(examples, model.source), model.source.tokenizer
    texts = [rows.batch(np.array([place]))[0] for place in range(len(examples))]
    found = []
    for place, one in enumerate(token_attributions(model, texts, predicted.tolist(), most_steps=STEPS)):
        words = [str(tokenizer.id_to_token(int(token))) if tokenizer else str(token) for token in texts[place]]
        tokens = tuple(zip(words, (round(float(value), 5) for value in one.values), strict=True))
        found.append({"text": examples.store.texts[place], "tokens": tokens})  # type: ignore[attr-defined]
    return found


def overlay(picture: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """Return a picture, greyed, with a heat map over it, uint8, shape `(size, size, 3)`; the strongest place is the reddest."""
    from matplotlib import colormaps

    strength = enlarge(importance, len(picture))
    strength = strength / strength.max() if strength.max() > 0 else np.zeros_like(strength)
    grey = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    colour = 255 * colormaps["turbo"](strength)[..., :3]
    return (0.45 * grey + 0.55 * colour).round().astype(np.uint8)


def _write_picture(pixels: np.ndarray, path: Path) -> None:
    from PIL import Image

    picture = Image.fromarray(pixels.astype(np.uint8))
    scale = -(-SHOWN // len(pixels)) if len(pixels) < SHOWN else 1
    enlarged = picture.resize((scale * picture.width, scale * picture.height), Image.Resampling.NEAREST)
    write_file(path, lambda temporary: enlarged.save(temporary, format="png"))


def _neighbours(near: Examples, similarities: np.ndarray, classes: tuple[str, ...], folder: Path) -> tuple[Neighbour, ...]:
    cells = near.targets.cells(classes)
    found = []
    for place, similarity in enumerate(similarities):
        item = Neighbour(str(near.ids[place]), cells[place], round(float(similarity), 4))
        if isinstance(near.store, Texts):
            found.append(replace(item, text=near.store.texts[place]))
            continue
        # The same training example may be near to several: one file for each.
        digest = _digest(item.id)
        name = f"{FOLDER}/train_{digest}.png"
        if not (folder / name).exists():
            _write_picture(read_pixels(near.take([place]).store, SHOWN // 2)[0], folder / name)
        found.append(replace(item, image=name))
    return tuple(found)


def _digest(name: str) -> str:
    import hashlib

    return hashlib.blake2b(name.encode(errors="replace"), digest_size=6).hexdigest()
