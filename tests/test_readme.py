"""What the README says works as written."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_of_python_run_as_they_stand(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    # Offline: a network with weights from a package, as a plain Keras model, in place of the download.
    download = "keras.applications.MobileNetV3Small(include_top=False, input_shape=(224, 224, 3))"
    assert download in code
    code = code.replace(download, 'tl.load_image_source("efficientnet_lite0", image_size=97).network')
    generator = np.random.default_rng(0)
    for name, tint in (("blue", 2), ("red", 0)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(12):
            pixels = generator.integers(0, 80, (50, 60, 3)).astype(np.uint8)
            pixels[..., tint] += 150
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["network"].output.shape == (None, 2)
    assert {"saved_model", "model_float32.tflite", "model_float16.tflite"} <= {p.name for p in (tmp_path / "exports").iterdir()}
    assert (tmp_path / "log.csv").exists()


def test_every_file_that_is_linked_exists():
    links = re.findall(r"\]\(([^)]+)\)", README)
    local = [link for link in links if "://" not in link]
    assert len(local) >= 4
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_every_command_line_names_recipes_and_flags_that_exist():
    from tlkeras.recipes import load_recipe, recipe_files

    recipes = recipe_files()
    for name, flags in re.findall(r"^tlkeras run (\w+)(.*)$", README, flags=re.MULTILINE):
        fields = load_recipe(recipes[name]).Config.__dataclass_fields__
        assert {flag.replace("-", "_") for flag in re.findall(r"--([a-z-]+)", flags)} <= set(fields)
