"""A user's own files and folders: references by transformers and timm, earlier runs, and files that attack."""

import dataclasses
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from tests.references_of import IDS, draw, pixels, reference
from tlkeras.errors import WeightsError
from tlkeras.recipes import find_recipe, load_recipe
from tlkeras.sources import local, trial
from tlkeras.sources.blocks import chain
from tlkeras.sources.gate import check_hdf5, check_keras_file
from tlkeras.sources.image import load_image_source
from tlkeras.sources.local import holds_texts, open_image, open_text
from tlkeras.sources.text import load_text_source
from tlkeras.sources.tiny import tiny_vocabulary

layers = keras.layers


def write_folder(folder, name, *, prefix="", rename=None):
    """Write a reference's weights as transformers or timm would: config.json, model.safetensors."""
    shapes, config, outputs = reference(name)
    folder.mkdir(exist_ok=True)
    arrays = {f"{prefix}{key}": value for key, value in draw(shapes).items()}
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    return outputs


def write_vocabulary(folder, size=40):
    (folder / "vocab.txt").write_text("\n".join(tiny_vocabulary()[:size]) + "\n")


@pytest.mark.parametrize("kind", ["bert", "electra", "albert", "distilbert", "roberta"])
@pytest.mark.parametrize("prefixed", [False, True])
def test_a_hugging_face_encoder_computes_what_transformers_computes(tmp_path, kind, prefixed):
    expected = write_folder(tmp_path, kind, prefix=f"{kind}." if prefixed else "")
    write_vocabulary(tmp_path)
    opened = open_text(tmp_path)
    ids = np.where(IDS == 1, opened.pad_id, IDS).astype("int32")
    hidden, mask = chain(opened.blocks, name="all")(ids)
    np.testing.assert_array_equal(mask, ids != opened.pad_id)
    np.testing.assert_allclose(np.asarray(hidden)[np.asarray(mask)], expected[np.asarray(mask)], atol=1e-4)
    assert opened.size == {"roberta": 22}.get(kind, 24)
    assert opened.facts["sha256"].keys() == {"model.safetensors"}


