import base64
import csv
import dataclasses
import hashlib
import html.parser
import io
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.data_files import words
from tests.test_data_health import photos, scene, table
from tlkeras.cli import main
from tlkeras.data.load import load_images, load_texts
from tlkeras.errors import DataError
from tlkeras.recipes import load_recipe, recipe_files
from tlkeras.report import check_lines as check_lines_module
from tlkeras.report.check import check_data
from tlkeras.report.check_command import check_and_save
from tlkeras.report.check_files import render, save_check
from tlkeras.report.check_lines import check_lines
from tlkeras.report.check_settings import CheckSettings
from tlkeras.report.thumbnails import SIDE

HOSTILE = "<script>alert(1)<"


@pytest.fixture
def damaged(tmp_path):
    """A folder with some of everything, one class named to run a script."""
    root = photos(tmp_path / "data", {"cat": 30, "dog": 30, HOSTILE: 30})
    (root / "cat" / "cat000.jpg").write_bytes(b"")
    (root / "dog" / "again.jpg").write_bytes((root / "dog" / "dog005.jpg").read_bytes())
    (root / "cat" / '"><b>.jpg').write_bytes((root / "dog" / "dog001.jpg").read_bytes())
    return root


class Tags(html.parser.HTMLParser):
    """Collects tags and addresses of a page, as a browser would see them."""

    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.policy, self.style, self.open = [], [], "", "", ""

    def handle_starttag(self, tag, attrs):
        values, self.open = dict(attrs), tag
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]

    def handle_endtag(self, tag):
        self.open = ""

    def handle_data(self, data):
        if self.open == "style":
            self.style += data


def read_page(path):
    page = Tags()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_sound_data_passes_and_damaged_data_does_not(damaged, tmp_path):
    report = check_data(damaged)
    assert not report.passed and report.verdict.startswith("Not ready to train on: 2 errors to mend or set aside")
    assert (report.examples, report.usable, report.modality) == (92, 91, "image")
    assert report.classes["dog"] == {"all": 31} and report.classes[HOSTILE] == {"all": 30}
    sound = check_data(photos(tmp_path / "sound", {"cat": 30, "dog": 30}))
    assert sound.passed and sound.verdict == "Nothing wrong was found."


def test_the_page_is_whole_escaped_and_loads_nothing(damaged, tmp_path):
    save_check(check_data(damaged), tmp_path / "out")
    page = read_page(tmp_path / "out" / "check.html")
    text = (tmp_path / "out" / "check.html").read_text(encoding="utf-8")
    assert "script" not in page.tags and "b" not in page.tags and "&lt;script&gt;alert(1)&lt;" in text
    assert all(source.startswith(("data:image/jpeg;base64,", "#finding-")) for source in page.sources)
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert page.policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    # What shows is in the page itself: no inline style or handler that the policy would have to let through.
    assert not re.search(r"<[^>]*\s(style|on\w+)=", text)


def test_thumbnails_show_the_offenders(damaged, tmp_path):
    report = check_data(damaged)
    by_key = {finding.key: finding for finding in report.findings}
    assert by_key["unreadable"].offenders[0].thumbnail == ""
    shown = by_key["copies"].offenders[0]
    picture = Image.open(io.BytesIO(base64.b64decode(shown.thumbnail.partition(",")[2])))
    expected = Image.open(shown.where).convert("RGB").crop((12, 0, 84, 72)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    assert picture.size == (SIDE, SIDE)
    assert np.abs(np.asarray(picture, float) - np.asarray(expected, float)).mean() < 4


def test_the_json_holds_every_offender_and_no_picture(damaged, tmp_path):
    save_check(check_data(damaged), tmp_path / "out")
    found = json.loads((tmp_path / "out" / "check.json").read_text(encoding="utf-8"))
    assert found["passed"] is False and found["examples"] == 92 and "base64" not in json.dumps(found)
    keys = {finding["key"]: finding for finding in found["findings"]}
    assert keys["unreadable"]["count"] == 1 and keys["two_labels"]["severity"] == "error"
    assert [one["id"] for one in keys["copies"]["offenders"]] == ["dog/dog005.jpg"]


def test_the_quarantine_list_is_honoured_by_the_next_check_and_by_loading(damaged, tmp_path):
    scene(900, (400, 100)).save(damaged / "cat" / "long.jpg")  # worth a look, but nothing to set aside
    before = sorted(path for path in damaged.rglob("*"))
    save_check(check_data(damaged), tmp_path / "out")
    assert sorted(path for path in damaged.rglob("*")) == before, "a check moves and deletes nothing"
    path = tmp_path / "out" / "quarantine.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        listed = {row["id"]: row["reason"] for row in csv.DictReader(stream)}
    assert set(listed) == {"cat/cat000.jpg", "dog/dog005.jpg", 'cat/"><b>.jpg', "dog/dog001.jpg"}
    assert listed["cat/cat000.jpg"] == "unreadable: the file is empty"
    again = check_data(damaged, quarantine=path)
    assert again.passed and again.examples == 89
    save_check(again, tmp_path / "out")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 5  # what was set aside before stays in the list
    splits = load_images(damaged, quarantine=path)
    assert not set(listed) & {*splits.train.ids, *splits.val.ids, *splits.test.ids}


def test_rows_without_identity_are_set_aside_by_their_place(tmp_path):
    rows = [f"{words(n)},{'pos' if n % 2 else 'neg'}" for n in range(60)]
    path = table(tmp_path, [*rows, *["only one cell"] * 101])
    with pytest.raises(DataError, match=r"101 of 161 examples cannot be used.*--quarantine"):
        load_texts(path)
    save_check(check_data(path), tmp_path / "out")
    splits = load_texts(path, quarantine=tmp_path / "out" / "quarantine.csv")
    assert len(splits.train) + len(splits.val) + len(splits.test) == 60


def test_a_given_split_is_checked_for_leaks(tmp_path):
    root = photos(tmp_path / "data", {"cat": 30, "dog": 30})
    (root / "dog" / "zz.jpg").write_bytes((root / "dog" / "dog000.jpg").read_bytes())
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))
    parts = ["test" if "zz" in name else ("train", "train", "val", "test")[place % 4] for place, name in enumerate(names)]
    lines = [f"{name},{part}" for name, part in zip(names, parts, strict=True)]
    (tmp_path / "splits.csv").write_text("id,split\n" + "\n".join(lines) + "\n")
    found = {finding.key: finding for finding in check_data(root, splits=tmp_path / "splits.csv").findings}
    assert [one.id for one in found["leak"].offenders] == ["dog/dog000.jpg"]


