"""Transfer learning with Keras: a recipe is a short, straight script over the functions listed here.

Everything is imported on first use, so that `import tlkeras` and the command line start without TensorFlow.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow reports a missing GPU as an error on every CPU-only machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_MODULES = {
    "tlkeras.errors": ("DataError", "ParityError", "TlkerasError", "TrainingError", "WeightsError"),
    "tlkeras.runs": ("Run", "create_run", "finish_run"),
    "tlkeras.data.examples": ("EncodedImages", "Examples", "ImageArrays", "ImageFiles", "Splits", "Texts"),
    "tlkeras.data.targets": ("ClassTargets", "MultiLabelTargets", "NoTargets", "ValueTargets"),
    "tlkeras.data.load": ("load_images", "load_texts"),
    "tlkeras.data.arrays": ("splits_from_arrays", "splits_from_dataset", "splits_from_texts"),
    "tlkeras.data.frames": ("splits_from_frame",),
    "tlkeras.data.split_files": ("compare_splits", "load_splits", "save_splits"),
    "tlkeras.data.folds": ("fold_splits",),
    "tlkeras.data.quarantine": ("apply_quarantine",),
    "tlkeras.sources.model": ("Block", "SourceModel"),
    "tlkeras.sources.image": ("load_image_source",),
    "tlkeras.sources.text": ("load_text_source",),
    "tlkeras.sources.own": ("source_from_keras",),
    "tlkeras.tasks.model": ("TransferModel",),
    "tlkeras.tasks.classification": ("build_classifier",),
    "tlkeras.tasks.multi_label": ("build_multi_label",),
    "tlkeras.tasks.regression": ("build_regressor",),
    "tlkeras.tasks.table": ("TASKS", "build_model"),
    "tlkeras.strategies.penalties": ("Penalties",),
    "tlkeras.strategies.phases": ("Phase",),
    "tlkeras.strategies.table": ("STRATEGIES", "plan_phases"),
    "tlkeras.training.fit": ("fit",),
    "tlkeras.training.plan": ("PhasePlan", "plan_training"),
    "tlkeras.training.refit": ("refit", "refit_few"),
    "tlkeras.training.rate_finder": ("RateSweep", "lr_find"),
    "tlkeras.evaluation.cross_validate": ("CrossValidation", "cross_validate"),
    "tlkeras.evaluation.evaluate": ("evaluate",),
    "tlkeras.evaluation.scaling": ("calibrate", "calibrate_again"),
    "tlkeras.evaluation.saved": ("load_evaluation", "load_gallery", "save_evaluation"),
    "tlkeras.evaluation.gallery": ("write_gallery",),
    "tlkeras.evaluation.explain": ("Attribution", "grad_cam", "integrated_gradients", "token_attributions"),
    "tlkeras.evaluation.metrics": ("Evaluation", "Measure"),
    "tlkeras.export.app": ("write_app",),
    "tlkeras.export.artifact": ("Artifact", "Parity"),
    "tlkeras.export.targets": ("export_model",),
    "tlkeras.export.apart": ("verify_each",),
    "tlkeras.export.verify": ("verify",),
    "tlkeras.export.predict": ("load_artifact",),
    "tlkeras.report.check": ("CheckReport", "check_data"),
    "tlkeras.report.check_files": ("save_check",),
    "tlkeras.report.html": ("write_report",),
    "tlkeras.evaluation.label_errors": ("LabelErrors", "find_label_errors"),
    "tlkeras.evaluation.rank": ("pick_source", "rank"),
    "tlkeras.evaluation.ranking": ("Ranking",),
    "tlkeras.evaluation.limits": ("Limits",),
    "tlkeras.evaluation.depth": ("Depth", "probe_depth"),
}
_API = {name: module for module, names in _MODULES.items() for name in names}
__all__ = [*_API, "__version__"]

_KERAS_FLOOR = (3, 15, 1)


def _check_loaded_keras() -> None:
    """Refuse to go on with a Keras that was imported before it was upgraded (Colab, after the install cell)."""
    loaded = getattr(sys.modules.get("keras"), "__version__", None)
    if loaded and tuple(int(part) for part in loaded.split(".")[:3] if part.isdigit()) < _KERAS_FLOOR:
        floor = ".".join(map(str, _KERAS_FLOOR))
        raise ImportError(
            f"tlkeras needs keras>={floor}. Received: {loaded}, which this process had imported already. "
            "Restart the runtime (Colab: Runtime > Restart session) and run the cells again."
        )


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module 'tlkeras' has no attribute {name!r}")
    _check_loaded_keras()
    value = getattr(import_module(_API[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:  # what editors and type checkers see; `__getattr__` imports at run time
    from tlkeras.data.arrays import splits_from_arrays, splits_from_dataset, splits_from_texts
    from tlkeras.data.examples import EncodedImages, Examples, ImageArrays, ImageFiles, Splits, Texts
    from tlkeras.data.folds import fold_splits
    from tlkeras.data.frames import splits_from_frame
    from tlkeras.data.load import load_images, load_texts
    from tlkeras.data.quarantine import apply_quarantine
    from tlkeras.data.split_files import compare_splits, load_splits, save_splits
    from tlkeras.data.targets import ClassTargets, MultiLabelTargets, NoTargets, ValueTargets
    from tlkeras.errors import DataError, ParityError, TlkerasError, TrainingError, WeightsError
    from tlkeras.evaluation.cross_validate import CrossValidation, cross_validate
    from tlkeras.evaluation.depth import Depth, probe_depth
    from tlkeras.evaluation.evaluate import evaluate
    from tlkeras.evaluation.explain import Attribution, grad_cam, integrated_gradients, token_attributions
    from tlkeras.evaluation.gallery import write_gallery
    from tlkeras.evaluation.label_errors import LabelErrors, find_label_errors
    from tlkeras.evaluation.limits import Limits
    from tlkeras.evaluation.metrics import Evaluation, Measure
    from tlkeras.evaluation.rank import pick_source, rank
    from tlkeras.evaluation.ranking import Ranking
    from tlkeras.evaluation.saved import load_evaluation, load_gallery, save_evaluation
    from tlkeras.evaluation.scaling import calibrate, calibrate_again
    from tlkeras.export.apart import verify_each
    from tlkeras.export.app import write_app
    from tlkeras.export.artifact import Artifact, Parity
    from tlkeras.export.predict import load_artifact
    from tlkeras.export.targets import export_model
    from tlkeras.export.verify import verify
    from tlkeras.report.check import CheckReport, check_data
    from tlkeras.report.check_files import save_check
    from tlkeras.report.html import write_report
    from tlkeras.runs import Run, create_run, finish_run
    from tlkeras.sources.image import load_image_source
    from tlkeras.sources.model import Block, SourceModel
    from tlkeras.sources.own import source_from_keras
    from tlkeras.sources.text import load_text_source
    from tlkeras.strategies.penalties import Penalties
    from tlkeras.strategies.phases import Phase
    from tlkeras.strategies.table import STRATEGIES, plan_phases
    from tlkeras.tasks.classification import build_classifier
    from tlkeras.tasks.model import TransferModel
    from tlkeras.tasks.multi_label import build_multi_label
    from tlkeras.tasks.regression import build_regressor
    from tlkeras.tasks.table import TASKS, build_model
    from tlkeras.training.fit import fit
    from tlkeras.training.plan import PhasePlan, plan_training
    from tlkeras.training.rate_finder import RateSweep, lr_find
    from tlkeras.training.refit import refit, refit_few
