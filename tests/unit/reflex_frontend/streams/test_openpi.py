"""openpi's protocol over ASGI, without sockets: what is sent first, what answers, and what ends a stream."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgpack_numpy
import numpy as np
import pytest
from openpi_client import msgpack_numpy as openpi_numpy

from reflex.api_keys import KeyEntry, add_entry, digest_of, new_key
from reflex.policy_config import PolicyConfig
from reflex.serving.hosts import allowed_hosts
from reflex.signed.session_credential import issue
from reflex.signed.signing import Keyset, SigningKey
from reflex_frontend.act.act import ActService
from reflex_frontend.callers.ended import EndedSessions
from reflex_frontend.callers.keys import KeyRing
from reflex_frontend.callers.sessions import Sessions
from reflex_frontend.errors import TritonCallError
from reflex_frontend.streams.door import StreamDoor
from reflex_frontend.streams.routes import streams_of
from support.fakes import FakeTriton, act_service, policy_config
from support.images import photo
from support.outside.control_stand_in import claims

KEY = new_key()
OBSERVATION: dict[str, Any] = {"observation/base": photo(), "state": np.full(6, 0.1), "prompt": "pick", "seed": 7}
Sent = list[dict[str, Any]]


class Scene:
    """A service behind its door, and one client after the other."""

    def __init__(self, triton: FakeTriton | None = None, config: PolicyConfig | None = None, **two: Any) -> None:
        self.triton = triton or FakeTriton()
        self.service = act_service(self.triton, time.monotonic, config=config, **two)

    def speak(self, *messages: Any, path: str = "/openpi", headers: Any = (), library: Any = openpi_numpy) -> Sent:
        """What the server sends to somebody who sends `messages`; what is callable is called in between."""
        pending, sent = list(messages), []
        door = StreamDoor(self.service, streams_of(self.service), allowed_hosts("127.0.0.1", None), ("*",))
        scope = {"type": "websocket", "path": path, "headers": [(b"host", b"localhost"), *headers], "subprotocols": []}

        async def receive() -> Any:
            while pending and callable(pending[0]):
                pending.pop(0)()
            if not pending:
                return {"type": "websocket.disconnect", "code": 1005}
            message = pending.pop(0)
            if isinstance(message, str):
                return {"type": "websocket.receive", "text": message}
            data = message if isinstance(message, bytes) else library.packb(message)
            return {"type": "websocket.receive", "bytes": data}

        async def send(event: Any) -> None:
            sent.append(event)

        pending.insert(0, {"connect": True})
        asyncio.run(door(scope, receive, send))
        return sent

    def answers(self, *messages: Any, **options: Any) -> list[Any]:
        """The messages after the metadata: those in binary read, those in text as they are."""
        library = options.get("library", openpi_numpy)
        sent = [event for event in self.speak(*messages, **options) if event["type"] == "websocket.send"]
        return [library.unpackb(event["bytes"]) if "bytes" in event else event["text"] for event in sent[1:]]


def test_the_metadata_comes_first_and_unasked() -> None:
    accepted, metadata = Scene().speak()
    assert accepted == {"type": "websocket.accept"}
    told = openpi_numpy.unpackb(metadata["bytes"])
    assert (told["image_keys"], told["state_dim"], told["action_horizon"], told["action_dim"]) == (["base"], 6, 4, 7)
    assert told["image_sizes"] == {"base": None}
    assert len(told["action_names"]) == 7


@pytest.mark.parametrize("path", ["/openpi", "/openpi/policy", "/v1/realtime/robot/openpi"])
@pytest.mark.parametrize("library", [openpi_numpy, msgpack_numpy], ids=["openpi", "msgpack-numpy"])
def test_a_chunk_comes_in_the_callers_own_dialect(path: str, library: Any) -> None:
    scene = Scene()
    (answer,) = scene.answers(OBSERVATION, path=path, library=library)
    assert answer["actions"].dtype == np.float32
    assert answer["actions"].shape == (4, 7)
    assert answer["server_timing"]["infer_ms"] == answer["latency_ms"]
    assert answer["policy_timing"] == {"infer_ms": answer["timing"]["infer_ms"]}
    assert answer["model_version"] == policy_config().model_version
    (call,) = scene.triton.calls
    pixels = next(tensor for tensor in call if tensor.name == "image.base")
    assert bytes(pixels.data) == photo().tobytes()


def test_later_answers_say_how_long_the_one_before_took() -> None:
    first, second = Scene().answers(OBSERVATION, OBSERVATION)
    assert "prev_total_ms" not in first["server_timing"]
    assert second["server_timing"]["prev_total_ms"] >= first["server_timing"]["infer_ms"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("text", "wrong_type"),
        (b"", "invalid_msgpack"),
        (b"\xc1", "invalid_msgpack"),
        (b"\x01", "wrong_type"),
        (b"\x80", "missing_field"),
        ({**OBSERVATION, "state": np.zeros(5)}, "state_dim_mismatch"),
        ({**OBSERVATION, "state": np.full(6, np.nan)}, "not_finite"),
        ({**OBSERVATION, "observation/base": photo()[:, :, :2]}, "invalid_image"),
        ({**OBSERVATION, "observation/rear": photo()}, "unknown_camera"),
        ({"state": np.zeros(6), "prompt": "pick"}, "image_required"),
        ({**OBSERVATION, "prompt": 7}, "wrong_type"),
        ({**OBSERVATION, "prompt": "x" * 513}, "instruction_too_long"),
        ({**OBSERVATION, "seed": -1}, "wrong_type"),
        ({**OBSERVATION, "deadline_ms": 0}, "wrong_type"),
        ({**OBSERVATION, "deadline_ms": "soon"}, "wrong_type"),
        ({**OBSERVATION, "episode_id": ""}, "wrong_type"),
        ({**OBSERVATION, "image_mask": {"base": [1, [2, 3]]}}, "wrong_type"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_the_stream_goes_on(message: Any, code: str) -> None:
    refused, answer = Scene().answers(message, OBSERVATION)
    assert refused.startswith(f"{code}: ")
    assert refused.count(code) == 1
    assert "\n" not in refused
    assert "Traceback" not in refused
    assert answer["actions"].shape == (4, 7)


def test_a_model_that_fails_is_told_and_tried_again() -> None:
    scene = Scene()
    scene.triton.script.append(TritonCallError("model", "no"))
    refused, answer = scene.answers(OBSERVATION, OBSERVATION)
    assert refused.startswith("inference_failed: ")
    assert answer["actions"].shape == (4, 7)


def test_one_connection_stays_with_one_of_two_policies_and_may_name_its_episodes() -> None:
    scene = Scene(second=FakeTriton(), split=50)
    for _ in range(5):
        answers = scene.answers(*[OBSERVATION] * 4)
        assert len({answer["policy_slot"] for answer in answers}) == 1
        assert not any(answer["routing_degraded"] for answer in answers)
    named = scene.answers(*({**OBSERVATION, "session_id": f"e{number}"} for number in range(40)))
    assert {answer["policy_slot"] for answer in named} == {"a", "b"}


def test_a_server_that_stops_says_so_and_closes() -> None:
    scene = Scene()

    def stop() -> None:
        scene.service.instance.is_draining = True

    *_, told, closed = scene.speak(stop, OBSERVATION, OBSERVATION)
    assert told["text"].startswith("draining: ")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1001)


@pytest.mark.parametrize("value", [b"soon", b"0", b"-1"])
def test_a_deadline_that_is_none_closes_before_anything_is_answered(value: bytes) -> None:
    closed = Scene().speak(OBSERVATION, headers=[(b"x-reflex-deadline-ms", value)])[-1]
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)


@pytest.fixture
def keyed(tmp_path: Path) -> Scene:
    add_entry(tmp_path / "keys", KeyEntry("arm", digest_of(KEY.encode()), 2.0))
    scene = Scene()
    object.__setattr__(scene.service, "keys", KeyRing.read(tmp_path / "keys", lambda: 0.0))
    return scene


def ring_of(scene: Scene) -> KeyRing:
    assert isinstance(scene.service, ActService)
    assert scene.service.keys is not None
    return scene.service.keys


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", f"Api-Key {KEY}".encode()),
        (b"authorization", f"Bearer {KEY}".encode()),
        (b"x-reflex-key", KEY.encode()),
    ],
)
def test_a_key_opens_however_it_is_presented_and_its_limit_holds_for_each_observation(
    keyed: Scene, header: tuple[bytes, bytes]
) -> None:
    first, second, third = keyed.answers(OBSERVATION, OBSERVATION, OBSERVATION, headers=[header])
    assert (first["actions"].shape, second["actions"].shape) == ((4, 7), (4, 7))
    assert third.startswith("rate_limited: ")


@pytest.mark.parametrize(
    "headers",
    [[], [(b"authorization", b"Api-Key " + new_key().encode())], [(b"authorization", b"Basic " + KEY.encode())]],
)
def test_without_a_key_nothing_is_opened(keyed: Scene, headers: Any) -> None:
    start, _body = keyed.speak(OBSERVATION, headers=headers)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert (b"www-authenticate", b"Bearer") in start["headers"]


def test_a_key_that_is_taken_back_ends_its_stream(keyed: Scene, tmp_path: Path) -> None:
    def take_back() -> None:
        (tmp_path / "keys").write_text("")
        ring_of(keyed).look()

    headers = [(b"authorization", f"Api-Key {KEY}".encode())]
    *_, told, closed = keyed.speak(OBSERVATION, take_back, OBSERVATION, OBSERVATION, headers=headers)
    assert told["text"].startswith("unauthorized: ")
    assert closed["code"] == 1008


def test_answers_are_counted_as_those_of_act() -> None:
    scene = Scene()
    scene.answers(OBSERVATION, "text")
    text = scene.service.metrics.exposition().decode()
    assert 'status="200"} 1.0' in text
    assert 'status="400"} 1.0' in text


class Keys:
    """What a control plane published."""

    signing = SigningKey.generate("k1")
    keyset = Keyset.of([signing.as_public()])
    stale = None
    organisation_id = None
    is_catching_up = False

    async def renew(self) -> None:
        pass


def test_a_session_opens_says_its_mode_and_ends_its_stream() -> None:
    scene, ended = Scene(), EndedSessions(time.monotonic)
    object.__setattr__(scene.service, "sessions", Sessions(Keys(), ended))
    claimed = claims()
    headers = [(b"authorization", b"Api-Key " + issue(claimed, Keys.signing).encode())]

    def end() -> None:
        ended.note(claimed.session_id)

    answer, told = scene.answers(OBSERVATION, end, OBSERVATION, OBSERVATION, headers=headers)
    assert answer["mode"] == claimed.mode
    assert told.startswith("session_expired: ")
    start, _body = scene.speak(OBSERVATION, headers=headers)
    assert start["status"] == 401
    start, _body = scene.speak(OBSERVATION)
    assert start["status"] == 401
