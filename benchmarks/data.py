"""How fast data is read, checked and made into batches, beside what a user would take instead, on the same files in one run.

    pip install simplejpeg
    python benchmarks/data.py [--pictures 100] [--texts 20000] [--rows 1000000]

Prints a table; each number is the median of five passes over files that are in the page cache, the ways taken in turn. The time
of a core says more than the clock where other work shares the machine.
"""

import argparse
import csv
import io
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from tlkeras.data.examples import ImageFiles

SIZE = 224


def write_pictures(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Write JPEGs with detail at all scales, quality 90, in two class folders."""
    generator = np.random.default_rng(0)
    paths = []
    for index in range(count):
        noise = [Image.fromarray(generator.integers(0, 256, (side, side, 3), np.uint8)) for side in (3, 12, 50, 200)]
        layers = [np.asarray(picture.resize((width, height)), np.float32) for picture in noise]
        path = folder / ("ab"[index % 2]) / f"{index:04d}.jpg"
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(np.mean(layers, axis=0).astype(np.uint8)).save(path, quality=90)
        paths.append(path)
    return paths


def rate(count: int, work: Callable[[], object]) -> float:
    """Return examples per second, the median of three passes after one to warm up."""
    seconds = []
    for repeat in range(4):
        started = time.perf_counter()
        work()
        if repeat:
            seconds.append(time.perf_counter() - started)
    return count / statistics.median(seconds)


def compare(count: int, ways: Mapping[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Return examples per second, and milliseconds of all cores for one, of several ways: medians of five passes, in turn."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for repeat in range(6):
        for name, work in ways.items():
            started, used = time.perf_counter(), time.process_time()
            work()
            if repeat:  # the first is to warm up
                taken[name].append((time.perf_counter() - started, time.process_time() - used))
    wall, cores = (
        {name: statistics.median(pair[place] for pair in pairs) for name, pairs in taken.items()} for place in (0, 1)
    )
    return {name: (count / wall[name], 1000 * cores[name] / count) for name in ways}


def with_tlkeras(paths: list[Path]) -> None:
    """Read as training does."""
    from tlkeras.data.decode import iterate_pixels

    for _ in iterate_pixels(ImageFiles(tuple(map(str, paths))), SIZE, 32):
        pass


def with_keras(folder: Path) -> None:
    """Read as the Keras guides do."""
    import keras

    read = keras.utils.image_dataset_from_directory
    data = read(folder, image_size=(SIZE, SIZE), batch_size=32, shuffle=False, verbose=False)
    for _ in data.prefetch(2):
        pass


def decode_only(paths: list[Path], size: int, decode: Callable[[bytes, int], object]) -> None:
    """Only decode, at the smallest scale that leaves as many pixels as tlkeras asks for, in as many threads as cores."""
    from tlkeras.data.decode import least_side

    side = least_side(size)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda path: decode(path.read_bytes(), side), paths))


def by_simplejpeg(data: bytes, side: int) -> None:
    """Decode with libjpeg-turbo as simplejpeg has it, at 1, 1/2, 1/4 or 1/8: at scales between, it takes longer than at 1."""
    import simplejpeg

    simplejpeg.decode_jpeg(data, min_height=side, min_width=side, min_factor=2)


def by_pillow(data: bytes, side: int) -> None:
    """Decode with libjpeg-turbo as Pillow has it."""
    image = Image.open(io.BytesIO(data), formats=["JPEG"])
    image.draft(None, (side, side))
    image.load()


def compare_pictures(count: int) -> None:
    """Print pictures per second for several megapixels and for small ones: into batches, and checked."""
    from tlkeras.data import resize
    from tlkeras.report.check import check_data

    for width, height, times in ((4000, 3000, 1), (1600, 1200, 4), (500, 375, 8)):
        with tempfile.TemporaryDirectory() as name:
            paths = write_pictures(Path(name), count * times, width, height)

            def in_batches(vectors: bool, paths: list[Path] = paths) -> None:
                found, resize.vectorised = resize.vectorised, lambda: vectors  # type: ignore[assignment]
                with_tlkeras(paths)
                resize.vectorised = found

            ways: dict[str, Callable[[], object]] = {
                "tlkeras": lambda: in_batches(False),
                "tlkeras[fast]": lambda: in_batches(True),
                "image_dataset_from_directory": lambda name=name: with_keras(Path(name)),
                "decoding alone, simplejpeg": lambda paths=paths: decode_only(paths, SIZE, by_simplejpeg),
                "decoding alone, Pillow": lambda paths=paths: decode_only(paths, SIZE, by_pillow),
                "tlkeras check": lambda name=name: check_data(name),
                "decoding for check, simplejpeg": lambda paths=paths: decode_only(paths, 32, by_simplejpeg),
                "decoding for check, Pillow": lambda paths=paths: decode_only(paths, 32, by_pillow),
            }
            if not resize.vectorised():
                del ways["tlkeras[fast]"]
            found = compare(len(paths), ways)
        print(f"{width} x {height}, {len(paths)} pictures")
        for way, (rate_, cores) in found.items():
            print(f"  {way:31} {rate_:6.0f}/s  {cores:7.3f} ms of a core", flush=True)


def compare_texts(count: int) -> None:
    """Print texts per second of the tokenizer against KerasHub's preprocessor in tf.data, 64 tokens."""
    import keras_hub
    import tensorflow as tf

    from tlkeras.data.load import load_texts
    from tlkeras.data.pipelines import tokenize
    from tlkeras.sources.text import load_text_source

    source = load_text_source("minilm_l6", sequence_length=64)
    base = load_texts("sample").train.store.texts
    texts = [base[index % len(base)] for index in range(count)]
    vocabulary = sorted(source.tokenizer.get_vocab(), key=source.tokenizer.get_vocab().__getitem__)
    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary, lowercase=True)
    preprocess = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=64)

    def with_keras_hub() -> None:
        for _ in tf.data.Dataset.from_tensor_slices(texts).batch(32).map(preprocess, tf.data.AUTOTUNE).prefetch(2):
            pass

    ours = rate(count, lambda: tokenize(texts, source.tokenizer, 64))
    theirs = rate(count, with_keras_hub)
    checked = rate(count, lambda: check_texts(texts))
    beside = f"KerasHub's preprocessor in tf.data {theirs:.0f}/s (x {ours / theirs:.1f})"
    print(f"texts: tlkeras {ours:.0f}/s; {beside}; check {checked:.0f}/s")


