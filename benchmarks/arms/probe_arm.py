"""Features by `keras.Model.predict`, then scikit-learn's logistic regression; the weights are those that tlkeras loads.

With `"select": true` its strength is chosen by cross-validation over the training and validation examples together; without, it
is scikit-learn's default.
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from job import Job
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tlkeras as tl

tl.load_image_source, tl.load_text_source  # noqa: B018


def picture_features():
    network = tl.load_image_source("mobilenet_v2", image_size=job.size).network
    pooled = keras.Model(network.input, keras.layers.GlobalAveragePooling2D()(network.output))

    def features(part):
        dataset = keras.utils.image_dataset_from_directory(
            job.data / part,
            image_size=(job.size, job.size),
            batch_size=32,
            shuffle=False,
            crop_to_aspect_ratio=True,
            verbose=False,
        )
        labels = np.concatenate([y for _, y in dataset.as_numpy_iterator()])
        return pooled.predict(dataset, verbose=0), labels

    return features


def text_features():
    source = tl.load_text_source("minilm_l6", sequence_length=job.size)
    hidden, mask = source.network.output
    pooled = keras.Model(source.network.input, keras.layers.GlobalAveragePooling1D()(hidden, mask=mask))
    source.tokenizer.enable_truncation(job.size)
    source.tokenizer.enable_padding(pad_id=source.pad_id)

    def features(part):
        texts, labels = job.table(part)
        ids = np.array([encoding.ids for encoding in source.tokenizer.encode_batch(texts)], np.int32)
        return pooled.predict(ids, batch_size=32, verbose=0), np.array(labels)

    return features


def main() -> None:
    keras.utils.set_random_seed(job.seed)
    features = picture_features() if job.entries["modality"] == "image" else text_features()
    (x, y), (val_x, val_y) = features("train"), features("val")
    folds = min(5, min(np.unique(np.concatenate([y, val_y]), return_counts=True)[1]))
    if job.entries.get("select") and folds > 1:
        linear = LogisticRegressionCV(Cs=np.logspace(-4, 2, 7), cv=folds, max_iter=1000)
        x, y = np.concatenate([x, val_x]), np.concatenate([y, val_y])
    else:
        linear = LogisticRegression(max_iter=1000)
    model = make_pipeline(StandardScaler(), linear).fit(x, y)
    found = {}
    job.reached(model.score(val_x, val_y), "fitted")
    if job.entries.get("test"):
        found["test_accuracy"] = float(model.score(*features("test")))
    job.done(**found)


job = Job()
main()
