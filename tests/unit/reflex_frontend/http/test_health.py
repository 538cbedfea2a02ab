"""What /health says, with one policy and with two."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from reflex.api_keys import KeyEntry, add_entry, digest_of
from reflex.gpus import Libraries, Machine, read_driver
from reflex.signed.moments import ms_of
from reflex.wire import ObserversHealth, SlotName
from reflex_frontend.act.act import ActService
from reflex_frontend.callers.keys import KeyRing
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.http.health import health_of
from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.slo import parse_slo
from support.fakes import FakeTriton, act_service
from support.gpus.standin import H200, Standin

ONE_POLICY = {
    "status", "model_loaded", "model_version", "policy_hash", "guard_active", "time", "inference_mode",
    "uptime_seconds", "robot_id", "cuda_graphs_active",
}  # fmt: skip


def two() -> ActService:
    return act_service(FakeTriton(), time.monotonic, second=FakeTriton(), split=50)


def warm(service: ActService, slot: Any, reason: str = "loading") -> None:
    service.router.slots[slot].loaded.vitals.warming_reason = reason


def break_slot(service: ActService, slot: Any) -> None:
    service.router.slots[slot].loaded.vitals.breaker.open(f"{slot} is gone")


def test_one_ready_policy_is_200_with_the_fields_of_the_contract() -> None:
    status, body = health_of(act_service(FakeTriton(), time.monotonic), "arm-7")
    assert (status, set(body)) == (200, ONE_POLICY)
    assert (body["status"], body["model_loaded"], body["robot_id"]) == ("ready", True, "arm-7")


def test_device_and_card_are_named_with_what_was_passed_over(tmp_path: Path) -> None:
    driver = read_driver(str(Standin([H200]).write(tmp_path / "libcuda.so.1")))
    device = DeviceInUse("auto", Machine(driver, Libraries("1.31.1", "13.0", ("onnxruntime-gpu",))))
    device.replays_graphs = lambda: True
    service = dataclasses.replace(act_service(FakeTriton(), time.monotonic), device=device)

    body = health_of(service, None)[1]
    assert (body["device"], body["gpu"], body["inference_mode"]) == ("cuda", "NVIDIA H200", "onnx_cuda")
    assert body["cuda_graphs_active"] is True
    (passed_over,) = body["device_passed_over"]
    assert passed_over.startswith("trt-rtx: NVIDIA H200 has compute capability 9.0, which TensorRT for RTX")
    assert "serve with" not in passed_over, "what to type may name folders of the machine"

    for failed, told in (("no kernel image", "no kernel image"), ("full; see who uses it; or stop", "full")):
        device = DeviceInUse("auto", Machine(driver, Libraries("1.31.1", "13.0", ("onnxruntime-gpu",))))
        assert device.step_down(f"model 'x': device cuda: {failed}")
        body = health_of(dataclasses.replace(service, device=device), None)[1]
        assert body["device_passed_over"] == [passed_over, f"cuda: {told}"]

    body = health_of(dataclasses.replace(service, device=DeviceInUse()), None)[1]
    assert (body["device"], body["inference_mode"], body["cuda_graphs_active"]) == ("cpu", "onnx_cpu", False)
    assert {"gpu", "device_passed_over"}.isdisjoint(body)


@pytest.mark.parametrize(
    ("broken", "warming", "expected"),
    [
        ("", "", (200, "ready")), ("a", "", (200, "ready")), ("b", "", (200, "ready")), ("", "a", (200, "ready")),
        ("ab", "", (503, "degraded")), ("", "ab", (503, "warming")), ("a", "b", (503, "degraded")),
    ],
)  # fmt: skip
def test_one_slot_that_is_ready_is_enough(broken: str, warming: str, expected: tuple[int, str]) -> None:
    service = two()
    for slot in broken:
        break_slot(service, slot)
    for slot in warming:
        warm(service, slot)
    status, body = health_of(service, None)
    assert (status, body["status"]) == expected
    assert ("reason" in body) == (status == 503)
    names: tuple[SlotName, ...] = ("a", "b")
    for name in names:
        wanted = "degraded" if name in broken else "warming" if name in warming else "ready"
        assert body["slots"][name]["status"] == wanted
        assert ("reason" in body["slots"][name]) == (wanted != "ready")


def test_what_is_served_is_told_whole_with_the_clock_by_which_credentials_end() -> None:
    service = two()
    before_ms = time.time_ns() // 1_000_000
    _, body = health_of(service, None)
    hashes = {name: slot.loaded.policy.config.policy_hash for name, slot in service.router.slots.items()}
    assert before_ms <= ms_of(body["time"]) <= time.time_ns() // 1_000_000
    assert body["policy_hash"] == hashes["a"]
    assert {name: told["policy_hash"] for name, told in body["slots"].items()} == hashes


def test_a_guard_that_is_off_is_told() -> None:
    service = act_service(FakeTriton(), time.monotonic)
    assert health_of(service, None)[1]["guard_active"] is True
    service.router.first.loaded = dataclasses.replace(service.router.first.loaded, guard=None)
    assert health_of(service, None)[1]["guard_active"] is False


def test_answers_that_are_held_back_are_told() -> None:
    service = act_service(FakeTriton(), time.monotonic)
    assert "injected_latency_ms" not in health_of(service, None)[1]
    slow = dataclasses.replace(service, injected_latency_s=0.15)
    assert health_of(slow, None)[1]["injected_latency_ms"] == 150.0


def test_the_policy_that_is_named_is_one_that_answers() -> None:
    service = two()
    assert str(health_of(service, None)[1]["model_version"]).startswith("small@")
    break_slot(service, "a")
    assert str(health_of(service, None)[1]["model_version"]).startswith("other@")


def test_a_server_that_drains_is_503_however_well_its_policies_are() -> None:
    service = two()
    service.instance.is_draining = True
    status, body = health_of(service, None)
    assert (status, body["status"]) == (503, "degraded")
    assert "shutting down" in body["reason"]


def test_an_objective_that_one_of_two_policies_misses_is_told_and_makes_nothing_unready() -> None:
    clock = [0.0]
    service = two()
    service.router.slots["a"].slo = SloMonitor(parse_slo("p50=10ms"), lambda: clock[0])
    slot = service.router.slots["b"]
    slot.slo = SloMonitor(parse_slo("p50=10ms"), lambda: clock[0])
    for _ in range(60):
        slot.slo.record(1.0)
    clock[0] = 2.0
    status, body = health_of(service, None)
    assert status == 200
    assert body["slots"]["b"]["slo_violated"] is True
    assert body["slots"]["a"]["slo_violated"] is False
    assert body["slo_violated"] is True


@pytest.mark.parametrize("is_missed", [False, True])
def test_one_policy_says_whether_it_misses_its_objective(is_missed: bool) -> None:
    clock = [0.0]
    service = act_service(FakeTriton(), time.monotonic)
    service.router.first.slo = slo = SloMonitor(parse_slo("p50=10ms"), lambda: clock[0])
    for _ in range(60):
        slo.record(1.0 if is_missed else 0.001)
    clock[0] = 2.0
    status, body = health_of(service, None)
    assert (status, body["slo_violated"]) == (200, is_missed)
    assert "slots" not in body


def test_whoever_looks_on_has_a_field_and_no_say() -> None:
    class Stopped:
        def note(self, _exchange: object, _error: object) -> None:
            raise AssertionError

        def health(self) -> ObserversHealth:
            return {"recording": "recording stopped: No space left on device"}

        def gauges(self) -> dict[str, float]:
            raise AssertionError

    service = dataclasses.replace(two(), observers=(Stopped(),))
    status, body = health_of(service, None)
    assert (status, body["recording"]) == (200, "recording stopped: No space left on device")


def test_keys_that_are_not_read_again_are_said_and_make_nothing_unready(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    add_entry(file, KeyEntry("arm", digest_of(b"key")))
    ring = KeyRing.read(file, time.monotonic)
    service = dataclasses.replace(act_service(FakeTriton(), time.monotonic), keys=ring)
    assert "keys" not in health_of(service, None)[1]
    file.unlink()
    ring.look()
    status, body = health_of(service, None)
    assert (status, body["keys"]) == (200, "the key file is missing or damaged; the last keys hold on")