def test_gpt2_from_a_hugging_face_folder_ends_a_text_with_its_last_token(tmp_path):
    expected = write_folder(tmp_path, "gpt2")
    pieces = ["\u0100", "a", "b", "c", "ab", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    opened = open_text(tmp_path)
    assert opened.pad_id == 0
    assert opened.tokenizer is not None
    assert opened.tokenizer.encode("abc").ids == [4, 3, 5]
    assert opened.tokenizer.encode("").ids == [5]
    # Causal: what precedes is seen, what follows is not; padding does not matter.
    hidden, _ = chain(opened.blocks, name="all")(IDS[:1].astype("int32"))
    np.testing.assert_allclose(hidden, expected[:1], atol=1e-4)


def test_a_vision_transformer_from_a_hugging_face_folder_computes_what_transformers_computes(tmp_path):
    expected = write_folder(tmp_path, "vit")
    opened = open_image(tmp_path)
    np.testing.assert_allclose(chain(opened.blocks, name="all")(pixels(32)), expected, atol=1e-4)
    assert [block.name for block in opened.blocks] == ["embeddings", "layer_1", "layer_2"]
    larger = open_image(tmp_path, size=50)
    assert (larger.size, larger.blocks[0].network.output_shape) == (64, (None, 17, 16))


def test_a_network_from_a_timm_folder_computes_what_timm_computes(tmp_path):
    expected = write_folder(tmp_path, "timm_mobilenet")
    opened = open_image(tmp_path, size=64)
    np.testing.assert_allclose(chain(opened.blocks, name="all")(pixels(64)), expected, atol=1e-4)
    assert opened.facts["licence"] == "apache-2.0"
    assert open_image(tmp_path, size=96).size == 96


@pytest.fixture
def without_trial(monkeypatch):
    monkeypatch.setattr(trial, "try_first", lambda *_, **__: None)


def run_recipe(name, source, folder, **settings):
    recipe = load_recipe(find_recipe(name))
    config = recipe.Config(**{**recipe.SMOKE, "source": str(source), "output": str(folder), **settings})
    known = {field.name for field in dataclasses.fields(config)}
    assert set(settings) <= known
    return recipe.run(config)


def test_a_hugging_face_folder_runs_through_a_recipe_and_its_run_is_a_source_again(tmp_path, monkeypatch):
    write_folder(tmp_path / "bert", "bert")
    write_vocabulary(tmp_path / "bert")
    assert holds_texts(tmp_path / "bert")
    run_recipe("text_classification", tmp_path / "bert", tmp_path / "run", sequence_length=16, epochs=1)
    assert json.loads((tmp_path / "run" / "finished.json").read_text())
    monkeypatch.setattr(trial, "try_first", lambda *_, **__: None)
    assert holds_texts(tmp_path / "run")
    again = load_text_source(str(tmp_path / "run"))
    assert [block.name for block in again.blocks] == ["embeddings", "layer_1", "layer_2"]
    assert (again.input_size, again.pad_id, again.name) == (16, 0, "run")
    trained = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert again.tokenizer is not None
    ids = np.array([again.tokenizer.encode("a good film").ids], "int32")
    expected = trained.get_layer("layer_2")(trained.get_layer("layer_1")(trained.get_layer("embeddings")(ids)))[0]
    np.testing.assert_array_equal(again.network(ids)[0], expected)
    assert len(again.network.trainable_weights) == len(again.network.weights), "what the run froze must learn again"


def coloured(folder):
    """Write noisy red and blue pictures: so easy that a random network tells them apart."""
    generator = np.random.default_rng(0)
    for channel, name in ((0, "red"), (2, "blue")):
        (folder / name).mkdir(parents=True)
        for index in range(20):
            picture = generator.integers(0, 60, (40, 40, 3), np.uint8)
            picture[..., channel] += 150
            Image.fromarray(picture).save(folder / name / f"{index}.png")
    return str(folder)


@pytest.mark.slow
def test_a_timm_folder_runs_through_a_recipe_and_its_run_is_a_source_again(tmp_path, without_trial):
    write_folder(tmp_path / "timm", "timm_mobilenet")
    run_recipe(
        "image_classification", tmp_path / "timm", tmp_path / "run", image_size=65, epochs=2, data=coloured(tmp_path / "data")
    )
    assert not holds_texts(tmp_path / "run")
    again = load_image_source(str(tmp_path / "run"))
    before = load_image_source(str(tmp_path / "timm"), image_size=65)
    trained = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    np.testing.assert_array_equal(again.blocks[0].network(pixels(65)), trained.get_layer("stem")(pixels(65)))
    np.testing.assert_allclose(again.blocks[0].network(pixels(65)), before.blocks[0].network(pixels(65)), atol=1e-5)
    assert [block.name for block in again.blocks] == [block.name for block in before.blocks]
    with pytest.raises(WeightsError, match=r"takes pictures of 65 pixels\. Received: image size 33"):
        load_image_source(str(tmp_path / "run"), image_size=33)


def own_network(*, scaled=True, size=16, classifier=True):
    x = image = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 255)(x) if scaled else x
    for channels in (4, 8):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu")(x)
    if classifier:
        x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
        x = layers.Softmax()(layers.Dense(5, name="classes")(x))
    return keras.Model(image, x)


def test_a_keras_file_is_taken_without_its_classifier(tmp_path, without_trial, caplog):
    network = own_network()
    network.save(tmp_path / "mine.keras")
    with caplog.at_level("INFO", logger="tlkeras"):
        source = load_image_source(str(tmp_path / "mine.keras"))
    assert "'classes' (5 outputs) is left out" in caplog.text
    values = pixels(16)
    assert source.head is not None
    kernel, bias = source.head
    scores = np.asarray(source.network(values)) @ kernel + bias
    exponents = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(exponents / exponents.sum(1, keepdims=True), network(values), atol=1e-6)
    assert (source.name, source.input_size, len(source.facts["sha256"])) == ("mine", 16, 64)
    assert load_image_source(str(tmp_path / "mine.keras"), image_size=32).input_size == 32


