import json
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.export_models import CLASSES, image_model, text_model
from tlkeras.export import metadata
from tlkeras.export.artifact import ArtifactError

MODEL = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 4


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(metadata.seal_tflite(MODEL, metadata.contract(image_model()), metadata.associated_files(image_model())))
    return path


def test_hostile_labels_survive_in_the_contract(tmp_path):
    labels = [*CLASSES, "\udcff not Unicode", "", "日本", "\x00\x1b[31m"]
    path = tmp_path / "m.tflite"
    path.write_bytes(metadata.seal_tflite(MODEL, {**metadata.contract(image_model()), "labels": labels}, {}))
    assert metadata.read_tflite(path).contract["labels"] == labels


def test_labels_take_one_line_each():
    text = metadata.labels_text(("a\nb\r\x00", "c\u2028d", "e\udcff"))
    assert text.decode().splitlines() == ["a b  ", "c d", "e?"]


def test_the_contract_of_pictures_says_how_to_make_the_input():
    terms = json.loads(metadata.to_json(metadata.contract(image_model())))
    assert terms["input"] == {
        "name": "image",
        "dtype": "uint8",
        "shape": [None, 24, 24, 3],
        "size": 24,
        "resize": "crop",
        "colour": "RGB",
        "range": [0, 255],
    }
    assert terms["output"] == {"name": "probabilities", "dtype": "float32", "shape": [None, 3], "score": "softmax"}
    assert terms["source"] == {"name": "tiny", "pretrained": False, "licence": "Apache-2.0"}


def test_the_contract_of_texts_names_ids_padding_and_length():
    expected = {"pad_id": 0, "sequence_length": 12, "tokenizer": "tokenizer.json"}
    ids, strings = (metadata.contract(text_model(), strings=strings)["input"] for strings in (False, True))
    assert ids == {"name": "token_ids", "dtype": "int32", "shape": [None, None], **expected}
    assert strings == {"name": "text", "dtype": "string", "shape": [None], **expected}


def test_texts_carry_tokenizer_and_vocabulary():
    import tokenizers

    files = metadata.associated_files(text_model())
    assert files["vocab.txt"].decode().split("\n")[:6] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "film"]
    assert tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode()).encode("The film!").ids == [2, 4, 5, 14, 3]


def test_sealing_leaves_the_model_alone_and_gives_the_same_bytes_again(sealed):
    content = sealed.read_bytes()
    assert content.startswith(MODEL)
    assert content == metadata.seal_tflite(MODEL, metadata.contract(image_model()), metadata.associated_files(image_model()))
    # Offsets that unzip accepts, and nothing compressed: readers on phones map the files.
    assert subprocess.run([sys.executable, "-m", "zipfile", "-t", sealed], check=True).returncode == 0
    with zipfile.ZipFile(sealed) as archive:
        assert [(item.filename, item.compress_type) for item in archive.infolist()] == [("metadata.json", 0), ("labels.txt", 0)]
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_every_changed_byte_of_the_model_is_noticed(sealed):
    content = sealed.read_bytes()
    for position in (0, 100, len(MODEL) - 1):
        damaged = bytearray(content)
        damaged[position] ^= 1
        sealed.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"damaged.*sha256"):
            metadata.read_tflite(sealed)


@pytest.mark.parametrize("kept", [len(MODEL) // 2, len(MODEL), -300, -1])
def test_a_file_that_was_cut_short_is_refused(sealed, kept):
    sealed.write_bytes(sealed.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"model\.tflite.*cut short"):
        metadata.read_tflite(sealed)


def test_foreign_archives_are_refused(tmp_path):
    path = tmp_path / "foreign.tflite"
    for name, data, kind in (
        ("labels.txt", b"a\n", zipfile.ZIP_STORED),
        ("metadata.json", b"[]", zipfile.ZIP_STORED),
        ("metadata.json", b'{"format": "other"}', zipfile.ZIP_STORED),
        ("metadata.json", b"\xff\xfe", zipfile.ZIP_STORED),
        ("metadata.json", b" " * 10_000, zipfile.ZIP_DEFLATED),
    ):
        path.write_bytes(MODEL)
        with zipfile.ZipFile(path, "a", kind) as archive:
            archive.writestr(name, data)
        with pytest.raises(ArtifactError, match=r"tlkeras did not write|not exported by tlkeras"):
            metadata.read_tflite(path)


def test_artefacts_of_a_newer_version_are_refused_with_the_way_out(tmp_path):
    path = tmp_path / "new.tflite"
    path.write_bytes(metadata.seal_tflite(MODEL, {**metadata.contract(image_model()), "format_version": 99}, {}))
    with pytest.raises(ArtifactError, match=r"newer tlkeras.*pip install -U"):
        metadata.read_tflite(path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "saved_model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.data").write_bytes(b"weights")
    metadata.seal_saved_model(folder, metadata.contract(text_model()), metadata.associated_files(text_model()))
    return folder


def test_a_saved_model_carries_the_same_files(folder):
    embedded = metadata.read_saved_model(folder)
    assert embedded.contract["labels"] == list(text_model().classes)
    assert embedded.files == metadata.associated_files(text_model())


def test_changed_missing_and_added_files_of_a_saved_model_are_named(folder):
    weights = folder / "variables" / "variables.data"
    weights.write_bytes(b"Weights")
    with pytest.raises(ArtifactError, match=r"variables/variables\.data is not what was exported"):
        metadata.read_saved_model(folder)
    weights.unlink()
    with pytest.raises(ArtifactError, match=r"variables/variables\.data is not what was exported"):
        metadata.read_saved_model(folder)
    weights.write_bytes(b"weights")
    (folder / "assets.pb").write_bytes(b"more")
    with pytest.raises(ArtifactError, match=r"assets\.pb is not what was exported"):
        metadata.read_saved_model(folder)


def test_a_foreign_saved_model_is_refused(folder):
    shutil.rmtree(folder / "assets.extra")
    with pytest.raises(ArtifactError, match=r"program, so a foreign one is not loaded"):
        metadata.read_saved_model(folder)
