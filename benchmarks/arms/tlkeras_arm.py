"""tlkeras: what `tlkeras run` does, without export; `strategy` is the job's."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TLKERAS_CACHE"] = "off"  # nothing from an earlier run

import logging

import keras
import numpy as np
import pandas  # noqa: F401
import sklearn.linear_model  # noqa: F401
from job import Job, OutOfTimeError

import tlkeras as tl
from tlkeras.evaluation.evaluate import predict_examples

tl.fit, tl.build_model, tl.load_images, tl.load_texts, tl.load_image_source, tl.load_text_source, tl.plan_phases  # noqa: B018


class Solved(logging.Handler):
    """Reports the accuracy of the head that is solved in closed form."""

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith("Solved on"):
            job.reached(record.args[3], "head")  # type: ignore[index,arg-type]


class Epochs(keras.callbacks.Callback):
    """Reports the accuracy of each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        job.reached(logs["val_accuracy"], f"epoch {epoch + 1}")


def main() -> None:
    logging.getLogger("tlkeras").setLevel(logging.INFO)
    logging.getLogger("tlkeras").addHandler(Solved())
    if job.entries["modality"] == "image":
        splits = tl.load_images(str(job.data), near_duplicates=False, seed=job.seed)
        source = tl.load_image_source("mobilenet_v2", image_size=job.size)
        epochs = 12
    else:
        splits = tl.load_texts(str(job.data), near_duplicates=False, seed=job.seed)
        source = tl.load_text_source("minilm_l6", sequence_length=job.size)
        epochs = 4
    model = tl.build_model(source, splits, seed=job.seed)
    phases = tl.plan_phases(job.entries["strategy"], epochs=epochs)
    found = {}
    try:
        history = tl.fit(model, splits, phases, seed=job.seed, callbacks=[Epochs()])
        found["val_accuracy"] = history.last_best().get("val_accuracy")
        if job.entries.get("test"):
            tl.refit_few(model, splits, phases, history, seed=job.seed)
    except OutOfTimeError:
        pass
    if job.entries.get("test"):
        found["test_accuracy"] = float(np.mean(predict_examples(model, splits.test).argmax(axis=1) == splits.test.labels))
    job.done(**found)


job = Job()
main()
