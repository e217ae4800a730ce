"""The `tlkeras` command: the only module that knows about command lines."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import tlkeras
from tlkeras.console import (
    demo_text,
    explain,
    hide_messages,
    print_table,
    progress,
    show_messages,
    show_parts,
    start_tensorflow,
    stoppable,
)
from tlkeras.errors import unknown
from tlkeras.export.export_settings import ExportSettings
from tlkeras.recipe_plan import plan_recipe
from tlkeras.recipe_tune import tune_recipe
from tlkeras.recipes import as_flags, copy_recipe, find_recipe, load_recipe, purpose, recipe_files, until_training
from tlkeras.report.check_settings import CheckSettings
from tlkeras.report.compare_settings import CompareSettings
from tlkeras.report.evaluate_settings import EvaluateSettings
from tlkeras.report.rank_settings import RankSettings
from tlkeras.report.report_settings import ReportSettings
from tlkeras.report.sources_settings import SourcesSettings
from tlkeras.tune_settings import TuneSettings

DEMO = {"data": "sample", "source": "efficientnet_lite0", "image_size": 97}
"""What `tlkeras demo` sets: the embedded pictures, weights from a package, a size that two cores do in a minute."""

_Name = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
_Artifact = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="ARTIFACT")]
_Runs = Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN…")]
_Run = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
_Data = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
_Source = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
_File = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: What follows the program's name; that of this process if not given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        _dispatch([word for word in words if word != "--debug"])
        sys.stdout.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BrokenPipeError:  # `tlkeras list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (Exception, KeyboardInterrupt) as error:
        return explain(error, debug)
    finally:
        hide_messages()
    return 0


def run_recipe_file(file: str) -> None:
    """Run a recipe file with the flags of this process, then leave it: for `python recipes/image_classification.py`."""
    sys.exit(main(["run", file, *sys.argv[1:]]))


def demo() -> None:
    """Classify the embedded pictures with real ImageNet weights: train, evaluate, export, verify. Takes run's flags."""


def list_recipes() -> None:
    """List the recipes."""
    print_table(("recipe", "what it does"), [(name, purpose(file)) for name, file in recipe_files().items()])
    print("\nIts flags: tlkeras run NAME --help    Its text: tlkeras show NAME    Your own: tlkeras copy NAME FILE")


def show(name: _Name, /) -> None:
    """Print a recipe.

    Args:
        name: Name that `tlkeras list` shows.
    """
    print(find_recipe(name).read_text(encoding="utf-8"), end="")


def copy(name: _Name, file: _File, /) -> None:
    """Copy a recipe to a file of your own, to be changed and run with `tlkeras run FILE`.

    Args:
        name: Name that `tlkeras list` shows.
        file: New file, ending in .py.
    """
    copy_recipe(name, file)
    print(f"{file} is yours. Run it: tlkeras run {file}")


