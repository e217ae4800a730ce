"""The API over real sockets: what is answered, what is refused and how, and that the server lives on."""

import json
import os
import socket
import struct
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import psutil
import pytest

from tests.export_models import exported_images, exported_texts, image_examples, texts, write_pictures
from tests.serving import ask, head, image_predictor, picture, serving, share_of_red, speak, status_of, text_predictor
from tlkeras.export.predict import load_artifact, predict_images, predict_texts
from tlkeras.scoring import as_json
from tlkeras.serve.guard import Access
from tlkeras.serve.limits import Limits

LIMITS = Limits(body_bytes=20_000, pixels=1_000_000, characters=50, read_seconds=0.6)


@pytest.fixture(scope="module")
def images():
    with serving(image_predictor(), limits=LIMITS) as address:
        yield address


@pytest.fixture(scope="module")
def writing():
    with serving(text_predictor(), limits=LIMITS) as address:
        yield address


def _is_problem(reply, status):
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert set(reply.json) == {"title", "status", "detail"}
    assert reply.json["status"] == status
    assert b"Traceback" not in reply.body
    assert b".py" not in reply.body
    return reply.json["detail"]


def test_pictures_are_answered_as_by_predict_bit_for_bit_however_many_ask_at_once(tmp_path):
    artifact = exported_images()[1]
    paths = write_pictures(tmp_path, image_examples())
    predictor = load_artifact(artifact.path)
    expected = [as_json(one, predictor, 3) for one in predict_images(predictor, paths)]
    contents = [Path(path).read_bytes() for path in paths]
    with serving(load_artifact(artifact.path)) as address, ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda content: ask(address, "/v1/predict", content), contents))
        assert max(address.engine.batcher.sizes) > 1
    for reply, row in zip(replies, expected, strict=True):
        assert reply.json["scores"] == row["top"]
        assert (reply.json["label"], reply.json["probability"]) == (row["label"], row["probability"])


def test_texts_are_answered_as_each_alone_by_predict(tmp_path):
    artifact = exported_texts()[1]
    predictor = load_artifact(artifact.path)
    expected = [as_json(predict_texts(predictor, [text])[0], predictor, 2)["top"] for text in texts()]
    bodies = [json.dumps({"text": text}).encode() for text in texts()]
    with serving(load_artifact(artifact.path)) as address, ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda body: ask(address, "/v1/predict", body), bodies))
    assert [reply.json["scores"] for reply in replies] == expected


def test_answers_are_sent_at_once(images):
    # Nagle's algorithm would hold the second part of each answer back for 40 ms. Asked of the sockets, not of the clock.
    with socket.create_connection(("127.0.0.1", images.port)) as connection:
        connection.sendall(head("/healthz", method="GET"))
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        mine = connection.getsockname()[1]
        (accepted,) = [one for one in psutil.Process().net_connections() if one.raddr == ("127.0.0.1", mine)]
        with socket.socket(fileno=os.dup(accepted.fd)) as served:
            assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_top_limits_the_scores_and_nonsense_is_refused(images):
    assert [one["label"] for one in ask(images, "/v1/predict?top=1", picture()).json["scores"]] == ["red"]
    for top in ("0", "-1", "x", "1.5", "", "٣"):
        _is_problem(ask(images, f"/v1/predict?top={quote(top)}", picture()), 400)


def test_several_labels_and_values_are_answered_in_their_own_form():
    many = {"contract": {"task": "multi_label"}, "labels": ("other", "red")}
    with serving(image_predictor(lambda batch: np.full((len(batch), 2), (0.7, 0.2), np.float32), **many)) as address:
        scores = [{"label": "other", "probability": 0.7}, {"label": "red", "probability": 0.2}]
        expected = {"task": "multi_label", "labels": ["other"], "scores": scores, "refused": False}
        assert ask(address, "/v1/predict", picture()).json == expected
    value = {"contract": {"task": "regression"}, "labels": ("price",)}
    with serving(image_predictor(lambda batch: np.full((len(batch), 1), 2.5, np.float32), **value)) as address:
        assert ask(address, "/v1/predict", picture()).json == {"task": "regression", "name": "price", "value": 2.5}


