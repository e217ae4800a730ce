"""The notebooks are what the recipes say, and run."""

import ast
import importlib.util
import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("notebooks_build", ROOT / "notebooks" / "build.py")
assert _spec is not None
assert _spec.loader is not None
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

RECIPES = sorted((ROOT / "recipes").glob("*.py"))


def _id(path: Path) -> str:
    return path.stem


def _code(recipe: Path) -> list[str]:
    cells = json.loads(build.build(recipe))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("recipe", RECIPES, ids=_id)
def test_the_notebook_is_the_one_that_the_recipe_gives(recipe):
    written = (ROOT / "notebooks" / f"{recipe.stem}.ipynb").read_text(encoding="utf-8")
    assert written == build.build(recipe), "run: make notebooks"


def test_every_notebook_has_its_recipe():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == {path.stem for path in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES, ids=_id)
def test_the_steps_are_those_of_run_statement_for_statement(recipe):
    run = next(node for node in ast.parse(recipe.read_text()).body if isinstance(node, ast.FunctionDef))
    expected = [ast.unparse(node).removeprefix("return ") for node in run.body[1:]]
    cells = "\n".join(code for code in _code(recipe) if "@title" not in code and "%pip" not in code)
    found = [ast.unparse(node).removeprefix("run = ") for node in ast.parse(cells).body]
    assert found[: len(expected)] == [line.removeprefix("run = ") for line in expected]


@pytest.mark.parametrize("recipe", RECIPES, ids=_id)
def test_a_notebook_begins_with_purpose_and_badge_and_ends_with_the_download(recipe):
    notebook = json.loads(build.build(recipe))
    first = "".join(notebook["cells"][0]["source"])
    assert first.startswith(f"# {ast.get_docstring(ast.parse(recipe.read_text()))}".split("\n")[0])
    assert f"/notebooks/{recipe.stem}.ipynb)" in first
    assert "files.download" in "".join(notebook["cells"][-1]["source"])


@pytest.mark.parametrize("recipe", RECIPES, ids=_id)
def test_the_form_shows_every_setting_with_its_help_and_default(recipe):
    from tlkeras.recipes import load_recipe

    config = load_recipe(recipe).Config()
    form = next(code for code in _code(recipe) if "# @title Settings" in code)
    values: dict[str, object] = {}
    exec("from types import SimpleNamespace as Config\n" + form, values)
    assert vars(values["config"]) == vars(config)
    assert form.count("# @markdown") == len(vars(config))


def test_cell_ids_do_not_change_from_one_build_to_the_next():
    ids = [[cell["id"] for cell in json.loads(build.build(RECIPES[0]))["cells"]] for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])


@pytest.mark.parametrize("recipe", RECIPES, ids=_id)
def test_the_notebook_runs_under_smoke_outside_colab(recipe, tmp_path):
    from tlkeras.recipes import load_recipe

    notebook = nbformat.reads(build.build(recipe), as_version=4)
    smoke = {**load_recipe(recipe).SMOKE, "output": str(tmp_path / "run")}
    where = next(index for index, cell in enumerate(notebook.cells) if "# @title Settings" in cell.source)
    override = f"from dataclasses import replace\nconfig = replace(config, **{smoke!r})"
    notebook.cells.insert(where + 1, nbformat.v4.new_code_cell(override))
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "run" / "finished.json").exists()
    shown = json.dumps(notebook.cells)
    assert "image/png" in shown
    assert "Everything is in" in shown
