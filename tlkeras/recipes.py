"""Recipe files: found by name in the recipes' folder, or given by path; the folder is the registry."""

import ast
import importlib.util
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import tlkeras
from tlkeras.errors import TlkerasError, unknown
from tlkeras.files import plain
from tlkeras.runs import Run

if TYPE_CHECKING:
    from tlkeras.data.examples import Splits
    from tlkeras.strategies.phases import Phase
    from tlkeras.tasks.model import TransferModel


def recipe_files() -> dict[str, Path]:
    """Return the recipes that come with tlkeras, by name: those of the checkout, or those in the wheel."""
    package = Path(__file__).parent
    folders = (package / "_recipes", package.parent / "recipes")
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    return {file.stem: file for file in sorted(folder.glob("*.py")) if not file.stem.startswith("_")}


def find_recipe(name: str) -> Path:
    """Return the file of a recipe.

    Args:
        name: A name that `tlkeras list` shows, or the path of a Python file.

    Raises:
        ValueError: There is no such recipe or file.
    """
    files = recipe_files()
    if name in files:
        return files[name]
    if not name.endswith(".py"):
        raise unknown("recipe", name, files, "tlkeras list")
    if not Path(name).is_file():
        raise ValueError(f"No such recipe file. Received: {name!r}. Copy one to start from: tlkeras copy NAME {name}")
    return Path(name)


def purpose(file: Path) -> str:
    """Return the first line of a recipe's docstring, read without running it."""
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n", 1)[0]


def as_flags(settings: Mapping[str, Any]) -> str:
    """Return settings as they are written on a command line."""
    return " ".join(_as_flag(name.replace("_", "-"), value) for name, value in settings.items())


def _as_flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {shlex.quote(str(value))}"


def copy_recipe(name: str, file: Path) -> None:
    """Write a recipe into a new file.

    Raises:
        ValueError: There is no such recipe, or the file's name does not end in `.py`.
        FileExistsError: The file is there already.
    """
    text = find_recipe(name).read_text(encoding="utf-8")
    if file.suffix != ".py":
        raise ValueError(f"A recipe's file name ends in .py. Received: {str(file)!r}")
    with file.open("x", encoding="utf-8") as stream:
        stream.write(text)


def load_recipe(file: Path) -> ModuleType:
    """Run a recipe file as a module and return it: `Config` (a frozen dataclass), `run(config)` and, if given, `SMOKE`.

    Raises:
        TlkerasError: The file is not a recipe.
    """
    name = f"tlkeras_recipe_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise TlkerasError(f"{file} is not a Python file. A recipe's name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # the help texts are read from the source of the module that holds Config
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise TlkerasError(f"{error.filename}, line {error.lineno}: {error.msg}. Mend the recipe and run it again.") from error
    _check(module, file)
    return module


def _check(module: ModuleType, file: Path) -> None:
    config = getattr(module, "Config", None)
    if not (isinstance(config, type) and is_dataclass(config)):
        raise TlkerasError(f"{file} has no dataclass named Config. `tlkeras show image_classification` shows how it looks.")
    if not callable(getattr(module, "run", None)):
        raise TlkerasError(f"{file} has no function named run. `tlkeras show image_classification` shows how it looks.")
    stray = sorted(set(getattr(module, "SMOKE", {})) - {item.name for item in fields(config)})
    if stray:
        raise TlkerasError(f"{file}: SMOKE sets {', '.join(map(repr, stray))}, which Config does not have.")


@dataclass(frozen=True)
class Training:
    """What a recipe was about to do when it called `fit`.

    Attributes:
        model: The model, untrained.
        splits: The data.
        phases: The plan.
        options: The other arguments of `fit`, without the run.
    """

    model: "TransferModel"
    splits: "Splits"
    phases: "list[Phase]"
    options: Mapping[str, Any]


class _Reached(BaseException):
    """A recipe has reached `fit`; no `except Exception` on the way stops it."""


def until_training(recipe: ModuleType, config: Any) -> Training:
    """Run a recipe up to its call of `tl.fit`, and return what it was called with; nothing is trained or kept.

    Raises:
        TlkerasError: The recipe never calls `tl.fit`.
    """
    found: list[Training] = []

    def fit(model: Any, splits: Any, phases: Any, **options: Any) -> None:
        options.pop("run", None)
        found.append(Training(model, splits, list(phases), options))
        raise _Reached

    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), recipe.__name__, plain(config))
        with _replaced(fit=fit, create_run=lambda name, config: run, cross_validate=lambda *_, **__: None):
            try:
                recipe.run(config)
            except _Reached:
                return found[0]
    raise TlkerasError(f"{recipe.__file__} never calls tl.fit: there is no training to plan.")


@contextmanager
def _replaced(**functions: Any) -> Iterator[None]:
    """Give the public names of tlkeras, which is all that recipes use, another meaning for a while."""
    before = {name: vars(tlkeras).get(name) for name in functions}
    vars(tlkeras).update(functions)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:  # not looked up yet: tlkeras imports on first use
                del vars(tlkeras)[name]
            else:
                vars(tlkeras)[name] = value
