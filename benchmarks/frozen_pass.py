"""How fast is the frozen pass, in shares of what the machine can do? Printed as Markdown.

    python benchmarks/frozen_pass.py [--pictures 512]

The peak is a product of two float32 matrices of 4096 x 4096 in TensorFlow in the same process. A multiply-accumulate counts as
two operations; only convolutions and products of matrices count. All times are processor time, so that what else runs on the
machine counts for little: pictures a second are those of one core.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TLKERAS_CACHE", "off")

import numpy as np
import tensorflow as tf

import tlkeras as tl
from tlkeras.features.engine import compiled, run_step
from tlkeras.features.litert_quick import convert_quickly
from tlkeras.features.pool import pool_block
from tlkeras.features.rows import Rows
from tlkeras.features.workers import run_litert
from tlkeras.sources.blocks import chain
from tlkeras.sources.macs import count_macs

NETWORKS = (("mobilenet_v2", 97), ("mobilenet_v2", 161), ("efficientnet_lite0", 97), ("efficientnet_lite0", 161))


def seconds(run: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest of some processor times; one more run before them is not counted."""
    times = []
    for _ in range(repeats + 1):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=256)
    count = parser.parse_args().pictures
    matrix = tf.random.normal((4096, 4096))
    peak = 2 * 4096**3 / seconds(lambda: tf.matmul(matrix, matrix).numpy(), 5)
    print(f"Peak: {peak / 1e9:.0f} GFLOP/s and core\n")
    print("| network | pixels | keras.predict, pictures/s | TensorFlow | share of the peak | LiteRT | share | converting, s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, size in NETWORKS:
        source = tl.load_image_source(name, image_size=size)
        network = chain((*source.blocks, pool_block(source.network.outputs)), name="pooled")
        pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)
        rows, macs = Rows(pixels), count_macs(network, size)
        step = compiled(network, [rows])
        sample = pixels[:1].astype(np.float32)
        answers = [np.asarray(output) for output in network(sample, training=False)]
        started = time.process_time()
        content = convert_quickly(network, sample, answers)
        converting = time.process_time() - started
        runs = (
            partial(network.predict, pixels, batch_size=32, verbose=0),
            partial(run_step, step, [rows]),
            partial(run_litert, content, rows),
        )
        predict, *rates = (count / seconds(run) for run in runs)
        shares = [f"{rate:.0f} | {2 * macs * rate / peak:.0%}" for rate in rates]
        print(f"| {name} | {size} | {predict:.0f} | {' | '.join(shares)} | {converting:.1f} |", flush=True)


if __name__ == "__main__":
    main()
