"""What an app developer gets: golden examples that can fail, programs that agree with them, a guide where names are text."""

import base64
import functools
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser_tools import MODULES, chromium, require_packages, web_server
from tests.export_models import (
    CLASSES,
    exported_images,
    exported_texts,
    image_examples,
    image_model,
    reference,
    text_examples,
    text_model,
    texts,
)
from tlkeras.data.decode import RESIZE_MODES, decode_image
from tlkeras.data.examples import ImageArrays, ImageFiles, MultiLabelTargets, Targets, ValueTargets
from tlkeras.export.app import PACKAGES, escape_markdown, write_app
from tlkeras.export.golden import _round_up
from tlkeras.export.predict import load_artifact, predict_images
from tlkeras.export.targets import export_model
from tlkeras.tasks.model import TransferModel
from tlkeras.tasks.multi_label import build_multi_label
from tlkeras.tasks.regression import build_regressor


@pytest.fixture(scope="module", params=["image", "text"])
def exports(request, tmp_path_factory):
    """A copy of an export folder with its hand-over, and the modality."""
    folder = tmp_path_factory.mktemp(request.param) / "exports"
    made, examples = (exported_images(), image_examples()) if request.param == "image" else (exported_texts(), text_examples())
    shutil.copytree(made[0].path.parent, folder)
    artifacts = [replace(one, path=folder / one.path.name) for one in made]
    assert write_app(artifacts, examples) == folder / "app"
    return folder, request.param


@pytest.fixture(scope="module")
def other_exports(tmp_path_factory):
    """Export folders with their hand-over: quantised pictures, several labels, values."""
    folder = tmp_path_factory.mktemp("other")
    small = export_model(
        image_model(),
        folder / "int8",
        targets=("tflite_float32", "tflite_dynamic", "tflite_int8"),
        calibration=image_examples(128),
    )
    write_app(small, image_examples())
    source, pictures = image_model().source, image_examples()
    values = np.linspace(0, 900, 40, dtype=np.float32)
    models: dict[str, tuple[TransferModel, Targets]] = {
        "multi_label": (build_multi_label(source, CLASSES), MultiLabelTargets(np.eye(40, 3, dtype=np.uint8))),
        "regression": (build_regressor(source, values, name="price"), ValueTargets(values)),
    }
    for task, (model, targets) in models.items():
        write_app(export_model(model, folder / task, targets=("tflite_float32",)), replace(pictures, targets=targets))
    return folder


def _golden(folder):
    return json.loads((folder / "golden.json").read_text())


def test_golden_examples_hold_what_keras_answers(exports):
    folder, kind = exports
    golden = _golden(folder)
    assert (golden["modality"], golden["reference"]) == (kind, "model_float32.tflite")
    assert set(golden["tolerances"]) == {"saved_model", "model_float32.tflite", "model_float16.tflite"}
    assert all(0 < tolerance < 0.05 for tolerance in golden["tolerances"].values())
    assert len(golden["examples"]) == 6
    outputs = np.array([one["outputs"] for one in golden["examples"]])
    if kind == "text":
        places = [texts().index(one["text"]) for one in golden["examples"]]
        np.testing.assert_allclose(outputs, reference(text_model(), text_examples().take(places)), atol=2e-6)
    for one, row in zip(golden["examples"], outputs, strict=True):
        assert one["labels"] == [golden["labels"][row.argmax()]]


def test_golden_pictures_have_the_shapes_that_apps_get_wrong(exports):
    folder, kind = exports
    if kind == "text":
        return
    golden = _golden(folder)
    found = set()
    for one in golden["examples"]:
        data = base64.b64decode(one["base64"])
        image = Image.open(io.BytesIO(data))
        assert one["media_type"] == f"image/{str(image.format).lower()}"
        found.add((image.format, image.width > image.height, image.getexif().get(0x0112)))
    assert found == {("PNG", False, None), ("JPEG", True, None), ("JPEG", False, 6)}
    wrong = [Image.open(io.BytesIO(base64.b64decode(one["base64"]))).convert("RGB") for one in golden["examples"]]
    predictor = load_artifact(folder / "model_float32.tflite")
    squashed = predictor.outputs(np.stack([np.asarray(image.resize((24, 24), Image.Resampling.BILINEAR)) for image in wrong]))
    difference = np.abs(squashed - np.array([one["outputs"] for one in golden["examples"]])).max(axis=1)
    # An app that squashes, or forgets to turn, is found out.
    assert (difference > golden["tolerances"]["model_float32.tflite"]).sum() >= 4


