"""The page in a real browser: pictures, camera, texts, what goes wrong; light and dark, wide and on a phone."""

import json

import numpy as np
import pytest

from tests.browser_tools import chromium
from tests.export_models import exported_texts, text_examples, text_model, texts
from tests.serving import image_predictor, picture, serving, share_of_red
from tlkeras.data.examples import ClassTargets, Examples, ImageArrays
from tlkeras.export.predict import load_artifact, predict_texts
from tlkeras.serve.guard import Access
from tlkeras.serve.limits import Limits
from tlkeras.serve.similar import Neighbours, find_features

EVIL = "<img src=x onerror=document.title='evil'>"


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def open_page(browser, request):
    """Open a page, note what goes wrong in it and every address that it asks for."""
    contexts = []

    def open_it(address, *, width=1000, scheme="light", suffix=""):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.troubles, page.asked = [], []
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("console", lambda message: page.troubles.append(message.text) if "Content Security" in message.text else None)
        page.on("request", lambda sent: page.asked.append(sent.url))
        page.goto(address.url(f"/{suffix}"))
        return page

    yield open_it
    for context in contexts:
        context.close()


def _neighbours():
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    pixels[1:, ..., 0] = 250
    examples = Examples(
        np.array(["a/1.png", "b/2.png", EVIL]), ImageArrays(pixels), ClassTargets(np.array([0, 1, 1], np.int32))
    )
    features = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    return Neighbours(examples, ["other", "red", EVIL], features, lambda batch: np.array([[0, 1]], np.float32), 10)


def _upload(page, content, name="photo.png"):
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})


def _is_well(page, address):
    assert page.troubles == []
    assert page.title() != "evil"
    assert {url.split("?")[0] for url in page.asked if not url.startswith(("data:", "blob:"))} <= {
        address.url(path) for path in ("/", "/v1/model", "/v1/predict", "/v1/explain", "/v1/similar")
    }
    assert (
        page.evaluate_handle("document.documentElement").get_property("scrollWidth").json_value() <= page.viewport_size["width"]
    )


@pytest.mark.parametrize(("width", "scheme"), [(1000, "light"), (360, "dark")])
def test_a_picture_is_answered_explained_and_compared(open_page, width, scheme, tmp_path):
    labels = (EVIL, "red")
    with serving(image_predictor(labels=labels), find_neighbours=_neighbours) as address:
        page = open_page(address, width=width, scheme=scheme)
        page.wait_for_selector("#picture:not([hidden])")
        assert page.is_disabled("#explain")
        _upload(page, picture((204, 0, 0), (40, 20)))
        page.wait_for_selector("#examples li")
        assert page.inner_text("#answer") == "red"
        assert page.locator("#scores li").all_inner_texts() == ["red\n80.0 %", f"{EVIL}\n20.0 %"]
        widths = [bar.bounding_box()["width"] for bar in page.locator("#scores .rail i").all()]
        assert widths[0] / widths[1] == pytest.approx(4, rel=0.02)
        assert page.locator("#examples strong").all_inner_texts() == ["red", EVIL, "other"]
        assert "a sample of 3 of the 10 training examples" in page.inner_text("#similar-text")
        page.click("#explain")
        page.wait_for_selector("#why:not([hidden])")
        assert page.is_visible("#heat")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        _is_well(page, address)


def test_what_goes_wrong_is_said_and_the_next_picture_is_answered(open_page):
    with serving(image_predictor(), limits=Limits(body_bytes=30_000)) as address:
        page = open_page(address)
        page.wait_for_selector("#picture:not([hidden])")
        _upload(page, b"not a picture", "notes.txt")
        page.wait_for_selector("#trouble:not([hidden])")
        assert "text, not a picture" in page.inner_text("#trouble")
        _upload(page, b"x" * 30_001)
        page.wait_for_selector("#trouble:has-text('the server takes 0.03 MB at most')")
        _upload(page, picture())
        page.wait_for_selector("#answer:has-text('red')")
        assert page.is_hidden("#trouble")
        assert page.is_hidden("#similar")
        _is_well(page, address)


def test_the_camera_is_answered_live_and_a_frame_is_kept(open_page):
    with serving(image_predictor(lambda batch: 1 - share_of_red(batch))) as address:
        page = open_page(address)
        page.click("#camera")
        page.wait_for_selector("#status:has-text('Live')")
        page.click("#snap")
        page.wait_for_selector("#status:has-text('there and back')")
        assert page.is_visible("#shown")
        assert page.is_hidden("#video")
        assert page.is_enabled("#explain")
        _is_well(page, address)


def test_a_picture_is_dropped(open_page):
    with serving(image_predictor()) as address:
        page = open_page(address)
        page.wait_for_selector("#picture:not([hidden])")
        page.evaluate_handle(
            """async () => {
              const canvas = new OffscreenCanvas(9, 9), brush = canvas.getContext("2d");
              brush.fillStyle = "rgb(255 0 0)";
              brush.fillRect(0, 0, 9, 9);
              const data = new DataTransfer();
              data.items.add(new File([await canvas.convertToBlob()], "a.png", { type: "image/png" }));
              document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
            }"""
        )
        page.wait_for_selector("#answer:has-text('red')")
        _is_well(page, address)


@pytest.mark.parametrize(("width", "scheme"), [(1000, "dark"), (360, "light")])
def test_a_text_is_answered_as_by_predict_explained_and_compared(open_page, width, scheme):
    predictor = load_artifact(exported_texts()[1].path)
    (expected,) = predict_texts(predictor, ["good film !"])

    def neighbours():
        return find_features(predictor, text_examples(), text_model().classes)

    with serving(load_artifact(exported_texts()[1].path), find_neighbours=neighbours) as address:
        page = open_page(address, width=width, scheme=scheme)
        page.fill("#text", "good film !")
        page.press("#text", "Control+Enter")
        page.wait_for_selector("#examples li")
        assert page.inner_text("#answer") == expected.label
        assert expected.probability is not None
        assert page.locator("#scores li").first.inner_text() == f"{expected.label}\n{100 * expected.probability:.1f} %"
        assert page.locator("#examples li span").first.inner_text() in texts()
        page.click("#explain")
        page.wait_for_selector("#why:not([hidden])")
        assert page.locator("#words mark").all_inner_texts() == ["good", "film", "!"]
        _is_well(page, address)


def test_with_a_token_the_page_works_from_the_printed_address_only(open_page):
    access = Access(frozenset({"127.0.0.1"}), token="0123456789abcdef")
    with serving(image_predictor(), access=access) as address:
        page = open_page(address)
        page.wait_for_selector("#trouble:has-text('#token=')")
        page = open_page(address, suffix="#token=0123456789abcdef")
        page.wait_for_selector("#picture:not([hidden])")
        _upload(page, picture())
        page.wait_for_selector("#answer:has-text('red')")
        assert "0123456789abcdef" not in json.dumps(page.asked[1:])
        _is_well(page, address)
