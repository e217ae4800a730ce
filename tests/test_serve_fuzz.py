"""The API against its own OpenAPI document, and many requests at once."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import hypothesis
import psutil
import pytest
import schemathesis
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.serving import ask, image_predictor, picture, serving, text_predictor
from tlkeras.serve.limits import Limits

SERVERS = {"image": image_predictor, "text": text_predictor}


@pytest.fixture(scope="module", params=sorted(SERVERS))
def address(request):
    with serving(SERVERS[request.param](), limits=Limits(body_bytes=10_000, pixels=10_000, characters=200)) as served:
        yield served


def test_whatever_is_sent_is_answered_as_the_document_says(address):
    schema = schemathesis.openapi.from_dict(ask(address, "/openapi.json").json)
    schema.config.update(base_url=address.url(""))
    pictures = address.engine.predictor.modality == "image"
    sent: list[tuple[str, int]] = []

    for operation in schema.get_all_operations():
        assert isinstance(operation, Ok)

        @hypothesis.given(case=operation.ok().as_strategy())
        @hypothesis.settings(
            max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
        )
        def check(case):
            response = case.call()
            sent.append((case.operation.path, response.status_code))
            # No schema can say which bytes are a picture.
            case.validate_response(response, excluded_checks=[positive_data_acceptance] if pictures else [])
            assert response.status_code != 500

        check()
    assert {path for path, _ in sent} == {"/healthz", "/v1/model", "/v1/predict", "/v1/explain", "/v1/similar"}
    assert len(sent) > 60
    assert {200, 404} <= {status for _, status in sent}


@hypothesis.given(
    data=hypothesis.strategies.binary(max_size=300), kind=hypothesis.strategies.sampled_from(["image/png", "image/x"])
)
@hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
def _mangle(address, data, kind):
    whole = picture()
    place = len(data) * 7 % len(whole)
    for body in (data, whole[:place] + data, data + whole, whole[:place] + data + whole[place:]):
        reply = ask(address, "/v1/predict", body, Content_Type=kind)
        assert reply.status in (200, 413, 422), reply.body


def test_mangled_pictures_are_answered_or_refused_but_never_break_the_server():
    with serving(image_predictor(), limits=Limits(body_bytes=10_000, pixels=10_000)) as address:
        _mangle(address)
        assert ask(address, "/v1/predict", picture()).json["label"] == "red"


@hypothesis.given(
    value=hypothesis.strategies.recursive(
        hypothesis.strategies.none()
        | hypothesis.strategies.booleans()
        | hypothesis.strategies.floats()
        | hypothesis.strategies.text(),
        lambda inner: (
            hypothesis.strategies.lists(inner) | hypothesis.strategies.dictionaries(hypothesis.strategies.text(), inner)
        ),
        max_leaves=8,
    )
)
@hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
def _odd_json(address, value):
    for one in (value, {"text": value}):
        body = json.dumps(one).encode()
        reply = ask(address, "/v1/predict", body, Content_Type="application/json")
        right = isinstance(one, dict) and set(one) == {"text"} and isinstance(one["text"], str)
        assert reply.status == (200 if right else 422), (one, reply.body)


def test_any_json_is_answered_if_it_is_a_text_and_refused_if_not():
    with serving(text_predictor()) as address:
        _odd_json(address)


def test_hundreds_of_requests_at_concurrency_16_have_no_error_and_leave_memory_flat():
    process = psutil.Process(os.getpid())
    body = picture((200, 30, 30), (300, 400))
    with serving(image_predictor()) as address, ThreadPoolExecutor(16) as pool:

        def run(count):
            statuses = list(pool.map(lambda _: ask(address, "/v1/predict", body).status, range(count)))
            assert statuses == [200] * count
            return process.memory_info().rss

        before = run(100)
        threads = threading.active_count()
        after = run(300)
        assert after - before < 20e6
        assert threading.active_count() <= threads + 2
        assert sum(size * count for size, count in address.engine.batcher.sizes.items()) == 400