def test_a_tolerance_is_rounded_up_to_two_digits():
    assert [_round_up(value) for value in (0.001, 0.00101, 0.0123, 0.0999, 2.0, 123.4)] == [0.001, 0.0011, 0.013, 0.1, 2.0, 130]


@pytest.mark.parametrize("kind", ["int8", "multi_label", "regression"])
def test_quantised_files_several_labels_and_values_are_handed_over_too(other_exports, kind):
    folder = other_exports / kind
    golden = _golden(folder)
    code, lines = _run(folder, "--check")
    assert (code, len(lines)) == (0, 6 * len(golden["tolerances"])), lines
    page = _Page((folder / "app" / "index.html").read_text())
    if kind == "int8":
        assert 'setModelAssetPath("model_int8.tflite")' in page.text
        assert ": (number - 0) * 0.00390625" in page.text
        assert golden["tolerances"]["model_float32.tflite"] < golden["tolerances"]["model_int8.tflite"] < 0.2
    elif kind == "multi_label":
        rows = [(one["outputs"], one["labels"]) for one in golden["examples"]]
        assert all(labels == [name for name, p in zip(CLASSES, outputs, strict=True) if p >= 0.5] for outputs, labels in rows)
    else:
        assert golden["labels"] == ["price"]
        assert all(len(one["outputs"]) == 1 and "labels" not in one for one in golden["examples"])


def _run(folder, *words, script="classify.py"):
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(*sorted({'tlkeras', 'tensorflow', 'keras'} & set(sys.modules)), 'loaded')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "app" / script), *words], capture_output=True, text=True, cwd=folder
    )
    assert done.stdout.endswith(" loaded\n") or done.stdout.endswith("\nloaded\n"), done.stderr
    assert "tlkeras" not in done.stdout.splitlines()[-1]
    return done.returncode, done.stdout.splitlines()[:-1]


def test_the_python_program_agrees_with_the_golden_examples_by_itself(exports):
    folder, _ = exports
    code, lines = _run(folder, "--check")
    assert (code, len(lines)) == (0, 12)
    assert all(": equal, by " in line for line in lines)


def test_the_python_program_says_when_it_differs(exports, tmp_path):
    folder, _ = exports
    changed = tmp_path / "exports"
    shutil.copytree(folder, changed)
    golden = _golden(changed)
    golden["examples"][2]["outputs"] = golden["examples"][2]["outputs"][::-1]
    (changed / "golden.json").write_text(json.dumps(golden))
    code, lines = _run(changed, "--check")
    assert code == 1
    assert [line.split(":")[0].split()[-1] for line in lines if "DIFFERS" in line] == ["2", "2"]


def test_the_python_program_answers_for_files_and_texts(exports, tmp_path):
    folder, kind = exports
    if kind == "image":
        file = tmp_path / "a.png"
        Image.new("RGB", (40, 30), (200, 30, 60)).save(file)
        (expected,) = predict_images(load_artifact(folder / "model_float16.tflite"), [file])
        code, lines = _run(folder, str(file))
        assert f"{expected.label} {expected.probability:.3f}" in "\n".join(lines)
    else:
        code, lines = _run(folder, "good film", "bad")
        assert len(lines) == 2
    assert code == 0


