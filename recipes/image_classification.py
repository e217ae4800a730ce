"""Classify pictures: fine-tune an ImageNet network on your own classes and take it to a phone.

    tlkeras run image_classification --data photos/

`photos/` holds a folder per class, or `train/`, `val/` and `test/` with a folder per class each.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import tlkeras as tl


@dataclass(frozen=True)
class Config:
    """Everything that can be set; each field is a flag of `tlkeras run image_classification`."""

    data: str = "sample"
    """Folder, table, archive or catalogue of pictures; `sample` is the embedded one (silhouettes of ten animals)."""
    image_column: str | None = None
    """Column of a table that holds the paths of pictures; guessed and shown if not given."""
    label_column: str | None = None
    """Column of a table that holds the labels; guessed and shown if not given."""
    split_column: str | None = None
    """Column that says train, val, test or unlabelled; one called `split` or the like is found."""
    group_column: str | None = None
    """Column whose equal values stay in one part of the split: the same patient, product or author."""
    time_column: str | None = None
    """Column by which the newest examples become the test part."""
    target: Literal["class", "labels", "value"] | None = None
    """What is predicted: one class, any number of labels, or a number; found in the data if not given."""
    label_separator: str | None = None
    """What separates several labels in a cell, as `;`; found if not given."""
    encoding: str | None = None
    """Encoding of a CSV, TSV or JSONL file; UTF-8 if not given."""
    slice: str | None = None
    """Columns of a table (`site,camera`) on whose values the model is measured apart."""
    source: str = "efficientnet_v2_b0"
    """Pre-trained network to start from, as `tlkeras sources` lists them; `rank` takes what a quick probe says is best."""
    strategy: Literal[
        "fine_tune", "feature_extraction", "lp_ft", "discriminative", "gradual_unfreeze", "bias_only", "norm_only", "lora",
        "from_scratch",
    ] = "fine_tune"  # fmt: skip
    """How to train: the head only; the head, then the top blocks; rates by depth; and others, see docs/training.md."""
    trainable: str | None = None
    """What the last phase trains instead: `head`, `top:2`, block names, a pattern, or `all`."""
    image_size: int | None = None
    """Side of the square picture in pixels; the source's own size if not given, less where the pictures are smaller."""
    resize: Literal["crop", "pad", "squash"] = "crop"
    """How a picture becomes a square: its centre, the whole with black bars, or stretched."""
    epochs: int = 12
    """Passes over the training pictures, over all phases that train by gradient; the best epoch counts."""
    batch_size: int | Literal["auto"] = 32
    """Pictures in a training step; `auto` takes what fits the memory, up to 128. A step that does not fit is done in parts."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    """What training computes in; `auto` takes 16 bits on GPUs with tensor cores. Exports are the same either way."""
    learning_rate: float = 1e-3
    """Peak learning rate of the head; lower blocks get a tenth."""
    schedule: Literal["cosine", "one_cycle", "slanted", "plateau", "constant"] = "cosine"
    """How the learning rate goes over a phase; `tlkeras plan` draws it."""
    penalties: str | None = None
    """Added to the loss, as in `l2_sp=0.01,label_smoothing=0.1`: l2_sp, distillation, l1, l2, dropout, label_smoothing."""
    after: str | None = None
    """What follows training, separated by commas: ema, soup, wise_ft, recalibrate; see docs/training.md."""
    augment: Literal["none", "light", "standard", "strong"] = "none"
    """How much training pictures are varied; the run folder shows it."""
    views: int = 4
    """Views of each training picture that `augment` makes, read in turn by epoch; as many as `epochs`: none is read twice."""
    flip: bool = False
    """Mirror half of the varied pictures; leave it off where left and right differ (text, arrows, hands)."""
    balance: Literal["auto", "none", "weights", "sampling", "focal"] = "auto"
    """What is done about rare classes; `auto` weights classes where one is three times as frequent as another."""
    folds: int = 0
    """Cross-validate first, with 3 folds or more: mean, spread, and a prediction for every example, in `folds/`."""
    refit: bool = False
    """Train the model to ship once more, on all examples; the numbers stay those of the model before."""
    splits: str | None = None
    """A `splits.csv` of an earlier run to be followed; new examples join its parts."""
    quarantine: str | None = None
    """A list of examples to leave out, which `tlkeras check` writes."""
    near_duplicates: bool = True
    """Keep near copies in one part of the split, as exact copies always are."""
    seed: int = 0
    """Seed of the split, the head's initial weights, dropout and the order of the pictures."""
    reproducible: bool = False
    """Use deterministic operations only, so that another run on the same machine gives the same bits."""
    output: str | None = None
    """Run folder; `saved_models/image_classification/<date-time>` if not given."""
    resume: bool = False
    """Go on with the newest unfinished run of the same configuration."""