def test_a_keras_file_without_scaling_is_warned_of_and_one_of_any_size_needs_a_size(tmp_path, without_trial, caplog):
    own_network(scaled=False, size=None, classifier=False).save(tmp_path / "mine.keras")
    with pytest.raises(WeightsError, match="takes pictures of any size: give one, as in --image-size 224"):
        load_image_source(str(tmp_path / "mine.keras"))
    source = load_image_source(str(tmp_path / "mine.keras"), image_size=24)
    assert "has no Rescaling or Normalization layer at its start" in caplog.text
    assert source.network.output_shape == (None, 6, 6, 8)


def test_weights_for_a_named_architecture_are_loaded_with_its_scaling(tmp_path, without_trial):
    made = load_image_source("tiny_cnn", seed=7)
    plain = keras.models.clone_model(keras.Model(made.network.input, made.network.output))
    plain.set_weights(made.network.get_weights())
    from tlkeras.sources.networks import build_tiny_cnn

    network = build_tiny_cnn(33)
    network.set_weights(made.network.get_weights())
    network.save_weights(tmp_path / "tiny.weights.h5")
    source = load_image_source(f"tiny_cnn:{tmp_path / 'tiny.weights.h5'}")
    np.testing.assert_array_equal(source.network(pixels(33)), made.network(pixels(33)))
    with pytest.raises(WeightsError, match="does not hold the weights of 'mobilenet_v3_small' without a classifier"):
        load_image_source(f"mobilenet_v3_small:{tmp_path / 'tiny.weights.h5'}")
    with pytest.raises(WeightsError, match=r"must be in a \.weights\.h5 or \.h5 file\. Received: 'tiny\.npy'"):
        open_image(tmp_path / "tiny.npy", architecture="tiny_cnn")


def test_a_path_that_does_not_exist_or_a_kind_that_is_not_read_says_what_is(tmp_path):
    with pytest.raises(WeightsError, match=r"no file or folder .*A source is a name \(tlkeras sources\), or a \.keras file"):
        load_image_source(str(tmp_path / "nothing.keras"))
    with pytest.raises(ValueError, match="Unknown image source model"):
        load_image_source("no_such_name")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="a folder with nothing in it"):
        open_image(tmp_path / "empty")


# Files that attack.


class Call:
    """Pickles as a call of `function(*args)`."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def rewrite(path, change=None, extra=()):
    """Write a .keras file anew, with its configuration changed and with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if change:
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in [*members.items(), *extra]:
            archive.writestr(name, content)


@pytest.fixture
def saved(tmp_path):
    own_network().save(tmp_path / "evil.keras")
    return tmp_path / "evil.keras"


def as_layer(**entry):
    return lambda config: config["config"]["layers"][1].update(entry)


def in_config(**entry):
    return lambda config: config["config"]["layers"][1]["config"].update(entry)


