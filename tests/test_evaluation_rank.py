"""Rankings: the order, how sure it is, limits, nulls, words; and the depth probe."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from tests.networks import SIZE, square_splits, squares
from tlkeras.data.examples import ImageArrays, Splits
from tlkeras.data.targets import MultiLabelTargets, ValueTargets
from tlkeras.errors import WeightsError
from tlkeras.evaluation import measured, name_similarity
from tlkeras.evaluation import rank as ranks
from tlkeras.evaluation.candidates import static_order
from tlkeras.evaluation.depth import probe_depth
from tlkeras.evaluation.feature_scores import FeatureScores, explained, score_features, side_by_side, source_probabilities
from tlkeras.evaluation.limits import Limits, parse_size, parse_time
from tlkeras.evaluation.metrics import Measure
from tlkeras.evaluation.probes import ridge_probe
from tlkeras.evaluation.rank import draw, pick_source, rank
from tlkeras.evaluation.ranking import RankedSource, order, words
from tlkeras.features.pooled import pooled_features
from tlkeras.plots import save_depth, save_ranking
from tlkeras.runs import Run
from tlkeras.sources import trial
from tlkeras.sources.blocks import chain
from tlkeras.sources.model import Block, SourceModel


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKERAS_CACHE", str(tmp_path / "cache"))


def _source(name: str, *widths: int, **options) -> SourceModel:
    """A source whose first block sees the nine fields of a picture and whose others mix them into fewer numbers."""
    image = keras.Input((SIZE, SIZE, 3))
    fields = keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(image))
    blocks = [Block("fields", keras.Model(image, keras.layers.Flatten()(fields)))]
    for index, width in enumerate(widths, start=1):
        x = keras.Input((blocks[-1].network.output.shape[-1],))
        blocks.append(Block(f"mix_{index}", keras.Model(x, keras.layers.Dense(width, kernel_initializer="ones")(x))))
    options = {"pretrained": True, "facts": {"licence": "MIT", "accuracy": None}, **options}
    return SourceModel(name, "image", chain(blocks, name="x"), tuple(blocks), SIZE, **options)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return square_splits()


@pytest.fixture(scope="module")
def ranking(splits, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLKERAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return rank(
            splits, [_source("blind", 2, 2, 2), _source("sees"), _source("too big", 5000)], limits=Limits(megabytes=0.1)
        )


def test_the_source_that_sees_the_class_comes_first_and_the_blind_one_is_at_chance(ranking):
    assert [one.name for one in ranking.sources] == ["sees", "blind"]
    first, second = ranking.sources
    assert first.score.value > 0.95
    assert second.score.value < 0.6
    assert second.behind.low > 0.2
    assert not second.tied
    assert (first.places, second.places) == ((1, 1), (2, 2))
    assert (ranking.n, ranking.metric, ranking.best) == (90, "accuracy", "sees")
    assert first.scores["knn"] > second.scores["knn"]
    assert first.scores["logistic"] > second.scores["logistic"]
    assert first.scores["log_me"] > second.scores["log_me"]
    assert first.scores["h_score"] > second.scores["h_score"]
    assert first.latency_ms is not None


def test_sources_stand_in_the_order_of_what_the_probe_explains_not_of_its_accuracy(splits, monkeypatch):
    n = len(splits.train)
    right, sure = np.arange(n) % 10 < 9, np.full(n, 0.6)
    scores = {
        "often right, never sure": FeatureScores(right.astype(float), sure - 0.2, {"ridge": 0.9, "explained": 0.4}),
        "sure": FeatureScores(np.roll(np.arange(n) % 10 < 8, 1).astype(float), sure, {"ridge": 0.8, "explained": 0.6}),
    }
    monkeypatch.setattr(measured, "pooled_features", lambda *_, **__: ((np.zeros((n, 1)),), 0))
    monkeypatch.setattr(measured, "score_features", lambda features, examples, splits, source, **_: scores[source.name])
    first, second = rank(splits, [_source(name) for name in scores], facts=False, null=False).sources
    assert (first.name, first.score.value, first.explained.value) == ("sure", pytest.approx(0.8), pytest.approx(0.6))
    assert (second.score.value, second.behind.value) == (pytest.approx(0.9), pytest.approx(0.2))
    assert not second.tied


def test_what_a_probe_explains_is_its_r2_from_fits_without_each_example():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 3))
    y = x @ generator.normal(size=(3, 2)) + generator.normal(size=(40, 2))
    probe = ridge_probe(x, y, strengths=[0.5])
    outputs = []
    for i in range(40):  # by hand: the strength is in units of the scatter's mean eigenvalue over all examples
        kept = np.arange(40) != i
        mean, target = x[kept].mean(axis=0), y[kept].mean(axis=0)
        scatter = (x[kept] - mean).T @ (x[kept] - mean)
        strength = 0.5 * np.sum((x - x.mean(axis=0)) ** 2) / 3
        weights = np.linalg.solve(scatter + strength * np.eye(3), (x[kept] - mean).T @ (y[kept] - target))
        outputs.append(target + (x[i] - mean) @ weights)
    from sklearn.metrics import r2_score

    expected = r2_score(y, np.array(outputs), multioutput="variance_weighted")
    assert explained(probe, y).mean() == pytest.approx(expected, abs=1e-12)
    constant = replace(probe, outputs=np.repeat(y.mean(axis=0)[None], 40, axis=0))
    assert explained(constant, y).mean() == pytest.approx(0)
    assert (explained(replace(probe, outputs=y), y) == 1).all()


def test_candidates_that_are_clearly_behind_after_the_first_examples_end_there(splits, monkeypatch):
    monkeypatch.setattr(ranks, "FIRST", 30)
    seen: dict[str, list[int]] = {}

    def features(ready, part, **options):
        seen.setdefault(ready.source.name, []).append(len(part))
        return pooled_features(ready, part, **options)

    monkeypatch.setattr(measured, "pooled_features", features)
    sources = [
        _source(name, *widths) for name, *widths in (("worst", 1, 1, 1), ("sees",), ("blind", 2, 2, 2), ("sees too", 27))
    ]
    found = rank(splits, sources, facts=False)
    assert seen == {"worst": [30, 90], "sees": [30, 90, 30], "blind": [30], "sees too": [30, 90]}  # "sees" again: the null
    assert {one.name for one in found.sources[:2]} == {"sees", "sees too"}
    assert {one.name: one.score.n for one in found.sources[2:]} == {"worst": 90, "blind": 30}
    assert [one.places for one in found.sources[2:]] == [(3, 4), (3, 4)]
    assert all(one.behind.n == 30 and one.behind.low > measured.MARGIN and not one.tied for one in found.sources[2:])
    assert found.null and found.gain
    assert (found.n, found.null.n, found.gain.n) == (90, 30, 30)
    whole = rank(splits, [_source("blind", 2, 2, 2)], limit=30, facts=False, null=False).sources[0]
    assert found.sources[-1 if found.sources[-1].name == "blind" else -2].scores == whole.scores


def test_one_that_is_behind_by_little_or_by_chance_is_measured_to_the_end():
    generator = np.random.default_rng(0)
    level, noise = np.full(300, 0.5), generator.normal(0, 0.1, 300)
    best = FeatureScores(level, level, {})
    for gap, spread, expected in ((0.2, noise, True), (0.04, 0 * noise, False), (0.08, 9 * noise, False), (-0.2, noise, False)):
        assert measured.trails(FeatureScores(level, level - gap + spread - spread.mean(), {}), best) is expected


def test_candidates_beyond_a_limit_are_left_out_with_the_reason(ranking):
    ((where, reason),) = [(one.where, one.reason) for one in ranking.left_out]
    assert where == "too big"
    assert "MB is more than 0.1 MB" in reason


def test_a_ranking_is_json(ranking):
    found = json.loads(json.dumps(ranking.to_json(), allow_nan=False))
    assert found["best"] == "sees"
    assert found["sources"][1]["score"]["n"] == 90
    assert found["left_out"][0]["where"] == "too big"


def test_random_weights_that_do_as_well_mean_that_none_helps(ranking):
    # The network that sees has no weights, so random ones are as good.
    assert ranking.null is not None
    assert ranking.null.value == ranking.sources[0].score.value
    assert ranking.verdict.startswith("None helps, as far as 90 examples can show: sees")


def test_only_training_examples_are_looked_at(splits, monkeypatch):
    seen: list[np.ndarray] = []

    def features(ready, part, **_):
        seen.append(part.ids)
        return (np.eye(len(part)),), 0

    monkeypatch.setattr(measured, "pooled_features", features)
    rank(splits, [_source("sees")], limit=40, facts=False, null=False)
    assert len(seen[0]) == 40
    assert set(seen[0]) < set(splits.train.ids)


def test_the_probe_reads_three_boundaries_so_that_a_blind_top_does_not_hide_what_lies_below(splits):
    found = rank(splits, [_source("blind at the top", 2), _source("blind", 2, 2, 2)], facts=False, null=False)
    first, second = found.sources
    assert first.name == "blind at the top"
    assert first.score.value > 0.95
    assert first.scores["knn"] < 0.7, "the other scores read the top alone"
    assert second.score.value < 0.6
    wide, narrow = np.full((4, 9), 2.0), np.full((4, 1), 2.0)
    beside = side_by_side([wide, narrow])
    assert np.sum(beside[:, :9] ** 2) == pytest.approx(np.sum(beside[:, 9:] ** 2)), "all boundaries weigh the same"


def test_a_file_of_ones_own_is_ranked_beside_the_others(splits, monkeypatch, tmp_path):
    monkeypatch.setattr(trial, "try_first", lambda *_, **__: None)
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(image))
    file = str(tmp_path / "own.keras")
    keras.Model(image, keras.layers.Flatten()(x)).save(file)
    found = rank(splits, [_source("blind", 2, 2, 2), file], facts=False, null=False)
    assert [one.name for one in found.sources] == [file, "blind"]
    with pytest.raises(ValueError, match="Unknown image source model"):
        rank(splits, ["mobilenet_v9"])


def test_a_draw_keeps_the_classes_in_proportion_and_the_order():
    examples = squares(300, seed=0)
    uneven = examples.take(np.flatnonzero((examples.labels > 0) | (np.arange(300) % 4 == 0)))
    drawn = draw(uneven, 90, seed=1)
    shares = np.bincount(drawn.labels) / len(drawn)
    np.testing.assert_allclose(shares, np.bincount(uneven.labels) / len(uneven), atol=0.02)
    positions = [uneven.ids.tolist().index(one) for one in drawn.ids]
    assert positions == sorted(positions)
    assert draw(uneven, 1000) is uneven
    with pytest.raises(ValueError, match="20 examples"):
        draw(uneven, 5)


def test_intervals_and_places_are_those_of_resampled_examples():
    generator = np.random.default_rng(0)
    good, poor = generator.random(400) < 0.8, generator.random(400) < 0.65
    found = order({"poor": poor, "good": good, "copy": good})
    assert found.names == ("good", "copy", "poor")
    deviation = np.sqrt(good.mean() * (1 - good.mean()) / 400)
    assert found.scores["good"].high - found.scores["good"].low == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    paired = np.std(good.astype(float) - poor) / 20
    width = found.behind["poor"].high - found.behind["poor"].low
    assert width == pytest.approx(2 * 1.96 * paired, rel=0.1)
    assert found.behind["poor"].low > 0
    assert found.behind["copy"] == Measure(0.0, 0.0, 0.0, 400)
    assert found.places == {"good": (1, 1), "copy": (2, 2), "poor": (3, 3)}


def test_equal_sources_share_their_places():
    generator = np.random.default_rng(0)
    found = order({name: generator.random(200) < 0.7 for name in "ab"})
    assert found.places == {"a": (1, 2), "b": (1, 2)}


def _ranked(name: str, *, tied: bool = False, latency: float | None = 5.0, pretrained: bool = True) -> RankedSource:
    measure = Measure(0.8, 0.7, 0.9, 50)
    return RankedSource(name, measure, measure, measure, (1, 1), tied, {}, pretrained, 10, 1.0, latency, 32, "MIT", 1)


def test_the_words_name_the_ties_and_the_fastest_of_them():
    gain = Measure(0.3, 0.2, 0.4, 50)
    alone = words([_ranked("a", tied=True), _ranked("b")], "accuracy", 50, gain)
    assert alone == "a comes first: accuracy 0.800 [0.700, 0.900], ahead of all others by more than chance (50 examples)."
    tied = words([_ranked("a", tied=True), _ranked("b", tied=True, latency=2.0), _ranked("c")], "accuracy", 50, gain)
    assert tied.endswith("With 50 examples it cannot be told apart from b; the fastest of them is b.")
    best = words([_ranked("a", tied=True, latency=1.0), _ranked("b", tied=True)], "accuracy", 50, gain)
    assert best.endswith("told apart from b; it is also the fastest of them.")
    nothing = words([_ranked("a")], "accuracy", 50, Measure(0.01, -0.02, 0.04, 50))
    assert nothing.startswith("None helps, as far as 50 examples can show")
    assert words([_ranked("a", pretrained=False)], "accuracy", 50, None).startswith("None helps: the best, a, has random")


def test_limits_read_sizes_times_and_licences():
    assert [parse_size(text) for text in ("10MB", "10", "800 kB", "1.5gb")] == [10, 10, 0.8, 1500]
    assert [parse_time(text) for text in ("30ms", "30", "0.1 s")] == [30, 30, 100]
    for parse, text in ((parse_size, "10 miles"), (parse_time, "soon"), (parse_size, "0MB"), (parse_time, "-3ms")):
        with pytest.raises(ValueError, match=r"Expected a (size|time) such as"):
            parse(text)
    limits = Limits(licence="apache", milliseconds=10)
    assert limits.objection(megabytes=1e9, licence="Apache-2.0") is None
    assert limits.objection(megabytes=1, licence="GPL-2") == "its licence is 'GPL-2', not 'apache'"
    assert limits.too_slow(9.0) is None
    assert limits.too_slow(12.0) == "12.0 ms is more than 10 ms"
    assert "no latency" in str(limits.too_slow(None))


def test_unknown_names_copies_and_nothing_left_are_refused(splits):
    with pytest.raises(ValueError, match=r"Did you mean 'mobilenet_v2'.*See all: tlkeras sources"):
        rank(splits, ["mobilnet_v2"])
    with pytest.raises(ValueError, match="a name of its own"):
        rank(splits, [_source("a"), _source("a")])
    with pytest.raises(WeightsError, match=r"No source model is left to rank\. a: its licence is 'MIT', not 'apache'"):
        rank(splits, [_source("a")], limits=Limits(licence="apache"))
    with pytest.raises(WeightsError, match=r"efficientnet_lite0: .* MB is more than 1 MB"):
        rank(splits, ["efficientnet_lite0"], limits=Limits(megabytes=1))


def test_weights_that_are_missing_leave_a_source_out_with_the_reason(splits, monkeypatch):
    def load(pretrained):
        raise WeightsError("The package is not installed\nWays out: …")

    known = ranks.candidates(splits, [_source("sees")], image_size=None, sequence_length=None, seed=0)
    monkeypatch.setattr(ranks, "candidates", lambda *_, **__: {"missing": load, **known})
    found = rank(splits, facts=False, null=False)
    assert [(one.where, one.reason) for one in found.left_out] == [("missing", "The package is not installed")]


def test_leep_and_nce_come_from_the_sources_own_classifier(splits):
    features = np.eye(3)[splits.train.labels] * 9
    head = (np.eye(3)[:, [2, 0, 1]], np.zeros(3))
    knows = replace(_source("knows"), head=head)
    found = score_features(features, splits.train, splits, knows).values
    assert found["nce"] == pytest.approx(0.0)
    assert -0.01 < found["leep"] < 0
    assert {"leep", "nce"}.isdisjoint(score_features(features, splits.train, splits, _source("x")).values)
    theta = source_probabilities(np.array([[np.log(3), 0.0]]), (np.eye(2), np.array([0.0, 0.0])))
    np.testing.assert_allclose(theta, [[0.75, 0.25]])


def test_several_labels_and_values_are_ranked_by_their_own_scores(splits):
    several = np.stack([splits.train.labels == 0, splits.train.labels > 0], axis=1).astype(np.uint8)
    values = (10 * splits.train.labels + 5).astype(np.float32)
    for targets, metric, perfect in (
        (MultiLabelTargets(several), "Jaccard score", 1.0),
        (ValueTargets(values), "minus absolute error", 0.0),
    ):
        names = ("one", "two") if metric == "Jaccard score" else ()
        data = replace(splits, train=replace(splits.train, targets=targets), classes=names)
        found = rank(data, [_source("sees"), _source("blind", 2, 2, 2)], facts=False, null=False)
        assert found.best == "sees"
        assert found.metric == metric
        assert found.sources[0].score.value == pytest.approx(perfect, abs=3 if metric != "Jaccard score" else 0.1)
        assert found.sources[0].score.value > found.sources[1].score.value


def test_the_static_list_goes_by_accuracy_where_all_have_one_of_the_same_kind_and_by_size_where_not():
    small = _source("small", 2, facts={"accuracy": "0.9 top-1 on ImageNet (another page)"})
    large = _source("large", 50, facts={"accuracy": "0.751 top-1 on ImageNet (a page)"})
    random = _source("random", 99, pretrained=False, facts={"accuracy": None})
    found = {one.name: one for one in (random, large, small)}
    assert static_order(found) == (["small", "large", "random"], "accuracy on the source data")
    unknown = {**found, "small": replace(small, facts={})}
    assert static_order(unknown) == (["large", "small", "random"], "number of parameters")
    other = {**found, "small": replace(small, facts={"accuracy": "0.9 accuracy on MNLI (a page)"})}
    assert static_order(other) == (["large", "small", "random"], "number of parameters")


def test_a_name_other_than_rank_is_passed_through_and_a_run_keeps_its_pick(splits, monkeypatch, tmp_path):
    assert pick_source("resnet50", splits) == "resnet50"
    monkeypatch.setattr(ranks, "candidates", lambda *_, **__: {
        one.name: lambda pretrained, one=one: one for one in (_source("blind", 2, 2, 2), _source("sees"))
    })  # fmt: skip
    assert pick_source("rank", splits) == "sees"
    run = Run(tmp_path, "recipe", {})
    assert pick_source("rank", splits, run=run) == "sees"
    assert json.loads((tmp_path / "ranking.json").read_text())["best"] == "sees"
    monkeypatch.setattr(ranks, "rank", lambda *_, **__: pytest.fail("ranked again"))
    assert pick_source("rank", splits, run=run) == "sees"  # a run that goes on


def test_names_are_compared_with_those_of_the_source(monkeypatch):
    vectors = {"cat": [1.0, 0.0], "tiger cat": [0.8, 0.6], "boat": [0.0, 1.0]}
    monkeypatch.setattr(name_similarity, "embed_names", lambda names: np.array([vectors[name] for name in names]))
    found = name_similarity.compare_names(("cat", "boat"), ("tiger cat", "boat"))
    assert found.nearest == {"cat": ("tiger cat", 0.8), "boat": ("boat", 1.0)}
    assert found.mean == pytest.approx(0.9)


def test_depth_ends_where_the_probe_stops_gaining(splits):
    depth = probe_depth(splits, _source("narrows", 27, 1))
    assert [one.block for one in depth.boundaries] == ["fields", "mix_1", "mix_2"]
    assert [one.above for one in depth.boundaries] == [2, 1, 0]
    assert depth.boundaries[0].score.value > 0.95
    assert depth.boundaries[2].score.value < 0.6
    assert (depth.best, depth.enough, depth.trainable) == ("fields", "fields", "top:2")
    assert "--trainable top:2" in depth.verdict
    assert depth.to_json()["boundaries"][0]["width"] == 27


def test_depth_of_a_source_that_gains_up_to_the_top_says_train_the_head(splits):
    source = _source("late", 5)
    image = keras.Input((SIZE, SIZE, 3))
    first = Block("first", keras.Model(image, keras.layers.Reshape((SIZE, SIZE, 3))(image)))
    middle = keras.Input((SIZE, SIZE, 3))
    second = Block("second", keras.Model(middle, source.blocks[0].network(middle)))
    blocks = (first, second)
    depth = probe_depth(splits, replace(source, blocks=blocks, network=chain(blocks, name="late")))
    assert (depth.enough, depth.trainable) == ("second", "head")
    assert "gains up to the top" in depth.verdict


def test_pictures_are_drawn_with_and_without_latencies(tmp_path):
    rows = [
        {"name": f"$a_{i}$", "score": 0.9 - i / 10, "low": 0.8 - i / 10, "high": 0.95, "milliseconds": m, "tied": i == 1}
        for i, m in enumerate((2.0, 30.0, None))
    ]
    rows = [{**row, "order": 0.7, "order_low": 0.6, "order_high": 0.8} for row in rows]
    for number, shown in enumerate((rows, rows[2:])):
        save_ranking(shown, tmp_path / f"{number}.png", metric="accuracy", null=0.3)
        assert np.asarray(Image.open(tmp_path / f"{number}.png").convert("L")).std() > 10
    boundaries = [{"block": f"block_{i}", "score": i / 10, "low": i / 10 - 0.1, "high": i / 10 + 0.1} for i in range(9)]
    save_depth(boundaries, tmp_path / "depth.png", metric="accuracy", source="a", enough="block_5")
    assert np.asarray(Image.open(tmp_path / "depth.png").convert("L")).std() > 10


def test_pictures_in_memory_are_ranked_whatever_their_number_is(splits):
    few = splits.train.take(range(21))
    assert isinstance(few.store, ImageArrays)
    found = rank(replace(splits, train=few), [_source("sees")], null=False)
    assert found.n == 21


def test_real_embeddings_put_names_of_like_things_close(monkeypatch):
    found = name_similarity.compare_names(("pony", "sailing_boat"), ("screwdriver", "Horse", "yacht"))
    assert {name: nearest for name, (nearest, _) in found.nearest.items()} == {"pony": "Horse", "sailing_boat": "yacht"}
    assert name_similarity.compare_names(("horse",), ("Horse",)).mean == pytest.approx(1.0, abs=1e-6)
    monkeypatch.setattr(name_similarity, "load_text_source", lambda *_, **__: pytest.fail("embedded again"))
    assert name_similarity.compare_names(("pony",), ("screwdriver", "Horse")).nearest["pony"][0] == "Horse"