SMOKE = {"source": "tiny_cnn", "image_size": 33, "epochs": 2, "data": "sample:60"}


def run(config: Config) -> "tl.Run":
    """Train, evaluate, export and verify; returns the run, whose folder holds everything."""
    import tlkeras as tl

    # 1. Open the run folder: all that follows is written there
    run = tl.create_run("image_classification", config)

    # 2. Read the pictures and split them into training, validation and test
    splits = tl.load_images(
        config.data,
        image_column=config.image_column,
        label_column=config.label_column,
        split_column=config.split_column,
        group_column=config.group_column,
        time_column=config.time_column,
        target=config.target,
        label_separator=config.label_separator,
        encoding=config.encoding,
        slice=config.slice,
        splits=config.splits,
        quarantine=config.quarantine,
        near_duplicates=config.near_duplicates,
        seed=config.seed,
    )
    tl.save_splits(splits, run.path / "splits.csv")

    # 3. Take a source model (`rank` picks one for this data) and put a new head on it
    name = tl.pick_source(config.source, splits, image_size=config.image_size, resize=config.resize, seed=config.seed, run=run)
    source = tl.load_image_source(name, image_size=config.image_size, pictures=splits.train, resize=config.resize)
    model = tl.build_model(source, splits, seed=config.seed)

    # 4. Choose what is trained when
    extras: Any = {"augment": config.augment, "penalties": config.penalties, "schedule": config.schedule, "after": config.after}
    extras |= {"precision": config.precision, "trainable": config.trainable, "learning_rate": config.learning_rate}
    phases = tl.plan_phases(config.strategy, epochs=config.epochs, **extras)

    # 5. Train: the frozen part runs once, Keras trains what lies above it; folds come first, where asked for
    settings: Any = {"batch_size": config.batch_size, "balance": config.balance, "flip": config.flip, "seed": config.seed}
    settings |= {"views": config.views, "reproducible": config.reproducible}
    tl.cross_validate(model, splits, phases, folds=config.folds, near_duplicates=config.near_duplicates, run=run, **settings)
    history = tl.fit(model, splits, phases, keep_start=config.refit, run=run, **settings)

    # 6. Calibrate on the validation pictures: probabilities that can be taken at their word, and when to say "none of these"
    model = tl.calibrate(model, splits, run=run)
    again = tl.refit_few(model, splits, phases, history, run=run, **settings)  # on them too, where they are fewer than 200
    model = tl.calibrate_again(model, splits, again, run=run)

    # 7. Evaluate on the test pictures, beside what no transfer would have given; show where it fails
    evaluation = tl.evaluate(model, splits, seed=config.seed)
    tl.save_evaluation(evaluation, run.path)
    tl.write_gallery(model, splits, evaluation, run.path)

    # 8. Train once more on all examples, where asked for; the numbers stay those of the model that had not seen the test
    model = tl.calibrate_again(
        model, splits, tl.refit(model, splits, phases, history, wanted=config.refit, run=run, **settings), run=run
    )

    # 9. Export for servers (SavedModel) and phones (LiteRT: float32, float16, and int8 calibrated on training pictures)
    targets = ("saved_model", "tflite_float32", "tflite_float16", "tflite_int8")
    artifacts = tl.export_model(model, run.path / "exports", targets=targets, calibration=splits.train, validation=splits.val)

    # 10. Verify each export in its own runtime, from the encoded test pictures; what lost too much is set apart
    verified, parity = tl.verify_each(artifacts, model, splits.test, output=run.path / "parity.json")

    # 11. Hand over: golden examples, a guide and two programs for apps; a report.html and a model card for people; then sum up
    tl.write_app(verified, splits.test)
    tl.write_report(run)
    return tl.finish_run(run, evaluation, artifacts, parity)


if __name__ == "__main__":
    from tlkeras.cli import run_recipe_file

    run_recipe_file(__file__)
