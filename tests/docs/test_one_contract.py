"""The HTTP contract stands in `reflex.wire`; what the server does, describes and documents is held against it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
import numpy as np
import orjson
import pytest

from docs.documents import REPOSITORY
from reflex import wire
from reflex.client.acting import Observation, act_call
from reflex.client.mock import chunk as mock_chunk
from reflex.errors import ServiceError
from reflex.gpus import Driver, Gpu, Libraries, Machine
from reflex.guard import Violation
from reflex.signed.signing import Keyset, SigningKey
from reflex.wire import (
    ANSWER_HEADERS,
    BROWSER_HEADERS,
    DEADLINE_HEADER,
    EPISODE_HEADER,
    PAGE_HEADERS,
    PRECISION_PROOF_FIELD,
    READ_HEADERS,
    ActBody,
    ActResult,
    GuardViolation,
    HealthReport,
    ObserversHealth,
    PrecisionProof,
    SlotHealth,
    Timing,
)
from reflex.wire.stream import HelloFrame, ObservationFrame, ReadyFrame
from reflex_frontend.callers.ended import EndedSessions
from reflex_frontend.callers.sessions import Sessions
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.http.app import Server, build_app
from reflex_frontend.motion.correction import Corrector
from reflex_frontend.motion.prefixes import PrefixCache
from reflex_frontend.motion.rtc import RealTimeChunking
from reflex_frontend.observation.request import _act_request
from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.settings import Settings
from reflex_frontend.slo import parse_slo
from support.fakes import FakeTriton, act_service, outputs, policy_config
from support.motion.heads import head_for
from support.outside.control_stand_in import credential

DOCUMENT = (REPOSITORY / "docs" / "http-api.md").read_text(encoding="utf-8")
KEY = SigningKey.generate("k1")
ACT: ActBody = {"instruction": "pick", "state": [0.1] * 6, "episode_id": "e", "seed": 7}


H200: Final = Gpu(0, "NVIDIA H200", (9, 0), 141 * 2**30)
ON_CUDA_ALONE: Final = Libraries("1.31.1", "13.0", ("onnxruntime-gpu",))


class EverythingLooksOn:
    """An observer that gives every field which an observer may give."""

    def note(self, exchange: Exchange, _error: ServiceError | None) -> None:
        exchange.record_seq = 17

    def health(self) -> ObserversHealth:
        shadow: SlotHealth = {"status": "ready", "model_version": "s@1"}
        return {"shadow": shadow, "recording": "stopped", "keys": "stale", "sessions": "stale"}

    def gauges(self) -> Mapping[str, float]:
        return {}


class Keys:
    """What a control plane published."""

    keyset = Keyset.of([KEY.as_public()])
    stale = None
    organisation_id = None
    is_catching_up = False

    async def renew(self) -> None:
        pass


def everything() -> httpx.ASGITransport:
    """Two policies, an objective, a name, a recording, a shadow, sessions, a trial, --rtc, a head, a GPU: all."""
    triton = FakeTriton({**outputs(), "velocity_change": np.zeros((1, 10), np.float32)})
    service = act_service(
        triton, time.monotonic, config=policy_config(cameras={"base": False}, n_action_steps=3), second=triton
    )
    for slot in service.router.slots.values():
        slot.slo = SloMonitor(parse_slo("p99=150ms"), time.monotonic)
        slot.loaded.vitals.breaker.open("gone") if slot.name == "b" else None
    sessions = Sessions(Keys(), EndedSessions(time.monotonic))
    rtc = RealTimeChunking(time.monotonic)
    looking: dict[str, Any] = {
        "observers": (EverythingLooksOn(),),
        "sessions": sessions,
        "rtc": rtc,
        "corrector": Corrector(head_for(constant=0.0)),  # says why it keeps off
        "tells_velocity_change": True,
        "prefixes": PrefixCache(time.monotonic, 1_000_000),
        "injected_latency_s": 0.001,
        "device": DeviceInUse("auto", Machine(Driver((13, 0), gpus=(H200,)), ON_CUDA_ALONE)),
    }
    service = dataclasses.replace(service, robot_id="arm-7", **looking)
    app = build_app(Server(service, Settings.load({"robot_id": "arm-7"})))
    return httpx.ASGITransport(app=app, raise_app_exceptions=False)


def asked(method: str, path: str, **how: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        headers = {"X-Reflex-Key": credential(KEY)}
        async with httpx.AsyncClient(transport=everything(), base_url="http://robot", headers=headers) as client:
            return await client.request(method, path, **how)

    return asyncio.run(ask())


def fields_of(kind: Any) -> set[str]:
    return set(kind.__required_keys__ | kind.__optional_keys__)


def table_under(heading: str) -> dict[str, str]:
    """The rows of the first table under a heading: first cell without its backticks, the rest."""
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[1].strip().strip("`"): "|".join(row[2:]) for row in rows}


def schema_of(path: str, method: str, status: str) -> dict[str, Any]:
    answer = asked("GET", "/openapi.json").json()["paths"][path][method]["responses"][status]
    schema: dict[str, Any] = answer["content"]["application/json"]["schema"]
    return schema


def test_an_answer_has_the_fields_of_the_contract_and_no_other() -> None:
    answer = asked("POST", "/act", json=ACT).json()

    assert set(answer) == fields_of(ActResult)
    assert set(answer["timing"]) == fields_of(Timing)


def test_an_entry_of_guard_violations_has_the_fields_of_the_contract() -> None:
    assert set(Violation(0, 1, "joint", 2.0, 1.0, "above_range").as_dict()) == fields_of(GuardViolation)


def test_health_has_the_fields_of_the_contract_and_no_other() -> None:
    report = asked("GET", "/health").json()

    assert set(report) == fields_of(HealthReport) - {"reason"}
    assert set(report["slots"]["b"]) == fields_of(SlotHealth)


def test_the_openapi_document_describes_the_fields_of_the_contract() -> None:
    answer, health = schema_of("/act", "post", "200"), schema_of("/health", "get", "200")
    body = asked("GET", "/openapi.json").json()["paths"]["/act"]["post"]["requestBody"]["content"]

    assert set(answer["properties"]) == fields_of(ActResult)
    assert ActResult.__required_keys__ <= set(answer["required"]) <= fields_of(ActResult)
    assert set(health["properties"]) == fields_of(HealthReport)
    for form in body["application/json"]["schema"]["oneOf"]:
        assert set(form["properties"]) == fields_of(ActBody)


def test_the_mock_answers_with_the_fields_of_the_contract() -> None:
    assert set(mock_chunk([[0.0]])) == set(ActResult.__required_keys__) - {"request_id"}


def test_the_parser_reads_the_fields_of_the_contract_and_no_other() -> None:
    read: set[str] = set()

    class Watched(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            read.add(key)
            return super().get(key, default)

        def __getitem__(self, key: str) -> Any:
            read.add(key)
            return super().__getitem__(key)

    _act_request(Watched(ACT), None)

    assert read | {"request_id"} == fields_of(ActBody)


def test_the_client_sends_fields_of_the_contract_only() -> None:
    seen = Observation(
        [0.0], "r", "pick", images={"base": np.zeros((2, 2, 3), np.uint8)}, seed=1, episode_id="e",
        executed_steps=1, inference_delay_steps=2, prev_actions=[[0.5]],
    )  # fmt: skip

    assert set(json.loads(act_call(seen).body or b"")) <= fields_of(ActBody)


def test_the_document_has_a_row_for_every_field_and_no_other() -> None:
    assert set(table_under("POST /act")) == fields_of(ActBody)
    assert set(table_under("The answer")) - set(wire.ROUTING_HEADERS) == fields_of(ActResult)
    assert set(table_under("POST /act/correct")) == fields_of(wire.CorrectBody)
    assert set(table_under("GET /health")) == fields_of(HealthReport)


def test_the_document_names_every_field_of_a_corrected_rest() -> None:
    section = DOCUMENT.split("\n## POST /act/correct\n")[1].split("\n## ")[0]

    assert [name for name in fields_of(wire.CorrectResult) if f"`{name}`" not in section] == []


def test_the_document_names_the_fields_inside_of_fields() -> None:
    answer, health = table_under("The answer"), table_under("GET /health")

    assert [name for name in fields_of(GuardViolation) if f"`{name}`" not in answer["guard_violations"]] == []
    assert [name for name in fields_of(Timing) if f"`{name}`" not in answer["timing"]] == []
    assert [name for name in fields_of(SlotHealth) if f"`{name}`" not in health["slots"]] == []


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("at most (\\d+) MiB", wire.MAX_BODY_BYTES >> 20),
        ("at most (\\d+) characters; may be empty", wire.MAX_INSTRUCTION_CHARACTERS),
        ("1 to (\\d+) printable characters", wire.MAX_ID_CHARACTERS),
        ("at most (\\d+) megapixels", wire.MAX_PIXELS // 1_000_000),
        (f"{DEADLINE_HEADER}` \\(a number from 1 to (\\d+)", wire.MAX_DEADLINE_MS),
        ("by default (\\d+)\\) bounds", wire.DEFAULT_DEADLINE_MS),
        ("headers of more than (\\d+) KiB", wire.MAX_HEADER_BYTES >> 10),
    ],
)
def test_the_document_names_the_limits_as_they_are(words: str, limit: int) -> None:
    assert {int(found) for found in re.findall(words, DOCUMENT)} == {limit}


def test_the_document_names_every_header_of_ours() -> None:
    ours = [name for name in (*READ_HEADERS, *ANSWER_HEADERS) if name.startswith("X-Reflex-")]

    assert [name for name in ours if f"`{name}" not in DOCUMENT] == []
    assert set(re.findall(r"X-Reflex-[A-Za-z-]+", DOCUMENT)) == {*ours, EPISODE_HEADER}


def test_a_preflight_allows_what_a_page_may_send_and_a_page_may_read_what_is_answered() -> None:
    wanted = ", ".join([name.lower() for name in READ_HEADERS if name not in BROWSER_HEADERS] + [EPISODE_HEADER])
    headers = {"origin": "http://page", "access-control-request-method": "POST"}
    headers["access-control-request-headers"] = wanted
    granted = asked("OPTIONS", "/act", headers=headers)
    assert granted.status_code == 200
    preflight = granted.headers["access-control-allow-headers"].lower()
    answer = asked("POST", "/act", json=ACT, headers={"origin": "http://page"})

    assert {name.lower() for name in PAGE_HEADERS} <= {name.strip() for name in preflight.split(",")}
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == {name.lower() for name in ANSWER_HEADERS}
    assert orjson.loads(answer.content)["policy_slot"] == "a"


@pytest.mark.parametrize("frame", [HelloFrame, ReadyFrame, ObservationFrame])
def test_the_frames_of_a_stream_are_documented_field_by_field(frame: Any) -> None:
    section = DOCUMENT.split("\n## WS /act/stream\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"`([a-z_]+)`", section))

    assert fields_of(frame) - fields_of(ActBody) - {"type"} <= documented


def test_every_field_of_the_proof_of_a_precision_is_described_and_documented() -> None:
    service = act_service(FakeTriton(), time.monotonic)
    described = build_app(Server(service, Settings.load({}))).openapi()["paths"]["/config"]["get"]["responses"]["200"]
    schema = described["content"]["application/json"]["schema"]["properties"][PRECISION_PROOF_FIELD]

    assert {*schema["properties"]} == {*PrecisionProof.__annotations__}
    assert {*schema["required"]} == {*PrecisionProof.__required_keys__}
    for name in PrecisionProof.__annotations__:
        assert f"`{name}`" in DOCUMENT.partition("| field of `precision_proof`")[2]