def check_texts(texts: list[str]) -> None:
    """Check texts in a table, as `tlkeras check` does."""
    from tlkeras.report.check import check_data

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "texts.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("text", "label"))
            writer.writerows((text, number % 2) for number, text in enumerate(texts))
        check_data(path)


def measure_rows(count: int) -> None:
    """Print seconds and memory to list and split as many rows of a table."""
    from tlkeras.data.load import load_texts

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rows.csv"
        with path.open("w") as stream:
            stream.write("text,label\n")
            words = np.random.default_rng(0).integers(0, 50_000, (count, 8))
            stream.writelines(f"{' '.join(f'w{word}' for word in row)},{row[0] % 7}\n" for row in words)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, used = time.perf_counter(), time.process_time()
        splits = load_texts(str(path))
        seconds, cores = time.perf_counter() - started, time.process_time() - used
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        found = len(splits.train) + len(splits.val) + len(splits.test)
    memory = f"{grown / found:.0f} bytes of memory a row at the peak"
    print(f"{found:,} rows listed and split in {seconds:.1f} s ({cores:.1f} s of a core), {memory}")


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--texts", type=int, default=20000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    measure_rows(options.rows)
    compare_pictures(options.pictures)
    compare_texts(options.texts)


if __name__ == "__main__":
    main()