ATTACKS = {
    "lambda": as_layer(class_name="Lambda", module="keras.layers"),
    "saved_model": as_layer(class_name="TFSMLayer", module="keras.layers"),
    "torch": as_layer(class_name="TorchModuleWrapper", module="keras.layers"),
    "os.system": as_layer(class_name="system", module="os"),
    "get_file": as_layer(class_name="function", module="keras.utils", config="get_file"),
    "unsafe": as_layer(class_name="function", module="keras.config", config="enable_unsafe_deserialization"),
    "registered": as_layer(registered_name="evil>Rescaling"),
    "other_module": as_layer(module="evil.layers"),
    "inner_lambda": in_config(scale={"class_name": "__lambda__", "config": {"value": "x"}}),
    "hub_tokenizer": as_layer(class_name="BertTokenizer", module="keras_hub.src.models.bert.bert_tokenizer"),
    "hub_function": as_layer(class_name="get_file", module="keras_hub.src.utils.preset_utils"),
    "not_loaded": as_layer(class_name="Layer", module="keras_hub.evil"),
    "vocabulary": as_layer(class_name="StringLookup", module="keras.layers"),
    "path": in_config(name="/etc/passwd"),
    "address": in_config(name="https://example.org/x"),
    "parent": in_config(name="a/../../etc/passwd"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_keras_file_that_wants_more_than_to_compute_is_refused(saved, attack):
    check_keras_file(saved)
    rewrite(saved, ATTACKS[attack])
    with pytest.raises(WeightsError, match=r"wants to build|points to a file or address"):
        check_keras_file(saved)


def test_a_lambda_that_keras_itself_wrote_is_refused(tmp_path):
    image = keras.Input((8, 8, 3))
    keras.Model(image, layers.Lambda(lambda x: x * 2)(image)).save(tmp_path / "evil.keras")
    with pytest.raises(WeightsError, match="wants to build 'Lambda'"):
        open_image(tmp_path / "evil.keras")


def test_members_that_keras_does_not_write_are_refused(saved):
    witness = saved.parent / "executed"
    stream = io.BytesIO()
    np.save(stream, np.array([Call(os.system, f"touch {witness}")], dtype=object), allow_pickle=True)
    original = saved.read_bytes()
    for extra in (("model.weights.npz", stream.getvalue()), ("../escape", b""), ("assets/a.txt", b""), ("/etc/cron.d/x", b"")):
        saved.write_bytes(original)
        rewrite(saved, extra=[extra])
        with pytest.raises(
            WeightsError, match=r"A \.keras file may hold metadata\.json, config\.json, model\.weights\.h5 and nothing"
        ):
            open_image(saved)
    assert not witness.exists()
    np.load(io.BytesIO(stream.getvalue()), allow_pickle=True)  # as dangerous as it looks
    assert witness.exists()


def test_a_member_that_unpacks_to_far_more_than_it_takes_is_refused(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, "config.json": b" " * 60_000_000 + members["config.json"]}.items():
            archive.writestr(name, content)
    with pytest.raises(WeightsError, match=r"config\.json unpacks to 60,\d+"):
        check_keras_file(saved)


@pytest.mark.parametrize("name", ["model.npy", "model.pkl", "model.pt", "model.h5", "model.tflite"])
def test_pickles_and_models_that_hold_code_are_never_opened(tmp_path, name):
    witness = tmp_path / "executed"
    (tmp_path / name).write_bytes(pickle.dumps(Call(os.system, f"touch {witness}")))
    with pytest.raises(WeightsError, match="cannot be read as a source model"):
        open_image(tmp_path / name)
    assert not witness.exists()


def hdf5(path, attack):
    with h5py.File(path, "w") as file:
        group = file.create_group("layers")
        group["kernel"] = np.zeros((3, 3), "float32")
        if attack == "external_link":
            group["evil"] = h5py.ExternalLink("/etc/passwd", "/")
        elif attack == "soft_link":
            group["evil"] = h5py.SoftLink("/layers/kernel")
        elif attack == "hard_link":
            group["evil"] = group["kernel"]
        elif attack == "external_storage":
            group.create_dataset("evil", (8,), "u1", external=[("/etc/passwd", 0, 8)])
        elif attack == "virtual":
            layout = h5py.VirtualLayout((3,), "f4")
            layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3,))
            group.create_virtual_dataset("evil", layout)
        elif attack == "bomb":
            group.create_dataset("evil", (200_000, 200_000), "f4", chunks=(100, 100))
        elif attack == "objects":
            group.create_dataset("evil", (2,), h5py.string_dtype())
        elif attack == "deep":
            for _ in range(100):
                group = group.create_group("x")


MESSAGES = {
    "external_link": "is a link to another place or file",
    "soft_link": "is a link to another place or file",
    "hard_link": "occurs in two places",
    "external_storage": "is stored in another file",
    "virtual": "is stored in another file",
    "bomb": "claims arrays of 160,000,000,036 bytes",
    "objects": "not numbers",
    "deep": "nested too deeply",
}


@pytest.mark.parametrize("attack", MESSAGES)
def test_a_hostile_hdf5_file_is_refused(tmp_path, attack):
    path = tmp_path / "evil.weights.h5"
    hdf5(path, "")
    check_hdf5(path, path.stat().st_size, str(path))
    hdf5(path, attack)
    with pytest.raises(WeightsError, match=f"evil.weights.h5.*{MESSAGES[attack]}"):
        open_image(path, architecture="tiny_cnn")


