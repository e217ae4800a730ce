"""Settings that must be in place before TensorFlow is imported."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")

if "TLKERAS_CACHE" not in os.environ:  # tests neither read nor fill the cache of whoever runs them
    os.environ["TLKERAS_CACHE"] = tempfile.mkdtemp(prefix="tlkeras-tests-")
    atexit.register(shutil.rmtree, os.environ["TLKERAS_CACHE"], ignore_errors=True)
