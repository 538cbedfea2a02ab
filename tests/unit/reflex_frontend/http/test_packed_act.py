"""`/act` in msgpack over ASGI: the same answers as in JSON, and errors in the one envelope."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import msgpack
import msgpack_numpy
import numpy as np
import orjson
import pytest
from openpi_client import msgpack_numpy as openpi_numpy

from reflex_frontend.http.app import Server, build_app
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service
from support.images import as_base64, encoded, photo

PIXELS = photo(height=20, width=30)
PNG = encoded(PIXELS, "PNG")
FIELDS: dict[str, Any] = {"instruction": "pick", "state": [0.1] * 6, "request_id": "r", "episode_id": "e", "seed": 7}
PACKED = {"content-type": "application/msgpack"}


def answers(scenario: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]], triton: FakeTriton) -> None:
    async def main() -> None:
        app = build_app(Server(act_service(triton, time.monotonic), Settings.load({})))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://robot") as client:
            await scenario(client)

    asyncio.run(main())


@pytest.mark.parametrize("image", [PIXELS, PNG], ids=["pixels", "bytes"])
@pytest.mark.parametrize("library", [openpi_numpy, msgpack_numpy], ids=["openpi", "msgpack-numpy"])
def test_an_answer_is_that_of_json_in_the_dialect_of_its_caller(image: Any, library: Any) -> None:
    triton = FakeTriton()

    async def scenario(client: httpx.AsyncClient) -> None:
        json = (await client.post("/act", json=FIELDS | {"image_b64": as_base64(PNG)})).json()
        sent = library.packb(FIELDS | {"image": image, "state": np.asarray(FIELDS["state"])})
        response = await client.post("/act", content=sent, headers=PACKED)
        assert (response.status_code, response.headers["content-type"]) == (200, "application/msgpack")
        answer = library.unpackb(response.content)
        assert answer["actions"].dtype == np.float32
        assert answer["actions"].tolist() == np.asarray(json["actions"], np.float32).tolist()
        assert answer.keys() == json.keys()
        by_json, by_msgpack = ({tensor.name: bytes(tensor.data) for tensor in call} for call in triton.calls)
        assert by_json == by_msgpack

    answers(scenario, triton)


def test_a_resent_body_gets_the_same_bytes_and_either_form_of_the_answer() -> None:
    triton = FakeTriton()

    async def scenario(client: httpx.AsyncClient) -> None:
        sent = openpi_numpy.packb(FIELDS | {"image": PIXELS})
        first, again = [(await client.post("/act", content=sent, headers=PACKED)).content for _ in range(2)]
        json = await client.post("/act", content=sent, headers=PACKED | {"accept": "application/json"})
        assert first == again
        assert len(triton.calls) == 1
        assert json.headers["content-type"] == "application/json"
        assert json.json()["actions"] == orjson.loads(json.content)["actions"]
        assert json.json()["latency_ms"] == msgpack.unpackb(first)["latency_ms"]

    answers(scenario, triton)


def test_who_asks_in_json_may_be_answered_in_msgpack() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        fields = FIELDS | {"image_b64": as_base64(PNG)}
        response = await client.post("/act", json=fields, headers={"accept": "application/msgpack"})
        actions = msgpack.unpackb(response.content)["actions"]
        assert (actions["__ndarray__"], actions["dtype"], actions["shape"]) == (True, "<f4", [4, 7])

    answers(scenario, FakeTriton())


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"\xc1", 400, "invalid_msgpack"),
        (msgpack.packb(FIELDS | {"state": [0.1], "image": PNG}), 422, "state_dim_mismatch"),
        (msgpack.packb(FIELDS | {"image": PNG[:-9]}), 400, "invalid_image"),
        (openpi_numpy.packb(FIELDS | {"image": PIXELS.astype(np.float32)}), 400, "invalid_image"),
        (openpi_numpy.packb(FIELDS | {"image": np.zeros((2001, 2000, 1), np.uint8)}), 400, "invalid_image"),
        (openpi_numpy.packb(FIELDS | {"images": {"base": PIXELS[None]}}), 400, "invalid_image"),
        (openpi_numpy.packb(FIELDS | {"images": {"rear": PIXELS}}), 422, "unknown_camera"),
    ],
)
def test_an_error_is_the_envelope_in_json_whatever_was_asked(sent: bytes, status: int, code: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        response = await client.post("/act", content=sent, headers=PACKED | {"accept": "application/msgpack"})
        assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
        assert response.json()["error"] == code

    answers(scenario, FakeTriton())