def test_a_hostile_hdf5_file_inside_a_keras_file_is_refused(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    hdf5(saved.parent / "evil.h5", "external_link")
    members["model.weights.h5"] = (saved.parent / "evil.h5").read_bytes()
    with zipfile.ZipFile(saved, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(WeightsError, match="is a link to another place or file"):
        open_image(saved)


def tamper(path, change):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, arrays = json.loads(content[8 : 8 + length]), content[8 + length :]
    header, arrays = change(header, arrays)
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + arrays)


def first(header):
    return next(name for name in header if name != "__metadata__")


def with_entry(**change):
    return lambda header, arrays: ({**header, first(header): {**header[first(header)], **change}}, arrays)


TAMPERED = {
    "offset": with_entry(data_offsets=[4, 68]),
    "beyond": with_entry(data_offsets=[0, 10**15]),
    "negative": with_entry(shape=[-1, 4]),
    "huge": with_entry(shape=[10**9, 10**9]),
    "kind": with_entry(dtype="PICKLE"),
    "cut_short": lambda header, arrays: (header, arrays[:-4]),
    "appended": lambda header, arrays: (header, arrays + b"MZ"),
    "no_json": lambda header, arrays: (b"{" * 50, arrays),
    "nested": lambda header, arrays: (b"[" * 50_000 + b"]" * 50_000, arrays),
    "twice": lambda header, arrays: (json.dumps(header).encode()[:-1] + b', "a": 1, "a": 2}', arrays),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_a_tampered_safetensors_header_is_refused(tmp_path, change):
    write_folder(tmp_path, "bert")
    write_vocabulary(tmp_path)
    tamper(tmp_path / "model.safetensors", TAMPERED[change])
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        open_text(tmp_path)


def test_a_header_longer_than_its_file_and_a_wrong_configuration_are_refused(tmp_path):
    write_folder(tmp_path, "bert")
    write_vocabulary(tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes((2**60).to_bytes(8, "little") + weights[8:])
    with pytest.raises(WeightsError, match=f"its header claims {2**60} bytes"):
        open_text(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(weights)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"vocab_size": 10**9}, "vocab_size must be a whole number"),
        ({"hidden_size": 999_999}, "do not fit"),
        ({"num_hidden_layers": 400}, "do not fit"),
        ({"num_attention_heads": 5}, "cannot be shared by 5 heads"),
        ({"model_type": "llama"}, "of type 'llama'"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(WeightsError, match=message):
            open_text(tmp_path)


def test_an_index_cannot_lead_out_of_the_folder_and_a_pickle_is_no_weights(tmp_path):
    write_folder(tmp_path, "bert")
    (tmp_path / "model.safetensors").rename(tmp_path.parent / "elsewhere.safetensors")
    index = {"weight_map": {"a": "../elsewhere.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="must be a plain file in it"):
        open_text(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(
        WeightsError, match=r"pytorch_model\.bin\. Weights in pickles .* save the model with safe_serialization=True"
    ):
        open_text(tmp_path)


def test_the_trial_hands_a_refusal_on_and_stops_what_wants_too_much_memory(tmp_path, monkeypatch):
    # A network that no check forbids, and that takes 400 GB as soon as it is built.
    image = keras.Input((8, 8, 3))
    x = layers.Dense(2, name="bomb")(layers.Flatten()(layers.Rescaling(1 / 255)(image)))
    keras.Model(image, x).save(tmp_path / "bomb.keras")

    def inflate(config):
        next(item for item in config["config"]["layers"] if item["config"]["name"] == "bomb")["config"]["units"] = 10**9 // 2

    rewrite(tmp_path / "bomb.keras", inflate)
    monkeypatch.setattr(local, "open_image", lambda *_, **__: pytest.fail("opened here, not in the trial"))
    with pytest.raises(WeightsError, match=r"bomb\.keras"):
        load_image_source(str(tmp_path / "bomb.keras"))


def test_a_trial_that_takes_too_long_is_ended(tmp_path):
    own_network().save(tmp_path / "slow.keras")
    with pytest.raises(WeightsError, match=r"slow\.keras was not loaded within 0 s in a trial"):
        trial.try_first(Path(tmp_path / "slow.keras"), "image", {}, seconds=0.05)