def test_what_is_unlike_all_training_examples_is_refused():
    contract = {"rejection": {"output": "similarity", "threshold": 0.5}}
    predictor = image_predictor(contract=contract, smallest=0.5)

    def run(batch: np.ndarray) -> dict[str, np.ndarray]:
        return {**predictor.run(batch), "similarity": np.full((len(batch), 1), 0.25, np.float32)}

    with serving(replace(predictor, run=run)) as address:
        answer = ask(address, "/v1/predict", picture()).json
        assert (answer["label"], answer["probability"], answer["refused"]) == ("none of these", None, True)
        assert answer["similarity"] == 0.25 and len(answer["scores"]) == 2
        assert ask(address, "/v1/explain", picture()).json["label"] == "none of these"
    with serving(replace(predictor, run=run, smallest=None)) as address:
        answer = ask(address, "/v1/predict", picture()).json
        assert answer["label"] in ("other", "red") and not answer["refused"]


def test_every_answer_carries_the_headers_that_bind_a_browser(images):
    for reply in (ask(images, "/"), ask(images, "/healthz"), ask(images, "/nothing"), ask(images, "/v1/predict", b"junk")):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "no-store"
        assert "set-cookie" not in reply.headers
        assert "server" not in reply.headers


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", "image/png", 422, "empty"),
        (b"hello, this is text", "image/png", 422, "text, not a picture"),
        (bytes(range(256)) * 8, "image/jpeg", 422, "not a picture"),
        (b"<!doctype html><p>", "image/png", 422, "HTML page"),
        (picture(kind="bmp")[:100], "image/bmp", 422, "truncated"),
        (picture(), "text/plain", 415, "Content-Type: image/jpeg"),
        (picture(), "application/json", 415, "Content-Type: image/jpeg"),
    ],
)
def test_junk_for_a_picture_is_refused_with_the_reason(images, body, kind, status, words):
    assert words in _is_problem(ask(images, "/v1/predict", body, Content_Type=kind), status)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[" * 9000, 400, "nested too deeply" if sys.version_info < (3, 13) else "not JSON"),
        (b"[]", 422, "an array"),
        (b"{}", 422, "no members"),
        (b'{"text": 3}', 422, "'text'"),
        (b'{"text": "a", "more": 1}', 422, "'more'"),
        (b'{"text": "\\ud800"}', 422, "lone surrogate at character 0"),
        (json.dumps({"text": "a" * 51}).encode(), 413, "51 characters; the limit is 50"),
    ],
)
def test_junk_for_a_text_is_refused_with_the_reason(writing, body, status, words):
    reply = ask(writing, "/v1/predict", body, Content_Type="application/json")
    assert words in _is_problem(reply, status)


def test_texts_of_every_kind_are_answered(writing):
    for text in ("", "\x00", "😀" * 50, "\u202eabc", "<script>alert(1)</script>"):
        body = json.dumps({"text": text}).encode()
        assert ask(writing, "/v1/predict", body).status == 200


def test_paths_and_methods_that_do_not_exist_are_refused(images):
    for path in ("/v1", "/v1/predict/", "/../../etc/passwd", "/page.html", "/%00"):
        _is_problem(ask(images, path), 404)
    reply = ask(images, "/v1/predict")
    _is_problem(reply, 405)
    assert reply.headers["allow"] == "POST"


def test_a_file_name_in_a_header_counts_for_nothing(images):
    name = 'attachment; filename="../../<script>alert(1)</script>.png"'
    reply = ask(images, "/v1/predict", picture(), Content_Disposition=name)
    assert reply.status == 200
    assert b"script" not in reply.body


# What no well-behaved client sends, byte by byte.


