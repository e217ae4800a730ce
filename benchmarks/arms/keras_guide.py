"""The loop of Keras's guide "Transfer learning & fine-tuning": frozen base with Adam, then all of it with Adam(1e-5).

20 and 10 epochs, flips and rotations by 0.1, batches of 64, dropout 0.2: the guide's first numbers (later versions have fewer
epochs, for a larger data set). The pictures are decoded once and cached, as there. The base is MobileNetV2 as tlkeras loads it.
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tensorflow as tf
from job import Job, OutOfTimeError
from keras import layers

import tlkeras as tl

tl.load_image_source  # noqa: B018


class Epochs(keras.callbacks.Callback):
    """Reports the accuracy of each epoch."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.stage = stage

    def on_epoch_end(self, epoch, logs=None):
        job.reached(logs["val_accuracy"], f"{self.stage}, epoch {epoch + 1}")


def read(part: str, shuffle: bool) -> tf.data.Dataset:
    return keras.utils.image_dataset_from_directory(
        job.data / part,
        image_size=(job.size, job.size),
        batch_size=64,
        seed=job.seed,
        shuffle=shuffle,
        crop_to_aspect_ratio=True,
        verbose=False,
    )


def main() -> None:
    keras.utils.set_random_seed(job.seed)
    augmentation = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]

    def augment(x, y):
        for layer in augmentation:
            x = layer(x)
        return x, y

    raw = read("train", True)
    classes = len(raw.class_names)
    train = raw.map(augment).prefetch(tf.data.AUTOTUNE).cache()
    val = read("val", False).prefetch(tf.data.AUTOTUNE).cache()

    base = tl.load_image_source("mobilenet_v2", image_size=job.size).network  # scales [0, 255] itself
    base.trainable = False
    inputs = keras.Input((job.size, job.size, 3))
    x = base(inputs, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    model = keras.Model(inputs, layers.Dense(classes)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    try:
        for stage, rate, epochs in (("frozen", 1e-3, job.entries["epochs"][0]), ("all", 1e-5, job.entries["epochs"][1])):
            base.trainable = stage == "all"
            model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
            model.fit(train, epochs=epochs, validation_data=val, callbacks=[Epochs(stage)], verbose=0)
    except OutOfTimeError:
        pass
    found = {}
    if job.entries.get("test"):
        found["test_accuracy"] = float(model.evaluate(read("test", False), verbose=0)[1])
    job.done(**found)


job = Job()
main()
