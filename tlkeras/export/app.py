"""What an app developer gets: golden examples, a guide for phones, and two small programs that run the exported files."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkeras.export.artifact import Artifact
from tlkeras.export.golden import write_golden
from tlkeras.files import write_file

if TYPE_CHECKING:
    import jinja2

    from tlkeras.data.examples import Examples
    from tlkeras.export.predict import Predictor

FOLDER = "app"
PACKAGES = {"image": ("@litertjs/core@2.5.3",), "text": ("@litertjs/core@2.5.3", "@huggingface/tokenizers@0.2.0")}
"""npm packages of the web page, in the versions it was tested with."""
_PHONE = {
    "image": ("tflite_int8", "tflite_float16", "tflite_dynamic", "tflite_float32"),
    "text": ("tflite_dynamic", "tflite_float16", "tflite_float32"),
}
"""What the guide speaks of: the smallest that answers well; int8 texts would need their scores unpacked in the app."""
_LABELS_SHOWN = 50


def write_app(artifacts: Sequence[Artifact], examples: "Examples") -> Path:
    """Write `golden.json` and the folder `app/` beside the artefacts.

    `app/README.md` and `index.html` say how to use the very file on Android and iOS; `classify.py` (ai-edge-litert and Pillow
    or tokenizers alone) and `web.html` (LiteRT.js) run it, and compare themselves with `golden.json`.

    Args:
        artifacts: What `export_model` returned, a `.tflite` among them.
        examples: Test examples; a few of them become golden ones.

    Returns:
        The folder.

    Raises:
        ValueError: There is no `.tflite`.
    """
    model = _for_phones(artifacts, examples.store.modality)
    folder = model.path.parent / FOLDER
    write_golden(artifacts, examples, model.path.parent)
    write_file(folder, lambda temporary: _write(temporary, _values(model, artifacts)))
    return folder


def _for_phones(artifacts: Sequence[Artifact], modality: str) -> Artifact:
    by_target = {one.target: one for one in artifacts}
    wanted = _PHONE[modality]
    found = [by_target[target] for target in wanted if target in by_target]
    if not found:
        raise ValueError(
            f"An app needs a .tflite. Received: {', '.join(by_target)}. Export one of {', '.join(wanted)} as well."
        )
    return found[0]


def _values(model: Artifact, artifacts: Sequence[Artifact]) -> dict[str, Any]:
    from tlkeras.export.predict import load_artifact

    predictor = load_artifact(model.path)
    source = predictor.contract["source"]
    return {
        "model": model.path.name,
        "files": [(one.path.name, one.size_bytes) for one in artifacts],
        "modality": predictor.modality,
        "task": predictor.task,
        "title": f"{source['name']} for {predictor.modality}s",
        "input": predictor.contract["input"],
        "output": predictor.contract["output"],
        "rejection": predictor.contract.get("rejection"),
        "thresholds": predictor.contract["output"].get("thresholds"),
        "labels": predictor.labels[:_LABELS_SHOWN],
        "more_labels": max(0, len(predictor.labels) - _LABELS_SHOWN),
        "wordpiece": _is_wordpiece(predictor),
        "lowercase": _lowercases(predictor),
        "licence": source.get("licence"),
        "packages": PACKAGES[predictor.modality],
    }


def _is_wordpiece(predictor: "Predictor") -> bool:
    return predictor.tokenizer is not None and json.loads(predictor.tokenizer.to_str())["model"]["type"] == "WordPiece"


def _lowercases(predictor: "Predictor") -> bool:
    return (
        predictor.tokenizer is not None
        and predictor.tokenizer.normalizer is not None
        and (predictor.tokenizer.normalizer.normalize_str("É") == "e")
    )


def _write(folder: Path, values: dict[str, Any]) -> None:
    folder.mkdir()
    for name in ("README.md", "index.html", "classify.py", "web.html"):
        text = _environment(name).get_template(f"{name}.j2").render(values)
        (folder / name).write_text(text, encoding="utf-8", errors="replace", newline="\n")


def _environment(name: str) -> "jinja2.Environment":
    """Return templates in which every value is escaped for the file's language; code gets no names that a person chose."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tlkeras.export", "app_files"),
        autoescape=name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["markdown"] = escape_markdown
    return environment


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    plain = re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~.-])", r"\\\1", plain)