def test_a_body_without_a_length_is_refused(images):
    assert status_of(speak(images, head(Content_Type="image/png"))) == 411
    chunks = head(Content_Type="image/png", Transfer_Encoding="chunked") + b"3\r\nabc\r\n0\r\n\r\n"
    assert status_of(speak(images, chunks)) == 411


def test_an_oversized_body_is_refused_by_its_length_and_the_client_sees_why(images):
    size = LIMITS.body_bytes + 1
    answer = speak(images, head(Content_Type="image/png", Content_Length=str(size)), b"x" * size)
    assert status_of(answer) == 413
    assert b"20,001 bytes; the limit is 20,000" in answer
    huge = speak(images, head(Content_Type="image/png", Content_Length="999999999999"), b"x" * 100_000)
    assert status_of(huge) == 413


def test_a_slow_body_is_given_up(images):
    started = time.monotonic()
    answer = speak(images, head(Content_Type="image/png", Content_Length="1000"), b"\x89PNG")
    assert status_of(answer) == 408
    assert 0.5 < time.monotonic() - started < 5


def test_a_slow_head_is_given_up(images):
    started = time.monotonic()
    assert speak(images, b"POST /v1/predict HTTP/1.1\r\nHost: 127.0") == b""
    assert 0.5 < time.monotonic() - started < 5


def test_a_length_that_lies_does_not_stop_the_server(images):
    body = picture()
    short = head(Content_Type="image/png", Content_Length=str(len(body) + 500)) + body
    assert status_of(speak(images, short)) == 408
    long = head(Content_Type="image/png", Content_Length="40") + body
    assert status_of(speak(images, long)) in (400, 422)
    for lie in ("-1", "1e3", "0x10", "5, 7"):
        assert status_of(speak(images, head(Content_Type="image/png", Content_Length=lie), body)) in (400, 411)
    assert ask(images, "/healthz").json == {"status": "ok"}


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\x00" * 200, b"A" * 40_000])
def test_what_is_not_http_is_refused(images, junk):
    assert status_of(speak(images, junk, b"\r\n\r\n")) in (0, 400)
    assert ask(images, "/healthz").status == 200


def test_a_client_that_hangs_up_does_not_stop_the_server(images):
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", images.port))
        connection.sendall(head(Content_Type="image/png", Content_Length="500") + b"\x89PNG")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert ask(images, "/v1/predict", picture()).status == 200


