"""Explanations against closed forms: a map that is known, a model that is linear, weights that are random."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.export_models import text_examples, text_model
from tests.networks import SIZE, square_splits, tiny_source
from tests.test_evaluation_saved import evaluation as plain_evaluation
from tlkeras.data.examples import ImageArrays, Splits
from tlkeras.evaluation.evaluate import evaluate, predict_examples
from tlkeras.evaluation.explain import grad_cam, integrated_gradients, token_attributions
from tlkeras.evaluation.faithful import deletion_score, insertion_score
from tlkeras.evaluation.gallery import choose_examples, write_gallery
from tlkeras.evaluation.occlusion import occlusion
from tlkeras.evaluation.responses import respond
from tlkeras.evaluation.saved import load_gallery
from tlkeras.evaluation.scaling import calibrate
from tlkeras.features.inputs import read_inputs
from tlkeras.sources.own import source_from_keras
from tlkeras.strategies.phases import Phase
from tlkeras.tasks.classification import build_classifier
from tlkeras.training.fit import fit

SPLITS = square_splits()
PIXELS = SPLITS.test.store.pixels  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def trained():
    model = build_classifier(tiny_source(), SPLITS.classes)
    fit(model, SPLITS, [Phase(name="x", trainable="all", epochs=15, learning_rate=1e-2, patience=15)])
    return model


def _predict(model):
    return lambda pixels: model.network.predict(pixels.astype("float32"), verbose=0)


def test_the_responses_are_those_of_the_model(trained):
    found = respond(trained, SPLITS.test)
    np.testing.assert_allclose(found.outputs, predict_examples(trained, SPLITS.test), atol=1e-6)
    kernel, bias = trained.head.network.get_layer("logits").get_weights()
    np.testing.assert_allclose(found.features @ kernel + bias, found.logits, atol=1e-5)


def test_grad_cam_is_the_class_activation_map_where_the_head_reads_the_mean(trained):
    labels = SPLITS.test.labels
    maps = trained.source.network.predict(PIXELS.astype("float32"), verbose=0)
    kernel = trained.head.network.get_layer("logits").get_weights()[0]
    cam = np.maximum(np.einsum("nhwc,cn->nhw", maps, kernel[:, labels]), 0) / (maps.shape[1] * maps.shape[2])
    np.testing.assert_allclose(grad_cam(trained, PIXELS, labels), cam, atol=1e-5)
    assert cam.max() > 0


def test_grad_cam_looks_into_nested_networks_of_ones_own():
    inner = keras.Sequential([keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Conv2D(5, 3)], name="inner")
    pixels = keras.Input((SIZE, SIZE, 3))
    model = build_classifier(source_from_keras(keras.Model(pixels, inner(keras.layers.Rescaling(1 / 255)(pixels)))), ("a", "b"))
    assert grad_cam(model, PIXELS[:3], np.array([0, 1, 1])).shape == (3, 8, 8)


def test_a_lower_block_gives_a_finer_or_equal_map_and_an_unknown_one_is_refused(trained):
    labels = SPLITS.test.labels[:2]
    assert grad_cam(trained, PIXELS[:2], labels, block="block_0").shape == (2, 12, 12)
    with pytest.raises(ValueError, match="Did you mean 'block_0'"):
        grad_cam(trained, PIXELS[:2], labels, block="blok_0")


def test_a_source_without_a_map_says_what_to_take_instead():
    pixels = keras.Input((SIZE, SIZE, 3))
    flat = keras.layers.Dense(4)(keras.layers.Flatten()(pixels))
    model = build_classifier(source_from_keras(keras.Model(pixels, flat)), ("a", "b"))
    with pytest.raises(ValueError, match="Take integrated_gradients or occlusion"):
        grad_cam(model, PIXELS[:1], np.array([0]))


def test_integrated_gradients_of_a_linear_model_are_weight_times_pixel():
    pixels = keras.Input((SIZE, SIZE, 3))
    model = build_classifier(source_from_keras(keras.Model(pixels, keras.layers.Flatten()(pixels))), ("a", "b"))
    weights = model.head.network.get_layer("logits").get_weights()[0][:, 1].reshape(SIZE, SIZE, 3)
    found = integrated_gradients(model, PIXELS[0], 1)
    np.testing.assert_allclose(found.values, (weights * PIXELS[0]).sum(axis=-1), rtol=1e-3, atol=1e-3)


def test_integrated_gradients_are_complete_within_one_per_cent(trained):
    for row in range(3):
        found = integrated_gradients(trained, PIXELS[row], int(SPLITS.test.labels[row]))
        logit = respond(trained, SPLITS.test.take([row])).logits[0, SPLITS.test.labels[row]]
        black = replace(SPLITS.test.take([row]), store=ImageArrays(np.zeros((1, SIZE, SIZE, 3), np.uint8)))
        difference = logit - respond(trained, black).logits[0, SPLITS.test.labels[row]]
        assert abs(found.values.sum() - difference) < 0.01 * abs(difference)


def test_token_attributions_are_complete_and_padding_adds_nothing():
    model, rows = text_model(), read_inputs(text_examples(), text_model().source)
    ids = rows.batch(np.array([3]))[0]
    found, padded = token_attributions(model, [ids, np.append(ids, [0, 0]).astype(np.int32)], [1, 1])
    assert found.values.shape == ids.shape
    assert found.gap < 0.01
    np.testing.assert_allclose(padded.values[:-2], found.values, atol=2e-2)
    np.testing.assert_allclose(padded.values[-2:], 0, atol=1e-6)


def test_what_is_called_important_is_what_the_model_needs(trained):
    predict, labels = _predict(trained), SPLITS.test.labels
    chosen = np.flatnonzero(predict(PIXELS).argmax(axis=1) == labels)[:4]
    maps = {
        "integrated": [np.abs(integrated_gradients(trained, PIXELS[row], int(labels[row])).values) for row in chosen],
        "occlusion": [occlusion(predict, PIXELS[row], int(labels[row])) for row in chosen],
        "chance": [np.random.default_rng(row).random((SIZE, SIZE)) for row in chosen],
    }

    def truth(found: list[np.ndarray]) -> float:
        parts = [(PIXELS[row], one, int(labels[row])) for row, one in zip(chosen, found, strict=True)]
        return float(np.mean([insertion_score(predict, *part) - deletion_score(predict, *part) for part in parts]))

    scores = {name: truth(found) for name, found in maps.items()}
    assert scores["integrated"] > scores["chance"] + 0.05
    assert scores["occlusion"] > scores["chance"] + 0.05


def test_random_weights_explain_otherwise(trained):
    random = build_classifier(tiny_source(seed=5), SPLITS.classes, seed=5)
    labels = SPLITS.test.labels[:12]
    own, other = (grad_cam(model, PIXELS[:12], labels).reshape(12, -1) for model in (trained, random))
    agreement = [spearmanr(a, b).statistic for a, b in zip(own, other, strict=True) if np.ptp(a) and np.ptp(b)]
    assert abs(np.mean(agreement)) < 0.5


def test_insertion_and_deletion_are_areas_worked_out_by_hand():
    pixels = np.full((4, 4, 3), 100, np.uint8)
    importance = np.arange(16.0).reshape(4, 4)[::-1]

    def share(pictures: np.ndarray) -> np.ndarray:
        return (pictures[..., :1] > 0).mean(axis=(1, 2))

    assert insertion_score(share, pixels, importance, 0) == pytest.approx(0.5)
    assert deletion_score(share, pixels, importance, 0) == pytest.approx(0.5)

    def top_row(pictures: np.ndarray) -> np.ndarray:  # the row that is most important
        return (pictures[:, :1, :, :1] > 0).mean(axis=(1, 2))

    # In steps of one pixel: up to 1 within four of sixteen steps.
    assert insertion_score(top_row, pixels, importance, 0) == pytest.approx(1 - 2 / 16)
    assert deletion_score(top_row, pixels, importance, 0) == pytest.approx(2 / 16)


def test_the_gallery_shows_mistakes_and_what_they_resemble(trained, tmp_path):
    evaluation = evaluate(trained, SPLITS, compare_nulls=False)
    targets = evaluation.targets.copy()
    targets[:4] = (targets[:4] + 1) % 3  # labels that are wrong are mistakes of the model
    items = write_gallery(trained, SPLITS, replace(evaluation, targets=targets), tmp_path)
    assert load_gallery(tmp_path) == items
    assert {item.kind for item in items} >= {"confident_mistake", "unsure_hit"}
    for item in items:
        assert (tmp_path / item.image).is_file() and (tmp_path / item.explanation).is_file()
        assert (item.predicted == item.target) == (item.kind == "unsure_hit")
        assert len(item.neighbours) == 3 and all((tmp_path / near.image).is_file() for near in item.neighbours)
        assert item.neighbours[0].similarity >= item.neighbours[-1].similarity
    mistakes = [item.probability for item in items if item.kind == "confident_mistake"]
    assert mistakes == sorted(mistakes, reverse=True)


def test_features_that_the_model_holds_find_the_same_neighbours(trained, tmp_path):
    evaluation = evaluate(trained, SPLITS, compare_nulls=False)
    first = write_gallery(trained, SPLITS, evaluation, tmp_path)
    second = write_gallery(calibrate(trained, SPLITS, smallest=30), SPLITS, evaluation, tmp_path)
    for one, other in zip(first, second, strict=True):
        near, also = one.neighbours[0], other.neighbours[0]
        assert near.similarity == pytest.approx(also.similarity, abs=2e-3)


def test_pairs_that_are_confused_most_come_first():
    first = plain_evaluation()
    targets = np.array([0, 0, 0, 1, 2, 2], np.int32)
    outputs = np.array([[0, 0.9, 0.1], [0.2, 0.8, 0], [0, 0.3, 0.7], [0.1, 0.9, 0], [0, 0.4, 0.6], [0, 0.1, 0.9]])
    shown = choose_examples(replace(first, targets=targets, outputs=outputs, classes=("a", "b", "c")), each=1)
    # Rows 0 and 1 confuse a with b; row 0 is the surest mistake, so row 1 stands for the pair; row 4 is the least sure hit.
    assert shown == [(0, "confident_mistake"), (4, "unsure_hit"), (1, "confused_pair")]


def test_texts_in_the_gallery_carry_their_tokens(tmp_path):
    examples = text_examples()
    model = text_model()
    splits = Splits(examples, examples, examples.take(np.arange(8)), model.classes, fingerprint="0")
    items = write_gallery(model, splits, evaluate(model, splits, compare_nulls=False), tmp_path, each=2)
    assert items and all(item.tokens[0][0] == "[CLS]" and item.text for item in items)
    # Each text is itself among the training examples here.
    assert all(item.neighbours[0].id == item.id and item.neighbours[0].text == item.text for item in items)
    assert replace(items[0]) == load_gallery(tmp_path)[0]
