from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from docs.documents import REPOSITORY
from reflex.client import MockAnswer, MockTransport, ReflexClient, chunk
from reflex.client.check import check_server, shapes_of
from reflex.errors import RepositoryError, TransportError, service_error

DEMO: dict[str, Any] = json.loads((REPOSITORY / "model_repository/demo/reflex_config.json").read_bytes())
FITTING = chunk([[0.0] * 7] * 50)


def server(config: dict[str, Any], answer: MockAnswer) -> MockTransport:
    return MockTransport(lambda request: config if request.url.path == "/config" else answer)


def checked_by(transport: MockTransport) -> dict[str, Any]:
    """The body that `/act` got."""
    check_server(ReflexClient(transport=transport))
    body: dict[str, Any] = json.loads(transport.requests[-1].content)
    return body


def picture(body: dict[str, Any], camera: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(body["images"][camera])))


def test_the_observation_fits_the_policy_that_the_server_has() -> None:
    body = checked_by(server(DEMO, FITTING))

    assert (body["state"], body["instruction"], body["seed"]) == ([0.0] * 6, "stand still", 0)
    assert list(body["images"]) == ["image"]
    assert picture(body, "image").size == (224, 224)


def test_a_policy_of_one_size_gets_that_size_and_one_without_a_prompt_no_instruction() -> None:
    inputs = [{"name": "image.wrist", "datatype": "UINT8", "shape": [48, 96, 3]}]
    cameras = [{"name": "wrist", "required": True}]

    body = checked_by(server({**DEMO, "inputs": inputs, "cameras": cameras, "prompt": None}, FITTING))

    assert body["instruction"] == ""
    assert picture(body, "wrist").size == (96, 48)


def test_of_two_policies_the_one_that_answers_is_looked_at() -> None:
    other = {**DEMO, "policy_id": "other", "horizon": 4}
    answer = chunk([[0.0] * 7] * 4, policy_slot="b")

    checked = check_server(ReflexClient(transport=server({"a": DEMO, "b": other}, answer)))

    assert checked.policy.policy_id == "other"


@pytest.mark.parametrize("actions", [[[0.0] * 7] * 49, [[0.0] * 6] * 50])
def test_a_chunk_of_another_shape_is_refused(actions: list[list[float]]) -> None:
    with pytest.raises(RepositoryError, match=r"demo answered with .* and promises 50 x 7 in /config; export it again"):
        check_server(ReflexClient(transport=server(DEMO, chunk(actions))))


def test_a_chunk_with_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(TransportError, match="no finite action chunk"):
        check_server(ReflexClient(transport=NotFinite()))


class NotFinite(MockTransport):
    """Sends NaN, which no honest JSON holds."""

    def __init__(self) -> None:
        super().__init__([DEMO])

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/config":
            return super().handle_request(request)
        return httpx.Response(200, content=json.dumps(FITTING).replace("0.0", "NaN", 1), request=request)


def test_the_servers_own_error_is_passed_on() -> None:
    error = service_error("circuit_open", "the canary's answer is off")
    with pytest.raises(type(error), match="the canary's answer is off"):
        check_server(ReflexClient(transport=server(DEMO, error)))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"a": DEMO},
        {"policy_id": "demo"},
        {**DEMO, "state_dim": "six"},
        {**DEMO, "cameras": [None]},
        {**DEMO, "inputs": [{"name": "image.image", "shape": "wide"}]},
        {**DEMO, "inputs": [{"name": "image.image", "shape": None}]},
    ],
)
def test_a_config_of_something_else_is_a_sentence(config: dict[str, Any]) -> None:
    with pytest.raises(TransportError, match="/config describes no policy"):
        shapes_of(config)
