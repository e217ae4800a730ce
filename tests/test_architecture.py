"""The rules of the code, read from its syntax: who imports whom, who mentions what, how a recipe looks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tlkeras

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "tlkeras").rglob("*.py"))
RECIPES = sorted((ROOT / "recipes").glob("*.py"))

# A part imports only from parts to its left; those of one group may not import each other, unless named below.
ORDER: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("files", "machine", "summary"),
    ("runs", "plots"),
    ("data",),
    ("sources",),
    ("features",),
    ("tasks",),
    ("strategies",),
    ("training",),
    ("evaluation", "adaptation", "unsupervised"),
    ("export",),
    ("report",),
    ("serve",),
    ("recipes", "scoring", "doctor", "console", "tune_settings"),
    ("recipe_plan", "recipe_tune"),
    ("cli",),
    ("__main__",),
)
RECIPE_IMPORTS = {"dataclasses", "typing", "tlkeras", "tlkeras.cli"}
HEAVY = {"tensorflow", "keras", "keras_hub", "tensorflow_text", "tensorflow_datasets", "pandas", "sklearn", "matplotlib"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "yaml.load",
    "yaml.unsafe_load",
    "torch.load",
    "os.system",
}
FORBIDDEN_OPTIONS = {"safe_mode=False", "allow_pickle=True", "shell=True"}
RANK = {part: rank for rank, group in enumerate(ORDER) for part in group}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _part(path: Path) -> str:
    """The part of the library that a file belongs to: its package, or its name."""
    return path.relative_to(ROOT / "tlkeras").parts[0].removesuffix(".py")


def _imports(tree: ast.AST, *, typing_too: bool = False) -> Iterator[tuple[str, str]]:
    """The pairs (module, name) that are imported anywhere; what only type checkers read is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not typing_too:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        else:
            yield from _imports(node, typing_too=typing_too)


def _uses(path: Path) -> set[str]:
    """The parts of tlkeras that a file imports."""
    found = set()
    for module, name in _imports(_tree(path)):
        if module == "tlkeras":
            found.add(name if name in RANK else "")
        elif module.startswith("tlkeras."):
            found.add(module.split(".")[1])
    return found - {""}


def _modules(path: Path, *, typing_too: bool = True) -> set[str]:
    return {module for module, _ in _imports(_tree(path), typing_too=typing_too)}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_a_part_imports_only_from_parts_to_its_left():
    paths = [path for path in LIBRARY if path != ROOT / "tlkeras" / "__init__.py"]
    assert not {_part(path) for path in paths} - set(RANK), "a part without a place in the order"
    wrong = {
        _name(path): used for path in paths for used in _uses(path) if used != _part(path) and RANK[used] >= RANK[_part(path)]
    }
    assert not wrong


def test_recipes_import_only_tlkeras_and_the_standard_library():
    assert not {_name(path): extra for path in RECIPES if (extra := _modules(path) - RECIPE_IMPORTS)}


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        (r"ai_edge_litert|ai_edge|litert_torch|tf\.lite\b|TFLiteConverter", ("features/litert", "export/")),
        (r"keras_hub|keras_nlp", ("sources/", "tasks/")),
        (r"tensorflow_text", ("sources/", "tasks/", "export/")),
        (r"\btyro\b|\bargparse\b|sys\.argv", ("cli.py",)),
    ],
)
def test_only_the_places_that_may_know_it_mention(word, allowed):
    found = [str(path.relative_to(ROOT / "tlkeras")) for path in LIBRARY if re.search(word, _code(path))]
    assert found, "nothing to look at"
    assert not [name for name in found if not name.startswith(allowed)]


def test_only_the_command_line_prints():
    assert {path.name for path in LIBRARY for call in _calls(path) if ast.unparse(call.func) == "print"} == {
        "cli.py",
        "console.py",
    }


def _code(path: Path) -> str:
    """The code of a file without comments and docstrings."""
    tree = _tree(path)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(_tree(path)) if isinstance(node, ast.Call))


def test_nothing_runs_code_that_comes_from_a_file():
    wrong = []
    for path in [*LIBRARY, *RECIPES]:
        for call in _calls(path):
            options = {f"{item.arg}={ast.unparse(item.value)}" for item in call.keywords}
            if ast.unparse(call.func) in FORBIDDEN_CALLS or options & FORBIDDEN_OPTIONS:
                wrong.append(f"{_name(path)}, line {call.lineno}: {ast.unparse(call)}")
    assert not wrong


def test_every_unpickler_says_what_it_lets_in():
    for path in LIBRARY:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ClassDef) and any("Unpickler" in ast.unparse(base) for base in node.bases):
                assert "find_class" in {item.name for item in node.body if isinstance(item, ast.FunctionDef)}, path
            assert not (isinstance(node, ast.ImportFrom) and node.module in ("pickle", "joblib")), path


def test_only_public_keras_is_used():
    private = r"\b(keras|keras_hub)\.(src|_(?!_version__)\w+)\b|\b(tf|tensorflow)\.python\b"
    assert not [_name(path) for path in LIBRARY if re.search(private, _code(path))]


def test_the_library_has_no_assert_and_no_bare_except():
    wrong = []
    for path in LIBRARY:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Assert) or (isinstance(node, ast.ExceptHandler) and node.type is None):
                wrong.append(f"{_name(path)}, line {node.lineno}")
    assert not wrong


def test_heavy_packages_are_imported_inside_functions():
    wrong = {}
    for path in LIBRARY:
        tree = _tree(path)
        top: list[ast.stmt] = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        heavy = {module.split(".")[0] for module, _ in _imports(ast.Module(top, []))} & HEAVY
        # A module of Keras subclasses cannot do without; it is itself imported inside functions.
        bases = {ast.unparse(base).split(".")[0] for node in tree.body if isinstance(node, ast.ClassDef) for base in node.bases}
        if heavy - bases:
            wrong[_name(path)] = heavy
    assert not wrong


def test_a_recipe_is_short_and_its_run_is_a_straight_line():
    crooked = (ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.With, ast.comprehension, ast.Lambda, ast.Match, ast.ClassDef)
    for path in RECIPES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 170, path
        run = next(node for node in _tree(path).body if isinstance(node, ast.FunctionDef) and node.name == "run")
        assert not [ast.unparse(node) for node in ast.walk(run) if isinstance(node, crooked)], path


def test_there_are_no_catch_all_modules():
    names = {part for path in LIBRARY for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"utils", "util", "helpers", "common", "base", "misc"}


def test_the_public_names_are_the_same_for_people_and_for_type_checkers():
    tree = _tree(ROOT / "tlkeras" / "__init__.py")
    checked = {(module, name) for module, name in _imports(tree, typing_too=True) if module.startswith("tlkeras.")}
    assert checked == {(module, name) for name, module in tlkeras._API.items()}


def test_no_public_name_is_also_the_name_of_a_part():
    # Python sets `tlkeras.<part>` to the module whenever the part is imported, and the public name would then be that module.
    parts = {_part(path) for path in LIBRARY} - {"__init__"}
    assert not parts & set(tlkeras.__all__)


def test_modules_stay_of_a_size_that_one_can_read():
    lines = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in LIBRARY}
    limits = {"tlkeras/cli.py": 470}  # a function for each command
    assert not {name: count for name, count in lines.items() if count > limits.get(name, 320)}
