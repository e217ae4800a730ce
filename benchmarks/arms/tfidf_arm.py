"""Words and pairs of words, TF-IDF, logistic regression: scikit-learn alone.

With `"select": true` its strength is chosen by cross-validation over the training and validation examples together.
"""

from collections import Counter

import numpy as np
from job import Job
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_pipeline


def main() -> None:
    (texts, labels), (val_texts, val_labels) = job.table("train"), job.table("val")
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    folds = min(5, *Counter(labels + val_labels).values())
    if job.entries.get("select") and folds > 1:
        linear = LogisticRegressionCV(Cs=np.logspace(-1, 3, 5), cv=folds, max_iter=1000)
        texts, labels = texts + val_texts, labels + val_labels
    else:
        linear = LogisticRegression(C=10, max_iter=1000)
    model = make_pipeline(words, linear).fit(texts, labels)
    job.reached(model.score(val_texts, val_labels), "fitted")
    found = {}
    if job.entries.get("test"):
        found["test_accuracy"] = float(model.score(*job.table("test")))
    job.done(**found)


job = Job()
main()
