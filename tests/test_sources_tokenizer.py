import io
import json
import sys

import keras_hub
import numpy as np
import pytest
import tensorflow as tf
import tokenizers

from tests.snippets import review_snippets
from tlkeras.errors import TlkerasError, WeightsError
from tlkeras.sources.model import SourceModel
from tlkeras.sources.packaged import MINILM_L6, weights_file
from tlkeras.sources.sentencepiece import read_model, unigram_tokenizer
from tlkeras.sources.tiny import tiny_vocabulary
from tlkeras.sources.tokenizer import (
    byte_pair_tokenizer,
    in_graph_tokenizer,
    tokenizer_from_file,
    tokenizer_from_keras_hub,
    word_piece_tokenizer,
)

AWKWARD = [
    "",
    "   ",
    "A good movie, isn't it?",
    "Café naïve – déjà vu!! 3.14",
    "the\tplot\nis\r\nthin\x00\x1f",
    "zero\u200bwidth soft\u00adhyphen no\u00a0break\u3000wide",
    "电影 good电影good",
    "ΟΔΥΣΣΕΥΣ İstanbul STRASSE straße",
    "[CLS] not [SEP] special [MASK] [PAD]",
    "x" * 100 + " " + "y" * 101 + " " + "é" * 100,
    "и" * 60 + " " + "и" * 100,
    "emoji 😀 ok 👨‍👩‍👧",
    "“quotes” … — £5",
]


def source(tokenizer, length=128, pad_id=0):
    return SourceModel("some", "text", None, (), length, False, tokenizer=tokenizer, pad_id=pad_id)


@pytest.fixture(scope="module")
def minilm():
    return tokenizer_from_file(weights_file(MINILM_L6, "tokenizer.json"))


@pytest.fixture(scope="module")
def snippets():
    texts = review_snippets()
    assert len(texts) == 8_530
    return texts


def padded(encodings, pad_id=0):
    width = max(len(encoding) for encoding in encodings)
    return np.array([[*encoding, *[pad_id] * (width - len(encoding))] for encoding in encodings])


def cut(tokenizer, texts, length):
    """Encode and cut with the Rust library, on a copy of the tokenizer."""
    copy = tokenizers.Tokenizer.from_str(tokenizer.to_str())
    copy.enable_truncation(length)
    return [encoding.ids for encoding in copy.encode_batch(texts)]


def test_the_ids_of_every_review_snippet_are_those_of_the_authors_tokenizer(minilm, snippets):
    original = tokenizers.Tokenizer.from_file(str(weights_file(MINILM_L6, "tokenizer.json")))
    original.no_padding()
    original.no_truncation()
    assert [e.ids for e in minilm.encode_batch(snippets)] == [e.ids for e in original.encode_batch(snippets)]


@pytest.mark.skipif(sys.platform == "win32", reason="TensorFlow Text does not exist for Windows")
@pytest.mark.parametrize("length", [128, 16])
def test_the_ids_of_every_review_snippet_are_the_same_inside_a_graph(minilm, snippets, length):
    tokenize = tf.function(in_graph_tokenizer(source(minilm, length)), input_signature=[tf.TensorSpec((None,), tf.string)])
    for start in range(0, len(snippets), 1024):
        batch = snippets[start : start + 1024]
        ids = tokenize(tf.constant(batch))
        assert ids.dtype == tf.int32
        np.testing.assert_array_equal(ids, padded(cut(minilm, batch, length)))


@pytest.mark.skipif(sys.platform == "win32", reason="TensorFlow Text does not exist for Windows")
@pytest.mark.parametrize("lowercase", [True, False])
def test_awkward_texts_have_the_same_ids_inside_a_graph(minilm, lowercase):
    vocabulary = sorted(minilm.get_vocab(), key=minilm.get_vocab().__getitem__)
    tokenizer = word_piece_tokenizer(vocabulary, lowercase=lowercase)
    expected = cut(tokenizer, AWKWARD, 128)
    for text, ids in zip(AWKWARD, expected, strict=True):
        np.testing.assert_array_equal(in_graph_tokenizer(source(tokenizer))(tf.constant([text]))[0], ids, err_msg=text)
    np.testing.assert_array_equal(in_graph_tokenizer(source(tokenizer))(tf.constant(AWKWARD)), padded(expected))


@pytest.mark.skipif(sys.platform == "win32", reason="TensorFlow Text does not exist for Windows")
def test_all_but_the_youngest_characters_have_the_same_ids_inside_a_graph(minilm):
    # Up to U+05FF scripts have not grown since the Rust library's Unicode tables were made.
    texts = [f"so{chr(code)}me x{chr(code)}" for code in range(1, 0x600)]
    np.testing.assert_array_equal(in_graph_tokenizer(source(minilm))(tf.constant(texts)), padded(cut(minilm, texts, 128)))


def test_a_special_token_that_is_spelt_out_is_text(minilm):
    assert minilm.encode("[SEP]").tokens == ["[CLS]", "[", "sep", "]", "[SEP]"]


def test_a_tokenizer_file_is_freed_of_padding_and_truncation(minilm):
    assert minilm.padding is None
    assert minilm.truncation is None
    assert len(minilm.encode("so " * 300).ids) == 302


def test_a_word_piece_tokenizer_survives_its_own_file(minilm):
    again = tokenizers.Tokenizer.from_str(minilm.to_str())
    assert [e.ids for e in again.encode_batch(AWKWARD)] == [e.ids for e in minilm.encode_batch(AWKWARD)]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("kind", ["BertTokenizer", "DistilBertTokenizer"])