def _encoded(image, kind="png", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@functools.cache
def _pictures():
    """Pictures of every mode that PNG and JPEG have, turned and not."""
    random = np.random.default_rng(5)
    smooth = np.asarray(
        Image.fromarray(random.integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize((312, 208), Image.Resampling.BICUBIC)
    )
    photo = Image.fromarray(smooth)
    grey16 = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    see_through = photo.copy()
    see_through.putalpha(Image.fromarray(smooth[..., 0]))
    turned = Image.Exif()
    pictures = {
        "rgb png": _encoded(photo),
        "grey png": _encoded(photo.convert("L")),
        "16-bit grey png": _encoded(grey16),
        "palette png": _encoded(photo.convert("P")),
        "transparent palette png": _encoded(photo.convert("P"), transparency=3),
        "rgba png": _encoded(see_through),
        "1-bit png": _encoded(photo.convert("1")),
        "tiny png": _encoded(photo.resize((3, 5))),
        "jpeg": _encoded(photo, "jpeg", quality=90),
        "grey jpeg": _encoded(photo.convert("L"), "jpeg"),
        "cmyk jpeg": _encoded(photo.convert("CMYK"), "jpeg"),
    }
    for orientation in range(1, 9):
        turned[0x0112] = orientation
        pictures[f"jpeg, orientation {orientation}"] = _encoded(photo, "jpeg", exif=turned)
    return pictures


@pytest.mark.parametrize("resize", RESIZE_MODES)
def test_the_python_program_sees_the_pixels_of_training(exports, resize, monkeypatch):
    folder, kind = exports
    if kind == "text":
        return
    monkeypatch.setattr("tlkeras.data.resize.vectorised", lambda: False)  # both with Pillow alone
    read = runpy.run_path(str(folder / "app" / "classify.py"))["read_picture"]
    for name, data in _pictures().items():
        for size in (24, 97):
            np.testing.assert_array_equal(read(data, size, resize), decode_image(data, size, resize=resize), name)


_TAGS = frozenset(
    (
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "h1",
        "h2",
        "p",
        "table",
        "tr",
        "th",
        "td",
        "bdi",
        "code",
        "pre",
        "a",
    )
)


class _Page(HTMLParser):
    """Gathers the tags and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_guide_fills_in_names_sizes_and_labels_as_text_only(exports):
    folder, kind = exports
    page = _Page((folder / "app" / "index.html").read_text())
    readme = (folder / "app" / "README.md").read_text()
    labels = CLASSES if kind == "image" else CLASSES[:2]
    for label in labels:
        assert label in page.text
        assert escape_markdown(label) in readme
    assert "b" not in page.tags  # the label <b> is no bold
    assert set(page.tags) <= _TAGS
    for text in (page.text, readme):
        assert "model_float16.tflite" in text
        assert f"{(folder / 'model_float32.tflite').stat().st_size:,}" in text
        assert "golden.json" in text
        assert not re.search(r"\{\{|\{%|None|Undefined", text)
    expected = "const val SIZE = 24" if kind == "image" else "const val LENGTH = 12"
    assert expected in page.text
    assert expected in readme


def test_markdown_is_escaped():
    assert escape_markdown("a|b\n`c` <script> [x](y) *z* 1. # &") == (
        "a\\|b \\`c\\` &lt;script&gt; \\[x\\]\\(y\\) \\*z\\* 1\\. \\# &amp;"
    )


def test_without_a_tflite_there_is_no_app():
    saved_model = exported_images()[0]
    with pytest.raises(ValueError, match=r"An app needs a \.tflite\. Received: saved_model"):
        write_app([saved_model], image_examples())


def test_golden_pictures_come_from_files_too(tmp_path):
    made = exported_images()
    folder = tmp_path / "exports"
    shutil.copytree(made[0].path.parent, folder)
    paths = []
    store = image_examples().take(range(6)).store
    assert isinstance(store, ImageArrays)
    for number, pixels in enumerate(store.pixels):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(pixels).save(paths[-1])
    examples = replace(image_examples().take(range(6)), store=ImageFiles(tuple(paths)))
    write_app([replace(one, path=folder / one.path.name) for one in made], examples)
    from_files = _golden(folder)
    write_app([replace(one, path=folder / one.path.name) for one in made], image_examples().take(range(6)))
    assert _golden(folder)["examples"] == from_files["examples"]


def test_the_browser_packages_are_those_the_guide_names():
    pinned = json.loads((Path(__file__).parent / "browser" / "package.json").read_text())["dependencies"]
    assert {f"{name}@{version}" for name, version in pinned.items()} == {one for names in PACKAGES.values() for one in names}


def _check_page(browser, folder):
    """Run the page's own check and return its lines."""
    require_packages()
    if not (folder / "app" / "node_modules").exists():
        (folder / "app" / "node_modules").symlink_to(MODULES)
    with web_server(folder) as address:
        page = browser.new_page()
        page.goto(f"{address}/app/web.html?check")
        page.wait_for_selector("#status:has-text('examples')", timeout=60_000)
        lines = page.inner_text("#check").splitlines()
        assert page.inner_text("#status") == "All examples are equal.", lines
        return lines


def test_the_web_page_runs_quantised_files_several_labels_and_values(other_exports):
    with chromium() as browser:
        lines = [_check_page(browser, other_exports / kind) for kind in ("int8", "multi_label", "regression")]
    assert [len(one) for one in lines] == [18, 6, 6]


def test_the_web_page_agrees_with_the_golden_examples_in_chromium(exports):
    require_packages()
    folder, kind = exports
    if not (folder / "app" / "node_modules").exists():
        (folder / "app" / "node_modules").symlink_to(MODULES)
    with chromium() as browser, web_server(folder) as address:
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda sent: asked.append(sent.url))
        page.goto(f"{address}/app/web.html?check")
        page.wait_for_selector("#status:has-text('examples')", timeout=60_000)
        lines = page.inner_text("#check").splitlines()
        assert page.inner_text("#status") == "All examples are equal.", lines
        assert len([line for line in lines if "equal" in line]) == 12
        page.goto(f"{address}/app/web.html")
        page.wait_for_selector("#status:has-text('Ready.')")
        if kind == "image":
            page.set_input_files("#input", {"name": "a.png", "mimeType": "image/png", "buffer": _pictures()["rgb png"]})
        else:
            page.fill("#input", "good film")
        page.wait_for_selector("#answer li")
        assert page.locator("#answer li").count() == len(CLASSES if kind == "image" else CLASSES[:2])
        assert {url.split("/")[2] for url in asked if url.startswith("http")} == {address.split("/")[2]}


def _sizes(name):
    if name == "rgb png":
        return ((97, "crop"), (97, "pad"), (97, "squash"))
    return ((24, "crop"),) if "jpeg" in name else ((53, "crop"),)


def test_the_web_page_sees_the_pixels_of_training_within_the_stated_tolerance(exports):
    folder, kind = exports
    if kind == "text":
        return
    script = re.search(
        r"(async function readPicture.*?)\nasync function loadModel", (folder / "app" / "web.html").read_text(), re.S
    )
    assert script
    call = """async ([source, base64, terms]) => {
      const read = new Function(source + "; return readPicture;")();
      const blob = await (await fetch("data:application/octet-stream;base64," + base64)).blob();
      return Array.from(await read(blob, terms));
    }"""
    with chromium() as browser:
        page = browser.new_page()
        for name, data in _pictures().items():
            if "16-bit" in name or "cmyk" in name:  # browsers round and convert these in their own way
                continue
            for size, resize in _sizes(name):
                terms = {"size": size, "resize": resize}
                pixels = page.evaluate(call, [script[1], base64.b64encode(data).decode(), terms])
                expected = decode_image(data, size, resize=resize).astype(int)
                difference = np.abs(np.array(pixels).reshape(expected.shape) - expected)
                reduced = "jpeg" in name and size == 24
                assert difference.max() <= (8 if reduced else 1), (name, terms)
                assert difference.mean() < 0.5, (name, terms)