def run(recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME-or-FILE")], /) -> None:
    """Run a recipe; `tlkeras run NAME --help` lists its flags.

    Args:
        recipe: Name that `tlkeras list` shows, or a Python file.
    """


def plan(recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME-or-FILE")], /) -> None:
    """Show what a recipe would train, when and at which rate, before it does; takes run's flags, and --lr-find.

    Args:
        recipe: Name that `tlkeras list` shows, or a Python file.
    """


def tune(recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME-or-FILE")], /) -> None:
    """Search a recipe's fields for the best score on validation; takes run's flags, --trials, --minutes and --search.

    Args:
        recipe: Name that `tlkeras list` shows, or a Python file.
    """


def compare(recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME-or-FILE")], /) -> None:
    """Say whether transfer helped: train with and without it on parts of the data; `tlkeras compare NAME --help`.

    Args:
        recipe: Name that `tlkeras list` shows, or a Python file.
    """


def predict(
    artifact: _Artifact,
    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="INPUT…")],
    /,
    *,
    output: Path | None = None,
    json: bool = False,
    top: int = 1,
    text_column: str | None = None,
    refuse: bool = True,
) -> None:
    """Predict with an exported file alone; a .tflite needs no TensorFlow.

    Args:
        artifact: Exported .tflite file or SavedModel folder.
        inputs: Pictures, folders of pictures, tables, texts, or - for lines or a picture of standard input.
        output: CSV file to write, with every column of a table that came in.
        json: Print a JSON line for each input.
        top: Classes to show for each input.
        text_column: Column of a table that holds the texts; guessed if not given.
        refuse: Answer "none of these" to inputs unlike anything the model was trained on, where it can tell.
    """
    from tlkeras import scoring
    from tlkeras.export.predict import load_artifact

    if _is_saved_model(artifact):
        start_tensorflow()
    predictor = load_artifact(artifact, refuse=refuse)
    items = scoring.gather(inputs, predictor.modality, sys.stdin)
    if predictor.modality == "text" and any(map(scoring.is_table, items)):
        scoring.score_table(predictor, items, output, text_column)
        return
    predictions = scoring.predict_inputs(predictor, items)
    show_parts(scoring.answer_parts(predictions, predictor, output=output, json=json, top=top))
    if any(prediction.problem for prediction in predictions):
        sys.exit(1)


def export(
    run: _Run,
    /,
    settings: Annotated[ExportSettings, tyro.conf.arg(name="")],
    for_: Annotated[Literal["mediapipe"] | None, tyro.conf.arg(name="for")] = None,
) -> None:
    """Export the model of a finished run in another form, and verify it; or find the form that fits a budget.

    Args:
        run: Run folder, as in saved_models/latest.
        settings: Which form, or within which limits.
        for_: For texts: the inputs that MediaPipe's TextClassifier takes.
    """
    from tlkeras.export.export_command import export_parts

    start_tensorflow()
    show_parts(export_parts(run, settings, for_mediapipe=for_ == "mediapipe"))


def benchmark(artifact: _Artifact, /) -> None:
    """Measure an exported file on this machine: size, latency on 1, 2 and 4 threads, memory.

    Args:
        artifact: Exported .tflite file or SavedModel folder.
    """
    from tlkeras.export.export_command import benchmark_parts

    show_parts(benchmark_parts(artifact))


def serve(artifact: _Artifact, /, *, host: str = "127.0.0.1", port: int = 8000, refuse: bool = True) -> None:
    """Show an exported model as a page to try and a JSON API; needs the extra `serve`.

    Args:
        artifact: Exported .tflite file or SavedModel folder; or a run folder, to see similar training examples as well.
        host: Address to bind; any but this machine's own asks for a token, which is printed.
        port: Port to bind; 0 takes a free one.
        refuse: Answer "none of these" to inputs unlike anything the model was trained on, where it can tell.
    """
    from tlkeras.serve.server import run_server

    if _is_saved_model(artifact):
        start_tensorflow()
    run_server(artifact, host=host, port=port, refuse=refuse)


def _is_saved_model(artifact: Path) -> bool:
    return (artifact / "saved_model.pb").is_file()


def sources(name: _Source = "", /, *, settings: Annotated[SourcesSettings, tyro.conf.arg(name="")]) -> None:
    """List the source models to start from, or show one with its blocks.

    Args:
        name: Source model, or file or folder, to show; all are listed if not given.
        settings: Which to list.
    """
    from tlkeras.report.sources_command import list_parts, show_one, show_own
    from tlkeras.sources.catalog import is_listed
    from tlkeras.sources.local import is_path

    if name and is_path(name) and not is_listed(name):
        start_tensorflow()
        show_parts(show_own(name))
        return
    show_parts(show_one(name) if name else list_parts(settings))
    if name:
        blocks(name)


def blocks(source: _Source, /, *, image_size: int | None = None) -> None:
    """List a source model's blocks: what `--trainable` can name.

    Args:
        source: Name that `tlkeras sources` shows.
        image_size: Side of the square picture in pixels; the source's own size if not given.
    """
    from tlkeras.report.sources_command import block_row
    from tlkeras.sources.catalog import find_source, source_blocks

    find_source(source)
    start_tensorflow()
    found = source_blocks(source, image_size=image_size)
    print_table(("block", "layers", "parameters", "output shape"), [block_row(block) for block in found])
    print("\nFrom the input up; the new head comes on top. --trainable top:2 names the two topmost.")


def check(data: _Data, /, settings: Annotated[CheckSettings, tyro.conf.arg(name="")]) -> None:
    """Read data once and say what is wrong with it, by file and row; changes nothing.

    Writes check.html, check.json and, where examples can be set aside, quarantine.csv, which `run --quarantine` leaves out.

    Args:
        data: Folder, table or `sample`, as for `tlkeras run`.
        settings: What to look at.
    """
    from tlkeras.report.check_command import check_and_save
    from tlkeras.report.check_lines import check_lines

    if settings.deep:
        start_tensorflow()
    with progress() as show:
        report, folder = check_and_save(data, settings, on_progress=show)
    for line in check_lines(report, folder, settings):
        print(line)
    if not report.passed:
        sys.exit(1)


def rank(data: _Data, /, settings: Annotated[RankSettings, tyro.conf.arg(name="")]) -> None:
    """Say which source model to take for data, without training one: a probe on the frozen features of each.

    Args:
        data: Folder, table or `sample`, as for `tlkeras run`.
        settings: What to rank, and within which limits.
    """
    from tlkeras.report.rank_command import rank_data
    from tlkeras.report.rank_lines import rank_parts

    start_tensorflow()
    show_parts(rank_parts(rank_data(data, settings), settings.output))


def evaluate(run: _Run, /, settings: Annotated[EvaluateSettings, tyro.conf.arg(name="")]) -> None:
    """Measure more of a finished run: robustness, privacy, forgetting, fairness, foreign inputs; writes its report anew.

    Args:
        run: Run folder, as in saved_models/latest.
        settings: What to measure.
    """
    from tlkeras.report.evaluate_command import evaluate_parts

    start_tensorflow()
    show_parts(evaluate_parts(run, settings))


def report(runs: _Runs, /, *, settings: Annotated[ReportSettings, tyro.conf.arg(name="")]) -> None:
    """Write a run's report.html and model card (README.md) anew; or compare several runs on the same test examples.

    Args:
        runs: Run folders, as in saved_models/latest.
        settings: Where to write a comparison.
    """
    from tlkeras.report.report_command import report_parts

    show_parts(report_parts(runs, settings))


def doctor() -> None:
    """Say whether this machine and its packages are fit, and how to get what is missing."""
    from tlkeras.doctor import examine

    findings = list(examine())
    rows = [(finding.subject, finding.value, "" if finding.good else "NO", finding.remedy) for finding in findings]
    print_table(("looked at", "found", "", "what to do"), rows)
    bad = [finding.subject for finding in findings if not finding.good]
    print(f"\nNot fit: {', '.join(bad)}. The last column says what to do." if bad else "\nAll fit.")
    if bad:
        sys.exit(1)


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "list": list_recipes,
    "show": show,
    "copy": copy,
    "run": run,
    "plan": plan,
    "tune": tune,
    "compare": compare,
    "check": check,
    "rank": rank,
    "evaluate": evaluate,
    "report": report,
    "export": export,
    "benchmark": benchmark,
    "predict": predict,
    "serve": serve,
    "sources": sources,
    "blocks": blocks,
    "doctor": doctor,
}

_DESCRIPTION = """Transfer learning with Keras: from a folder of pictures or a table of texts to a verified phone model.

Begin with `tlkeras demo`, then `tlkeras run image_classification --data photos/`.
Everywhere: --debug shows the traceback of an error. --version prints the version."""


def _dispatch(words: Sequence[str]) -> None:
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    asks_help = rest[:1] in (["-h"], ["--help"])
    if name == "--version":
        print(f"tlkeras {tlkeras.__version__}")
    elif name == "demo":
        if not {"-h", "--help"} & set(rest):
            print(demo_text(" ".join(["tlkeras run image_classification", as_flags(DEMO), *rest])))
        _run_recipe("image_classification", rest, prog="tlkeras demo", settings=DEMO)
    elif name in _OF_RECIPES and rest and not asks_help:
        if rest[0].startswith("-"):
            raise ValueError(f"The recipe comes first: tlkeras {name} NAME [--field value …]. Received: {rest[0]!r}")
        _OF_RECIPES[name](rest[0], rest[1:], prog=f"tlkeras {name} {rest[0]}")
    elif name in COMMANDS or name in ("-h", "--help"):
        show_messages(sys.stderr)
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="tlkeras", description=_DESCRIPTION, args=[name, *rest])
    else:
        raise unknown("command", name, COMMANDS, "tlkeras --help")