def test_a_keras_hub_word_piece_tokenizer_gives_the_same_ids(kind, lowercase):
    vocabulary = [*tiny_vocabulary(), "é", "##é", "G", "##O"]
    hub = getattr(keras_hub.models, kind)(vocabulary=vocabulary, lowercase=lowercase, strip_accents=lowercase)
    ours, pad_id = tokenizer_from_keras_hub(hub)
    assert pad_id == hub.pad_token_id
    for text in ["A Good movie, isn't it?", "café GOOD", "watch it: 10/10 !", "unseen ☂ word", ""]:
        ids = [int(i) for i in np.asarray(hub(text))]
        assert ours.encode(text).ids == [hub.cls_token_id, *ids, hub.sep_token_id], text


def test_a_keras_hub_byte_pair_tokenizer_gives_the_same_ids():
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    merges = ["Ġ a", "Ġ t", "h e", "Ġt he", "m o", "v i", "mo vi", "movi e", "Ġ movie", "i n", "o o", "g oo", "goo d"]
    pieces = ["<s>", "<pad>", "</s>", *alphabet, *(pair.replace(" ", "") for pair in merges), "<mask>"]
    hub = keras_hub.models.RobertaTokenizer({piece: i for i, piece in enumerate(pieces)}, merges)
    ours, pad_id = tokenizer_from_keras_hub(hub)
    assert pad_id == hub.pad_token_id
    assert ours.token_to_id("<pad>") == hub.pad_token_id == 1
    for text in ["the movie is good", " a  good, movie!", "café isn't 10", "in\nthe end"]:
        ids = [int(i) for i in np.asarray(hub(text))]
        assert ours.encode(text).ids == [hub.start_token_id, *ids, hub.end_token_id], text
    assert ours.encode("the movie").tokens == ["<s>", "t", "he", "Ġmovie", "</s>"]


def test_other_keras_hub_tokenizers_are_refused():
    with pytest.raises(ValueError, match="Received: ByteTokenizer"):
        tokenizer_from_keras_hub(keras_hub.tokenizers.ByteTokenizer())


def test_only_word_pieces_run_inside_a_graph():
    ours = byte_pair_tokenizer({"<s>": 0, "<pad>": 1, "</s>": 2, "a": 3}, [])
    with pytest.raises(ValueError, match="Received: some with a tokenizer of type BPE"):
        in_graph_tokenizer(source(ours))
    with pytest.raises(ValueError, match="Received: some with a tokenizer of type None"):
        in_graph_tokenizer(source(None))


def test_without_tensorflow_text_the_error_says_so(monkeypatch, minilm):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(TlkerasError, match="pip install tensorflow-text"):
        in_graph_tokenizer(source(minilm))


def test_the_tiny_vocabulary_holds_each_piece_once_and_spells_any_ascii_word():
    vocabulary = tiny_vocabulary()
    assert len(set(vocabulary)) == len(vocabulary)
    encoded = word_piece_tokenizer(vocabulary, lowercase=True).encode("Zqxj's 42 (flop) {~}!")
    assert "[UNK]" not in encoded.tokens
    assert json.dumps(encoded.tokens[1:4]) == '["z", "##q", "##x"]'


TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "a  text with   many spaces ",
    "Letters, digits 123 and signs: $%& - don't!",
    "Café naïve ﬁne ½ １２ \u200bzero",
    "unknown letters: \u4e2d\u6587 \U0001f600",
    "special tokens [CLS] and <s> spelt out </s>",
    "",
]


@pytest.fixture(scope="module")
def sentence_piece():
    """A unigram model trained on the texts, with BERT's special pieces, as ALBERT has them."""
    import sentencepiece

    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_writer=stream,
        vocab_size=80,
        model_type="unigram",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        pad_piece="<pad>",
        unk_piece="<unk>",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        user_defined_symbols="[MASK]",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return stream.getvalue(), sentencepiece.SentencePieceProcessor(model_proto=stream.getvalue())


def test_a_sentence_piece_model_gives_the_ids_of_the_library(sentence_piece):
    proto, library = sentence_piece
    ours = unigram_tokenizer(read_model(proto), start="[CLS]", end="[SEP]")
    for text in TEXTS:
        assert ours.encode(text).ids == [2, *library.encode(text), 3], text


def test_xlm_robertas_ids_are_those_of_keras_hub(sentence_piece):
    hub = keras_hub.models.XLMRobertaTokenizer(proto=sentence_piece[0])
    ours, pad_id = tokenizer_from_keras_hub(hub)
    assert pad_id == 1
    for text in TEXTS:
        if "<s>" not in text:  # KerasHub takes special tokens that are spelt out for special tokens
            assert ours.encode(text).ids == [0, *np.asarray(hub(text)).tolist(), 2], text


def test_albert_lowers_letters_and_strips_accents_first(sentence_piece):
    hub = keras_hub.models.AlbertTokenizer(proto=sentence_piece[0])
    ours, pad_id = tokenizer_from_keras_hub(hub)
    assert pad_id == 0
    assert ours.encode("THE Fóx ``jumps''").ids == ours.encode('the fox "jumps"').ids
    assert ours.encode("the fox").ids == [2, *np.asarray(hub("the fox")).tolist(), 3]


def test_a_damaged_sentence_piece_model_is_refused(sentence_piece):
    proto = sentence_piece[0]
    for data in (b"", proto[: len(proto) // 3], b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x0f"):
        with pytest.raises(WeightsError):
            read_model(data)


def test_gpt2s_texts_end_with_its_own_last_token():
    pieces = {piece: index for index, piece in enumerate(["\u0100", "a", "b", "ab", "\u0120", "<|endoftext|>"])}
    ours, pad_id = tokenizer_from_keras_hub(keras_hub.models.GPT2Tokenizer(pieces, ["a b"]))
    assert pad_id == 0
    assert ours.encode("ab ab").ids == [3, 4, 3, 5]
    assert ours.encode("").ids == [5]
