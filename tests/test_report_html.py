"""The report of a run: what it shows, that it needs nothing else, and how it looks in a browser."""

import html.parser
import json
import re

import pytest
import yaml
from PIL import Image

from tests.browser_tools import chromium
from tests.run_folders import EVIL, add_everything, measure, write_run
from tlkeras.cli import main
from tlkeras.errors import TlkerasError
from tlkeras.report.gallery import joined, shades
from tlkeras.report.html import write_report
from tlkeras.report.in_words import in_words
from tlkeras.report.model_card import as_markdown
from tlkeras.report.numbers import facts, gain, interval, number
from tlkeras.report.page import picture_address
from tlkeras.report.run_record import read_run
from tlkeras.report.run_values import bars, command, headline, worst_classes


class Tags(html.parser.HTMLParser):
    """Collects the tags, addresses and texts of a page, as a browser would see them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.texts = set(), [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(" ".join(data.split()))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = add_everything(write_run(tmp_path_factory.mktemp("runs") / "full"))
    write_report(folder)
    return folder


def test_a_bare_run_shows_its_three_numbers_and_names_what_was_not_measured(tmp_path):
    page = Tags(write_report(write_run(tmp_path / "run")).read_text(encoding="utf-8"))
    assert {"75.0 %", "60.0 %", "+15.0 points", "pixels + linear model"} <= set(page.texts)
    shown = " ".join(page.texts)
    assert all(f"{name}: whether" in shown for name in ("calibration", "slices", "fairness", "privacy"))
    assert "None were written." in shown and "Its splits were not kept." in shown


def test_everything_that_was_measured_is_shown(full):
    page = Tags((full / "report.html").read_text(encoding="utf-8"))
    shown = " ".join(page.texts)
    for text in ("Can its probabilities be taken at their word?", "0.052", "0.033", "foreign inputs", "The strongest blur",
                 "70.0 %", "40.0 %", "Do its answers give its training data away?", "not by chance",
                 "Is it fair to groups?", "Confident mistakes", "Lucky hits", "same label for 100.0% of 8", "6.8 MB",
                 "2.5 ms (2 threads)", "brightness: dark",
                 "1 input was left out", "2 to train on", "3.12.1"):  # fmt: skip
        assert text in shown, text
    assert "grain" not in shown and "Not measured" not in page.texts


def test_the_page_is_escaped_and_loads_nothing(full):
    text = (full / "report.html").read_text(encoding="utf-8")
    page = Tags(text)
    assert EVIL not in text and "&lt;img src=x" in text and not {"script", "b", "link", "iframe"} & page.tags
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    assert len([address for address in page.addresses if address.startswith("data:")]) == 6


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "text.png", "missing.png", ""])
def test_only_pictures_of_the_folder_itself_get_into_a_page(name, tmp_path):
    (tmp_path / "run").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    Image.new("RGB", (2, 2)).save(tmp_path / "run" / "own.png")
    (tmp_path / "run" / "text.png").write_text("no picture")
    assert picture_address(tmp_path / "run", name) == ""
    assert picture_address(tmp_path / "run", "own.png").startswith("data:image/png;base64,")


def test_numbers_are_written_as_a_person_reads_them():
    assert [number(0.894, share=True), number(1234.0), number(0.5), number(0.0012), number(None), number(float("nan"))] == [
        "89.4 %", "1,234", "0.500", "0.0012", "not measured", "not measured"]  # fmt: skip
    assert interval({"value": 0.5, "low": 0.25, "high": 0.75, "n": 4}, share=True) == "25.0 to 75.0 %"
    assert gain({"value": -0.021, "low": -0.05, "high": 0.01}, share=True) == ("-2.1 points", "-5.0 to +1.0")
    assert list(facts({"ece": 0.5, "after": {"auc": measure(0.5)}, "none": None, "on": True, "names": ["a", "b"]})) == [
        ("ECE", "0.500"), ("after · AUC", "0.500 (0.400 to 0.600; n 8)"), ("on", "yes"), ("names", "a, b")]  # fmt: skip


def test_the_headline_of_values_is_better_if_lower(tmp_path):
    errors = {
        "test": {"mean_absolute_error": measure(2.0, spread=0.5)},
        "nulls": {"majority of training": measure(4.0), "pixels + linear model": measure(3.0)},
    }
    values = headline(read_run(write_run(tmp_path / "run", metrics={"task": "regression", "gain": measure(1.0), **errors})))
    assert values.null == ("pixels + linear model", "3") and values.gain == ("+1.000", "+0.900 to +1.100")
    assert [bar.width for bar in values.bars] == [pytest.approx(100 * v / 4.1, abs=0.01) for v in (2.0, 4.0, 3.0)]


def test_bars_of_shares_go_from_0_to_1():
    (bar,) = bars({"this model": measure(0.75, spread=0.5)}, share=True)
    assert (bar.width, bar.low, bar.high, bar.own) == (75.0, 25.0, 100.0, True)


def test_classes_stand_in_the_order_of_trouble_with_what_they_are_taken_for(tmp_path):
    rows = worst_classes(read_run(write_run(tmp_path / "run")))
    assert [(row["name"], row["taken_for"], row["times"]) for row in rows] == [("cat", EVIL, 2), (EVIL, "", 0)]


def test_the_command_can_be_pasted_into_a_shell(tmp_path):
    run = read_run(write_run(tmp_path / "run", config={"data": "my photos; rm", "output": "x", "resume": False, "flip": True}))
    assert command(run) == "tlkeras run image_classification --data 'my photos; rm' --source efficientnet_lite0 --flip"


def test_shades_are_relative_to_the_strongest_token():
    assert shades([["a", 2.0], ["b", -1.0], ["c", 0.1]]) == [("a", 4), ("b", -2), ("c", 0)]
    assert shades([["a", 0.0]]) == [("a", 0)] and shades([]) == []


def test_pieces_of_words_are_joined_as_they_are_read():
    pieces = [("[CLS]", 1), ("alien", 0), ("##ating", 3), (",", 0), ("it", 0), ("'", 0), ("s", 0), ("[SEP]", 0)]
    read = joined(pieces)
    assert read[:3] == [("alien", 0, False), ("ating", 3, False), (",", 0, False)]
    assert read[3:] == [("it", 0, True), ("'", 0, False), ("s", 0, False)]
    assert joined([("▁alien", 1), ("ating", 2), ("▁it", 0)]) == [("alien", 1, False), ("ating", 2, False), ("it", 0, True)]


def test_what_was_measured_is_said_in_words():
    """Once where the numbers are no more than chance, once where they are."""
    exact = {"ece": 0.03, "ece_null": 0.02, "ece_null_high": 0.04}
    told = in_words({
        "test": {"accuracy": measure(0.75)},
        "calibration": {**exact, "ece": 0.09, "after": exact},
        "rejection": {"foreign": "20 photographs", "rejected_own": measure(0.02, spread=0.01),
                      "rejected_foreign": measure(0.9)},
        "robustness": [{"corruption": kind, "severity": severity, "metric": measure(value)}
                       for kind, severity, value in (("blur", 0, 0.9), ("blur", 5, 0.7), ("noise", 0, 0.9), ("noise", 5, 0.4))],
        "forgetting": {"drift": measure(1e-9), "before": measure(0.5), "after": measure(0.4), "data": "20 photographs"},
        "privacy": {"auc": measure(0.55, spread=0.06)},
        "thresholds": {"dog": 0.25},
    })  # fmt: skip
    assert "3.0 points away" in told["calibration"] and "before its probabilities were scaled: 9.0" in told["calibration"]
    assert "can be taken at their word" in told["calibration"]
    assert told["rejection"] == (
        "It refuses 2.0 % [1.0 to 3.0 %] of its own test examples, wrongly, "
        "and 90.0 % [80.0 to 100.0 %] of 20 photographs, rightly.")  # fmt: skip
    assert told["robustness"] == "The strongest noise does most harm: accuracy goes from 90.0 % to 40.0 %."
    assert "moved its features by 0 (" in told["forgetting"] and "right in 50.0 % [40.0 to 60.0 %] before" in told["forgetting"]
    assert "no more than chance" in told["privacy"] and "dog from 0.250 on" in told["thresholds"]
    sure = in_words({"calibration": {**exact, "ece": 0.05}, "privacy": {"auc": measure(0.7)}})
    assert "do not take them at their word" in sure["calibration"] and "give something away" in sure["privacy"]


def test_the_model_card_has_a_head_that_the_hub_reads_and_only_what_was_measured(full, tmp_path):
    _, head, body = (full / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    meta = yaml.safe_load(head)
    assert meta["library_name"] == "keras" and meta["pipeline_tag"] == "image-classification"
    assert meta["model-index"][0]["results"][0]["metrics"][0] == {"type": "accuracy", "value": 0.75}
    assert "licence: Apache-2.0" in body and "tlkeras predict exports/model_float16.tflite INPUT" in body
    assert "| accuracy | 75.0 % | 65.0 to 85.0 % | 8 |" in body and "## Privacy" in body and "slices before" not in body
    assert "\n- blur: 1: 70.0 %, 3: 40.0 %\n" in body
    assert EVIL not in body and r"\<img src=x onerror=document.title='evil'\>" in body
    write_report(write_run(tmp_path / "bare"))
    bare = (tmp_path / "bare" / "README.md").read_text(encoding="utf-8")
    assert "## Privacy" not in bare and "- privacy: whether" in bare and "## Slices\n\nNot measured." in bare


def test_markdown_in_names_stays_text():
    assert as_markdown("a*b_c `d`\n# e | [f](g) <h>") == r"a\*b_c \`d\` \# e \| \[f\](g) \<h\>"
    assert as_markdown("_a_") == r"\_a\_"


def test_the_card_of_a_network_of_ones_own_says_that_nothing_is_known_of_it(tmp_path):
    write_report(write_run(tmp_path / "run", config={"source": "mine"}))
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "- name: mine\n- data and licence: not stated" in card


def test_what_is_no_run_or_is_damaged_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"holds config\.yaml"):
        read_run(tmp_path)
    folder = write_run(tmp_path / "run")
    (folder / "gallery.json").write_text("[{")
    with pytest.raises(TlkerasError, match=r"gallery\.json is damaged"):
        write_report(folder)
    (folder / "gallery.json").write_text("{}")
    with pytest.raises(TlkerasError, match="JSON list"):
        write_report(folder)
    (folder / "metrics.json").unlink()
    with pytest.raises(ValueError, match=r"no metrics\.json"):
        write_report(folder)


def test_the_command_writes_both_anew(tmp_path, capsys):
    folder = write_run(tmp_path / "run")
    assert main(["report", str(folder)]) == 0
    assert re.search(r"Wrote .*report\.html and .*README\.md", capsys.readouterr().out)
    assert main(["report", str(folder), "--output", str(tmp_path)]) == 2
    assert main(["report"]) == 2 and "Which run?" in capsys.readouterr().err


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.mark.parametrize(("width", "scheme", "dark"), [(1100, "light", False), (380, "dark", True)])
def test_in_a_browser_all_pictures_load_nothing_complains_and_nothing_sticks_out(browser, full, width, scheme, dark):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, troubles, asked = context.new_page(), [], []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(f"file://{full}/report.html")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("[...document.images].filter(one => !one.complete || !one.naturalWidth).length") == 0
    assert page.evaluate("document.images.length") == 6 and "evil" not in page.title()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    red = json.loads("[" + page.evaluate("getComputedStyle(document.body).backgroundColor")[4:-1] + "]")[0]
    assert (red < 60) == dark
    context.close()
    assert troubles == [] and [address for address in asked if not address.startswith(("file:", "data:"))] == []


def test_an_example_links_to_the_file_that_it_came_from_while_that_is_there(tmp_path):
    folder = add_everything(write_run(tmp_path / "run"))
    table = tmp_path / "a 'b'.csv"
    table.write_text("text,label\nfine,good\n")
    items = json.loads((folder / "gallery.json").read_text())
    items = [{**items[0], "where": f"{table}, row 2"}, {**items[0], "where": str(tmp_path / "gone.jpg")}]
    (folder / "gallery.json").write_text(json.dumps(items))
    page = Tags(write_report(folder).read_text(encoding="utf-8"))
    assert [address for address in page.addresses if address.startswith("file:")] == [table.resolve().as_uri()]
