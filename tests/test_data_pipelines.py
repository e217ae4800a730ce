import logging
import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tlkeras.data.pipelines import TokenizerFit, measure_tokenizer, tokenize, warn_of_foreign_texts

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "one", "two", "three", "four"]


@pytest.fixture
def tokenizer():
    own = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    return own


def test_texts_become_ids_with_special_tokens(tokenizer):
    rows = tokenize(["one two", "three what"], tokenizer, 8)
    assert [row.tolist() for row in rows] == [[2, 4, 5, 3], [2, 6, 1, 3]]
    assert all(row.dtype == np.int32 for row in rows)


def test_the_length_counts_special_tokens_and_the_end_is_cut(tokenizer):
    (row,) = tokenize(["one two three four"], tokenizer, 4)
    assert row.tolist() == [2, 4, 5, 3]


def test_the_given_tokenizer_is_left_as_it_came(tokenizer):
    tokenizer.enable_padding(length=9)
    tokenizer.enable_truncation(3)
    before = tokenizer.to_str()
    assert tokenize(["one two three"], tokenizer, 8)[0].tolist() == [2, 4, 5, 6, 3]
    assert tokenizer.to_str() == before


def test_truncation_is_reported_where_it_is_notable(tokenizer, caplog):
    with caplog.at_level(logging.INFO, logger="tlkeras"):
        tokenize(["one"] * 3 + ["one two three four"], tokenizer, 4)
        assert "25 % of 4 texts are longer than 4 tokens" in caplog.text
        caplog.clear()
        tokenize(["one"] * 200 + ["one two three four"], tokenizer, 4)
        assert caplog.text == ""


def test_many_texts_keep_their_order(tokenizer):
    texts = [WORDS[4 + n % 4] for n in range(9000)]
    assert [int(row[1]) for row in tokenize(texts, tokenizer, 8)] == [4 + n % 4 for n in range(9000)]


def test_a_length_without_room_for_text_is_an_error(tokenizer):
    with pytest.raises(ValueError, match=r"more than the 2 special tokens. Received: 2"):
        tokenize(["one"], tokenizer, 2)


def test_no_texts_give_no_rows(tokenizer):
    assert tokenize([], tokenizer, 8) == []


def test_tokenizing_imports_no_tensorflow():
    code = "import sys, tlkeras.data.pipelines; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_a_tokenizer_that_knows_the_texts_is_told_from_one_that_does_not(tokenizer, caplog):
    assert measure_tokenizer(["one two", "three what"], tokenizer) == TokenizerFit(unknown=0.25, pieces=1.0)
    pieces = Tokenizer(models.WordPiece({"[UNK]": 0, "one": 1, "t": 2, "##w": 3, "##o": 4}, unk_token="[UNK]"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    pieces.enable_truncation(1)
    assert measure_tokenizer(["one two"], pieces) == TokenizerFit(unknown=0.0, pieces=2.0)
    assert pieces.truncation is not None and pieces.truncation["max_length"] == 1
    assert TokenizerFit(0.0, 1.6).poor and TokenizerFit(0.03, 1.2).poor and not TokenizerFit(0.01, 1.3).poor
    with caplog.at_level(logging.WARNING, logger="tlkeras"):
        warn_of_foreign_texts(["one two three"] * 50, tokenizer, "known")
    assert not caplog.records
    warn_of_foreign_texts(["one what", "one two"], tokenizer, "small")
    assert "'small' hardly knows these texts: 25 % of the tokens are unknown" in caplog.text


def test_a_tokenizer_without_an_unknown_token_is_measured_by_its_pieces():
    own = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    assert measure_tokenizer(["ab a", ""], own) == TokenizerFit(unknown=0.0, pieces=1.5)