def _run_recipe(name: str, flags: Sequence[str], *, prog: str, settings: Mapping[str, Any] | None = None) -> None:
    """Run a recipe with `settings`, and above them those of SMOKE if asked for, as the defaults of its flags."""
    recipe, config = _configure(name, flags, prog=prog, settings=settings)
    show_messages(sys.stdout)
    with stoppable():
        start_tensorflow()
        recipe.run(config)


def _plan_recipe(name: str, flags: Sequence[str], *, prog: str) -> None:
    """Show what a recipe would train; with --lr-find, try rates and suggest one."""
    about = "--lr-find tries rates on a few steps and suggests one. --output: the folder of the pictures."
    recipe, config = _configure(name, [flag for flag in flags if flag != "--lr-find"], prog=prog, about=about)
    show_messages(sys.stdout)
    start_tensorflow()
    show_parts(plan_recipe(recipe, config, find_rate="--lr-find" in flags))


def _tune_recipe(name: str, flags: Sequence[str], *, prog: str) -> None:
    """Search a recipe's fields."""
    about = "--output: the folder of the search, which goes on where it was stopped."
    recipe, (config, settings) = _configure(name, flags, prog=prog, about=about, also=TuneSettings)
    show_messages(sys.stdout)
    with stoppable():
        start_tensorflow()
        show_parts(tune_recipe(recipe, config, settings))