def _bomb(width, height):
    """A PNG that says it has so many pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    lines = zlib.compress(b"\x00" * 1000)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


@pytest.mark.parametrize("sides", [(1001, 1000), (12_000, 12_000), (20_000, 20_000), (60_000, 60_000)])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(images, sides):
    assert "limit is 1,000,000" in _is_problem(ask(images, "/v1/predict", _bomb(*sides)), 413)


# Who may ask.


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.1.4", "", "localhost@x"]
)
def test_another_host_name_is_refused(images, host):
    assert status_of(speak(images, head("/", host=host, method="GET", Connection="close"))) == 400


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost", "LOCALHOST:8000", "[::1]:8000"])
def test_names_of_this_machine_are_accepted(images, host):
    assert status_of(speak(images, head("/", host=host, method="GET", Connection="close"))) == 200


def test_pages_of_other_sites_may_not_ask(images):
    _is_problem(ask(images, "/v1/predict", picture(), Sec_Fetch_Site="cross-site"), 403)
    assert ask(images, "/v1/predict", picture(), Sec_Fetch_Site="same-origin").status == 200
    assert ask(images, "/", Sec_Fetch_Site="cross-site").status == 200  # a link to the page


def test_with_a_token_only_its_bearer_learns_about_the_model():
    access = Access(frozenset({"127.0.0.1"}), addresses=True, token="s3cret-s3cret-s3cret")
    with serving(image_predictor(), access=access) as address:
        for path in ("/", "/healthz", "/openapi.json"):
            reply = ask(address, path)
            assert reply.status == 200
            assert b"s3cret" not in reply.body
            assert b"tiny" not in reply.body
        assert ask(address, "/v1/predict", picture()).status == 401
        for given in ("Bearer wrong", "Basic s3cret-s3cret-s3cret", "é", "Bearer"):
            reply = ask(address, "/v1/predict", picture(), Authorization=given)
            _is_problem(reply, 401)
            assert reply.headers["www-authenticate"] == "Bearer"
        assert ask(address, "/v1/model").status == 401
        assert ask(address, "/v1/model", Authorization="Bearer s3cret-s3cret-s3cret").json["labels"] == ["other", "red"]


# When there is too much to do, or something breaks.


def test_too_many_at_once_are_told_to_come_back_and_the_server_lives_on():
    gate = threading.Event()

    def slow(batch):
        assert gate.wait(20)
        return share_of_red(batch)

    with serving(image_predictor(slow), limits=Limits(waiting=8)) as address, ThreadPoolExecutor(100) as pool:
        futures = [pool.submit(ask, address, "/v1/predict", picture()) for _ in range(100)]
        deadline = time.monotonic() + 15
        while sum(future.done() for future in futures) < 92 and time.monotonic() < deadline:
            time.sleep(0.02)
        gate.set()
        replies = [future.result() for future in futures]
        refused = [reply for reply in replies if reply.status == 503]
        assert (len(refused), len(replies) - len(refused)) == (92, 8)
        assert {reply.headers["retry-after"] for reply in refused} == {"1"}
        assert all(reply.json["label"] == "red" for reply in replies if reply.status == 200)
        assert ask(address, "/v1/predict", picture()).status == 200


def test_an_answer_that_takes_too_long_is_given_up():
    gate = threading.Event()

    def slow(batch):
        assert gate.wait(20)
        return share_of_red(batch)

    with serving(image_predictor(slow), limits=Limits(answer_seconds=0.2)) as address:
        reply = ask(address, "/v1/predict", picture())
        assert "longer than 0.2 s" in _is_problem(reply, 503)
        assert reply.headers["retry-after"] == "1"
        gate.set()
        assert ask(address, "/v1/predict", picture()).status == 200


def test_a_model_that_fails_says_so_without_a_traceback_and_the_next_is_answered(caplog):
    def broken(batch):
        if batch[0, 0, 0, 0] < 100:
            raise RuntimeError("secret words of the runtime")
        return share_of_red(batch)

    with serving(image_predictor(broken)) as address:
        reply = ask(address, "/v1/predict", picture((0, 0, 0)))
        assert _is_problem(reply, 500) == "The server failed. Its log says why."
        assert ask(address, "/v1/predict", picture()).json["label"] == "red"
    assert "RuntimeError: secret words of the runtime" in caplog.text


def test_numbers_that_are_not_finite_are_an_error_not_bad_json():
    with serving(image_predictor(lambda batch: np.full((len(batch), 2), np.nan, np.float32))) as address:
        _is_problem(ask(address, "/v1/predict", picture()), 500)


def test_labels_that_are_not_valid_unicode_or_look_like_markup_survive():
    labels = ("\udcff", "<script>alert(1)</script>")
    with serving(image_predictor(labels=labels)) as address:
        assert ask(address, "/v1/predict", picture()).json["label"] == labels[1]
        assert ask(address, "/v1/model").json["labels"] == list(labels)


def test_without_a_run_there_are_no_training_examples(images):
    assert "tlkeras serve RUN" in _is_problem(ask(images, "/v1/similar", picture()), 404)


def test_the_page_is_the_same_for_every_model_and_asks_nobody_else(images, writing):
    page = ask(images, "/").body.decode()
    assert ask(writing, "/").body.decode() == page
    assert not [word for word in ("http://", "https://", "//cdn", "innerHTML", "eval(", "document.write") if word in page]
