"""Settings that must be in place before TensorFlow is imported."""

import atexit
import os
import shutil
import signal
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell starts what runs in its background so; tests send Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "TLKERAS_CACHE" not in os.environ:  # tests neither read nor fill the cache of whoever runs them
    os.environ["TLKERAS_CACHE"] = tempfile.mkdtemp(prefix="tlkeras-tests-")
    atexit.register(shutil.rmtree, os.environ["TLKERAS_CACHE"], ignore_errors=True)