def test_lines_give_the_verdict_the_way_out_and_the_next_command(damaged, tmp_path):
    lines = list(check_lines(check_data(damaged), tmp_path / "out"))
    text = "\n".join(lines)
    assert "ERROR    Pictures that cannot be read: 1" in lines and f"{damaged}/cat/cat000.jpg: the file is empty" in text
    assert "-> Download, copy or export them again, or set them aside with the quarantine list." in text
    assert lines[-1].startswith(f"Next: mend what is an error, and look again: tlkeras check {damaged} --quarantine")
    assert all(line.isprintable() for line in lines)


def test_the_next_command_says_again_what_the_columns_hold(tmp_path):
    path = table(tmp_path, [f"{words(n)},{n / 10}" for n in range(60)], "body,price")
    settings = CheckSettings(text_column="body", target="value", encoding="utf-8")
    report, folder = check_and_save(str(path), replace(settings, output=tmp_path / "my report"))
    lines = list(check_lines(report, folder, settings))
    assert lines[-1] == (
        f"Next: tlkeras run text_classification --data {path} --text-column body --target value --encoding utf-8"
    )
    for recipe in ("image_classification", "text_classification"):
        fields = {field.name for field in dataclasses.fields(load_recipe(recipe_files()[recipe]).Config)}
        assert fields >= set(check_lines_module._SHARED) - {"image_column", "text_column"}


def test_names_that_are_no_utf8_or_move_the_cursor_are_shown_escaped(tmp_path):
    root = photos(tmp_path / "data", {"cat": 3, "dog": 3})
    for name in (b"\xff.jpg", b"\x1b[31m.jpg"):
        with open(os.fsencode(root / "cat") + b"/" + name, "wb"):  # noqa: PTH123
            pass
    report = check_data(root)
    save_check(report, tmp_path / "out")
    text = "\n".join(check_lines(report, tmp_path / "out"))
    assert "\\udcff.jpg" in text and "\\x1b[31m.jpg" in text and "\x1b" not in text
    assert "\\udcff.jpg" in render(report)


def test_label_errors_are_looked_for_on_demand(tmp_path, monkeypatch):
    for number in range(60):
        red = (number % 2) ^ (number in (4, 9))
        path = tmp_path / "data" / ("blue", "red")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(scene(number, (40, 40))) // 3
        Image.fromarray(pixels + np.array([150 * red, 0, 150 * (1 - red)], np.uint8)).save(path)
    for number in range(2):  # a class that is too small to be probed is left out of the probe
        (tmp_path / "data" / "green").mkdir(exist_ok=True)
        scene(500 + number, (40, 40)).save(tmp_path / "data" / "green" / f"{number}.png")
    report = check_data(tmp_path / "data", deep=True, source="tiny_cnn")
    found = next(finding for finding in report.findings if finding.key == "label_errors")
    assert {one.id for one in found.offenders} == {"blue/4.png", "red/9.png"} and found.quarantine
    assert "labelled 'blue', looks like 'red'" in "".join(one.detail for one in found.offenders)
    assert report.deep and "label_errors" not in {one.key for one in check_data(tmp_path / "data").findings}


def test_texts_are_checked_and_the_page_lists_rows(tmp_path):
    rows = [f"{words(n)},{'pos' if n % 2 else 'neg'}" for n in range(60)]
    report = check_data(table(tmp_path, [*rows, "!,pos"]), modality="text")
    save_check(report, tmp_path / "out")
    assert report.passed and report.verdict == "Can be trained on; 2 warnings to look at first."
    assert {one.key for one in report.findings if one.severity == "warning"} == {"short_texts", "foreign_texts"}
    assert "table.csv, row 62" in (tmp_path / "out" / "check.html").read_text(encoding="utf-8")


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_its_files_and_exits_by_the_verdict(in_folder, damaged, capsys):
    assert main(["check", "data"]) == 1
    out = capsys.readouterr().out
    assert "Not ready to train on" in out
    files = {path.name for path in (in_folder / "saved_models" / "check" / "data").iterdir()}
    assert files == {"check.html", "check.json", "quarantine.csv"}
    assert main(["check", "data", "--quarantine", "saved_models/check/data/quarantine.csv", "--output", "again"]) == 0
    assert (in_folder / "again" / "check.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["check", "nowhere"], 2, "'nowhere' does not exist"),
        (["check", "empty"], 1, "holds no class folders"),
        (["check", "data", "--quarantine", "none.csv"], 1, "'none.csv' does not exist"),
    ],
)
def test_what_cannot_be_checked_is_explained(in_folder, capsys, words, code, message):
    (in_folder / "empty").mkdir()
    photos(in_folder / "data", {"cat": 3, "dog": 3})
    assert main(words) == code
    shown = capsys.readouterr()
    assert message in shown.out + shown.err and "Traceback" not in shown.err
