import importlib.util
import shutil

import numpy as np
import pytest

from tests.data_files import all_parts, by_id, fill_classes, sizes
from tlkeras.data import catalogues, encoded
from tlkeras.data.decode import read_pixels
from tlkeras.data.load import load_images, load_texts
from tlkeras.errors import DataError

tfds = pytest.importorskip("tensorflow_datasets")
if not hasattr(tfds, "core"):  # it logs that protobuf and tensorflow-metadata do not fit together, and goes on half loaded
    pytest.skip("TensorFlow Datasets cannot be imported here", allow_module_level=True)
FORMATS = ["tfrecord", *(["array_record"] if importlib.util.find_spec("array_record") else [])]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The data set, prepared by TensorFlow Datasets itself in each format; gives the data folder of a format."""
    from tests.tfds_builder import TinyPictures

    tfds.disable_progress_bar()
    root = tmp_path_factory.mktemp("tfds")
    for name in FORMATS:
        TinyPictures(data_dir=root / name, file_format=name).download_and_prepare()
    return root


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("prefix", ["", "tfds:"])
@pytest.mark.parametrize("depth", ["tiny_pictures/1.0.0", "tiny_pictures", ""])
def test_a_prepared_folder_is_loaded_from_every_depth(prepared, kind, prefix, depth):
    splits = load_images(f"{prefix}{prepared / kind / depth}")
    assert splits.classes == ("red", "blue") and sum(sizes(splits)) == 16 and sizes(splits)[2] == 4
    assert splits.train.store.where(0).endswith(f"/{splits.train.ids[0]}")


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_and_labels_are_those_that_were_prepared(prepared, kind):
    splits = load_images(f"tfds:{prepared / kind}")
    shades: dict[str, int] = {}
    for part in all_parts(splits):
        pixels = read_pixels(part.store, 4)
        assert (pixels == pixels[:, :1, :1]).all() and (pixels[:, 0, 0, 1:] == [0, 7]).all()
        assert [shade % 2 for shade in pixels[:, 0, 0, 0].tolist()] == part.labels.tolist()
        shades.update(zip(part.ids.tolist(), pixels[:, 0, 0, 0].tolist(), strict=True))
    assert sorted(shades.values()) == [*range(12), *range(100, 104)]
    builder = tfds.builder_from_directory(str(prepared / kind / "tiny_pictures" / "1.0.0"))
    if kind == "tfrecord":
        first = next(iter(builder.as_dataset(split="train").as_numpy_iterator()))
    else:
        first = builder.as_data_source(split="train")[0]
    assert shades["train, row 1"] == first["image"][0, 0, 0]


def test_every_format_gives_the_same_examples(prepared):
    content = [
        sorted(zip(part.metadata["digest"], part.labels, strict=True))
        for kind in FORMATS
        for part in [load_images(f"tfds:{prepared / kind}").test]
    ]
    assert all(one == content[0] for one in content)


def test_texts_tags_and_values_are_loaded(prepared):
    data = f"tfds:{prepared / FORMATS[0]}"
    with pytest.raises(DataError, match=r"holds pictures\. The recipe for it: .*image_classification"):
        load_texts(data)
    splits = load_images(data, label_column="tags")
    assert splits.classes == ("big", "small")
    assert sorted(by_id(splits).values()).count("big|small") == len([n for n in (*range(12), *range(100, 104)) if n % 3 == 2])
    values = load_images(data, label_column="price", target="value")
    assert sorted(map(float, by_id(values).values())) == [n / 4 for n in (*range(12), *range(100, 104))]
    table = catalogues.read_tfds(str(prepared / FORMATS[0]))
    assert table.column("caption")[0].startswith("\u00e9 ") and "box" not in table.columns


def test_splits_of_other_names_are_left_out_and_that_is_said(prepared):
    notes = load_images(f"tfds:{prepared / FORMATS[0]}").notes
    assert any("'extra'" in note and "left out" in note for note in notes)


def test_a_prepared_data_set_is_found_by_name(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared / FORMATS[0]))
    assert sum(sizes(load_images("tfds:tiny_pictures"))) == 16


def test_pictures_that_would_fill_the_memory_are_refused(prepared, monkeypatch):
    monkeypatch.setattr(encoded, "MEMORY_LIMIT", 500)
    with pytest.raises(DataError, match=r"tiny_pictures/1\.0\.0/train' need more than 500 bytes.*array_record"):
        load_images(f"tfds:{prepared / 'tfrecord' / 'tiny_pictures' / '1.0.0'}")


def test_without_data_and_without_a_network_the_ways_out_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(catalogues, "_is_online", lambda: False)
    with pytest.raises(DataError) as raised:
        load_images("tfds:mnist")
    message = str(raised.value)
    assert f"'mnist' is not in {tmp_path}" in message and "no network" in message
    assert "download_and_prepare()" in message and "TFDS_DATA_DIR" in message and "tfds:FOLDER" in message


def test_a_download_that_fails_is_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(catalogues, "_is_online", lambda: True)

    def fail(*_, **__):
        raise ConnectionError("Artifact checksum\n  mismatch")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(DataError, match=r"'mnist' cannot be prepared: Artifact checksum mismatch"):
        load_images("tfds:mnist")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tfds:mnits", "no data set 'mnits'. Did you mean 'mnist'"),
        ("tfds:glue:colla", "cannot build 'glue:colla'"),
        ("tfds:nosuchthing_at_all_", "no data set 'nosuchthing_at_all_'"),
    ],
)
def test_names_that_do_not_exist_are_explained(name, message):
    with pytest.raises(DataError, match=message):
        load_images(name)


def test_folders_that_are_damaged_or_hold_none_are_explained(prepared, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"must hold one data set.*Found none"):
        load_images(f"tfds:{tmp_path / 'empty'}")
    folder = tmp_path / "tiny_pictures" / "1.0.0"
    shutil.copytree(prepared / "tfrecord" / "tiny_pictures" / "1.0.0", folder)
    shutil.copytree(folder, folder.with_name("1.0.1"))
    with pytest.raises(DataError, match="Found 2 data sets"):
        load_images(f"tfds:{tmp_path}")
    (folder / "tiny_pictures-train.tfrecord-00000-of-00001").unlink()
    with pytest.raises(DataError, match=r"cannot read the split 'train' of "):
        load_images(folder)
    (folder / "features.json").write_text("{")
    with pytest.raises(DataError, match=r"cannot read '.*1\.0\.0'"):
        load_images(folder)


def test_the_layout_of_image_folder_is_read_as_tfds_reads_it(tmp_path):
    for place, part in enumerate(("train", "test")):
        fill_classes(tmp_path / part, {"cat": 5, "dog": 5}, start=100 * place)
    theirs = tfds.folder_dataset.ImageFolder(str(tmp_path)).as_dataset(split="test", as_supervised=True)
    expected = sorted((int(image[0, 0, 0]), int(label)) for image, label in theirs.as_numpy_iterator())
    ours = load_images(tmp_path).test
    assert sorted(zip(read_pixels(ours.store, 4)[:, 0, 0, 0].tolist(), ours.labels.tolist(), strict=True)) == expected


@pytest.mark.skipif("array_record" not in FORMATS, reason="array_record exists on Linux and macOS only")
def test_rows_are_read_at_random_and_by_several_threads(prepared):
    store = load_images(f"tfds:{prepared / 'array_record'}").train.store
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(store)), 20))
    straight = read_pixels(store, 4)
    np.testing.assert_array_equal(read_pixels(store.take(order), 4), straight[order])


def test_a_half_loaded_tfds_is_explained(monkeypatch):
    monkeypatch.delattr(tfds, "core")
    with pytest.raises(DataError, match=r"does not work in this Python environment.*protobuf"):
        load_images("tfds:mnist")