def _compare_recipe(name: str, flags: Sequence[str], *, prog: str) -> None:
    """Train the arms of a comparison as a recipe would train."""
    from tlkeras.report.compare_command import compare_training

    about = "--output: the folder of the comparison, which goes on where it was stopped."
    recipe, (config, settings) = _configure(name, flags, prog=prog, about=about, also=CompareSettings)
    show_messages(sys.stdout)
    with stoppable():
        start_tensorflow()
        found = until_training(recipe, config)
        show_parts(compare_training(found.model, found.splits, found.options, name, config, settings))


def _configure(
    name: str,
    flags: Sequence[str],
    *,
    prog: str,
    about: str = "",
    settings: Mapping[str, Any] | None = None,
    also: type | None = None,
) -> tuple[Any, Any]:
    """Load a recipe and read its flags: a Config, or a Config and an instance of `also`."""
    recipe = load_recipe(find_recipe(name))
    smoke = getattr(recipe, "SMOKE", {})
    default = recipe.Config(**{**(settings or {}), **(smoke if "--smoke" in flags else {})})
    kind = recipe.Config
    if also is not None:
        flat = tyro.conf.arg(name="")
        kind = make_dataclass("Flags", [("config", Annotated[recipe.Config, flat]), ("also", Annotated[also, flat])])
        default = kind(default, also())
    read = tyro.cli(
        kind,
        prog=prog,
        description=f"{recipe.__doc__ or ''}\n{about}\nAlso: --smoke for a run of a few seconds, with {as_flags(smoke)}",
        args=[flag for flag in flags if flag != "--smoke"],
        default=default,
    )
    return recipe, (read if also is None else (read.config, read.also))


_OF_RECIPES = {"run": _run_recipe, "plan": _plan_recipe, "tune": _tune_recipe, "compare": _compare_recipe}
