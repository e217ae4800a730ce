"""What the wheel carries and asks for."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built offline."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return HeaderParser().parsestr(wheel.read(name).decode())


def _floor(requirement: Requirement) -> Version:
    return next(Version(item.version) for item in requirement.specifier if item.operator == ">=")


def _core(metadata: Message) -> list[Requirement]:
    found = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    return [item for item in found if item.marker is None or item.marker.evaluate({"platform_system": "Linux", "extra": ""})]


def _colab() -> dict[str, Version]:
    lines = (ROOT / "tests" / "colab-constraints.txt").read_text().split()
    return {re.sub("[-_.]+", "-", name).lower(): Version(version) for name, version in (line.split("==") for line in lines)}


def test_the_wheel_carries_the_library_and_every_recipe(wheel):
    names = set(wheel.namelist())
    for path in (ROOT / "recipes").glob("*.py"):
        assert wheel.read(f"tlkeras/_recipes/{path.name}") == path.read_bytes()
    for path in (ROOT / "tlkeras").rglob("*.py"):
        assert path.relative_to(ROOT).as_posix() in names


def test_the_wheel_carries_every_template_page_and_style(wheel):
    files = [path for path in (ROOT / "tlkeras").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    known = {"tlkeras/export/app_files/web.html.j2", "tlkeras/serve/page.html", "tlkeras/report/check.html.j2"}
    assert known <= {path.relative_to(ROOT).as_posix() for path in files}
    for path in files:
        assert wheel.read(path.relative_to(ROOT).as_posix()) == path.read_bytes()


def test_the_wheel_carries_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tlkeras"}
    assert not [name for name in wheel.namelist() if "test" in name or name.endswith((".pyc", ".ipynb"))]


def test_the_wheel_carries_the_licence(wheel):
    licence = next(name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
    assert b"Apache License" in wheel.read(licence)
    assert len(wheel.read(licence)) > 10_000


def test_the_installed_command_is_the_one_of_the_library(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "tlkeras = tlkeras.cli:main" in wheel.read(name).decode()


def test_floors_are_no_higher_than_what_stock_colab_has(metadata):
    colab = _colab()
    too_high = {
        item.name: str(item.specifier)
        for item in _core(metadata)
        if item.name in colab and item.name != "keras" and _floor(item) > colab[item.name]
    }
    assert not too_high


def test_keras_has_its_security_floor(metadata):
    assert _floor(next(item for item in _core(metadata) if item.name == "keras")) == Version("3.15.1")


def test_nothing_is_capped_so_that_the_newest_versions_are_taken(metadata):
    assert not [str(item) for item in _core(metadata) if any(part.operator != ">=" for part in item.specifier)]


def test_python_is_one_that_tensorflow_has_wheels_for(metadata):
    allowed = SpecifierSet(metadata["Requires-Python"])
    assert [allowed.contains(f"3.{minor}.0") for minor in (10, 11, 12, 13, 14)] == [False, True, True, True, False]


def test_on_windows_grain_takes_the_place_of_tensorflow_text(metadata):
    found = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    windows = {
        item.name for item in found if item.marker is None or item.marker.evaluate({"platform_system": "Windows", "extra": ""})
    }
    linux = {item.name for item in _core(metadata)}
    assert windows - linux == {"grain"}
    assert linux - windows == {"tensorflow-text"}


def test_the_version_is_the_same_everywhere(metadata):
    import tlkeras

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Version"] == project["version"] == tlkeras.__version__
    assert f"## [{tlkeras.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_a_plan_that_downgrades_or_touches_tensorflow_is_refused():
    from tests.colab_plan import harm

    present = {"tensorflow": "2.20.0", "keras": "3.13.2", "h5py": "3.16.0"}
    assert harm({"keras": "3.15.1", "tyro": "1.0.17"}, present) == []
    assert harm({"h5py": "3.14.0"}, present) == ["h5py would be downgraded from 3.16.0 to 3.14.0"]
    assert harm({"tensorflow": "2.21.0"}, present) == ["tensorflow would be changed from 2.20.0 to 2.21.0"]


def test_the_makefile_and_ci_run_the_same_checks():
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()
    makefile = (ROOT / "Makefile").read_text()
    for check in ("ruff format --check .", "ruff check .", "mypy", "-m pytest"):
        assert check in makefile
