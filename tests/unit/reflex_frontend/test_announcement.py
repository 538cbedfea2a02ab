"""What the log says of a server that is ready."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from reflex.gpus import Libraries, Machine, read_driver
from reflex.policy_config import PolicyConfig
from reflex_frontend.announcement import Announcement
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.settings import Settings
from support.checkpoints.measured import measured_on
from support.fakes import FakeTriton, act_service, policy_config
from support.gpus.standin import H200, RTX_4090, Standin

URL, TRITON = "http://0.0.0.0:8000", "127.0.0.1:43001"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"REFLEX_{field.upper()}", raising=False)


def announcement(
    config: PolicyConfig | None = None, shadow: PolicyConfig | None = None, **settings: Any
) -> Announcement:
    async def made() -> Announcement:
        router = act_service(FakeTriton(), time.monotonic, config=config).router
        # As `serve` has it: a Triton of its own computes on the processor.
        device = DeviceInUse.elsewhere() if "triton" in settings else DeviceInUse()
        return Announcement(router, Settings.load(settings), shadow, URL, TRITON, device=device)

    return asyncio.run(made())


def test_the_ready_line_has_the_form_that_scripts_look_for() -> None:
    line = announcement().ready_line(1.25)
    assert line.startswith(f"ready: POST {URL}/act serves small@abababababab (untrained: ")
    assert line.endswith(f" on Triton at {TRITON} after 1.2 s; Ctrl-C stops")


def test_a_card_is_named_and_what_auto_passed_over_is_warned_of(tmp_path: Path) -> None:
    driver = read_driver(str(Standin([H200]).write(tmp_path / "libcuda.so.1")))
    found = DeviceInUse("auto", Machine(driver, Libraries("1.31.1", "13.0", ("onnxruntime-gpu",))))
    told = dataclasses.replace(announcement(), device=found)

    assert f" on Triton at {TRITON} on NVIDIA H200 (cuda) after 1.2 s; Ctrl-C stops" in told.ready_line(1.25)
    (warning,) = told.warnings()
    assert warning.startswith("--device auto: trt-rtx: NVIDIA H200 has compute capability 9.0")


def test_a_policy_that_is_for_the_simulator_alone_says_so() -> None:
    trained = announcement(policy_config(trained=True)).ready_line(1)
    simulated = announcement(policy_config(trained=True, embodiment="so101_sim", action_dim=6, state_dim=6)).ready_line(
        1
    )
    assert "/act serves small@abababababab on Triton" in trained
    assert "serves small@abababababab (trained, simulation only: not for a real robot) on Triton" in simulated


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_no_robot_can_call_is_explained(host: str) -> None:
    assert announcement(host=host).ready_line(1).endswith(f"; robots use this machine's address in place of {host}")


def test_what_else_is_at_work_is_one_line() -> None:
    shadow = policy_config(policy_id="new")
    found = announcement(
        shadow=shadow,
        record="/recordings",
        slo="p99=0.15s",
        slo_mode="refuse",
        guard=False,
        record_images="full",
        otel_endpoint="http://collector:4318",
    )
    assert found.also() == (
        "shadow: new@abababababab, 100 % of the answers; recording to /recordings, images: full; "
        "traces to http://collector:4318; SLO p99=150ms (refuse); guard OFF: a policy's mistake reaches the motors"
    )


def test_nothing_else_at_work_is_no_line() -> None:
    assert announcement().also() == ""


@pytest.mark.parametrize(
    ("parity", "told"),
    [
        (None, "never compared"),
        ({"verdict": "not checked"}, "never compared"),
        ({"verdict": "failed"}, "failed their gate"),
    ],
)
def test_a_policy_that_was_not_proven_is_a_warning_with_the_command_that_does(
    parity: dict[str, float | str] | None, told: str
) -> None:
    (warning,) = announcement(policy_config(trained=True, parity=parity)).warnings()
    assert warning.startswith("small@abababababab: ")
    assert told in warning
    assert "`reflex verify REPOSITORY --policy small`" in warning


def test_a_policy_that_passed_or_is_untrained_is_no_warning() -> None:
    passed = policy_config(trained=True, parity={"verdict": "passed"})
    untrained = policy_config(trained=False, parity={"verdict": "failed"})
    assert not [*announcement(passed).warnings(), *announcement(untrained).warnings()]


def test_the_shadow_is_warned_of_too() -> None:
    (warning,) = announcement(shadow=policy_config(policy_id="new", trained=True)).warnings()
    assert warning.startswith("new@abababababab: ")


def test_warnings_are_logged_as_such_behind_the_ready_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "reflex.serve"):
        announcement(policy_config(trained=True), guard=False).say(1.0)
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "WARNING"]
    assert caplog.messages[0].startswith("ready: ")


def test_answers_that_are_held_back_are_warned_of() -> None:
    (warning,) = announcement(inject_latency_ms=150).warnings()
    assert warning.startswith("every answer is held back for 150 ms (--inject-latency-ms)")


def test_what_an_export_warned_of_is_said_again_where_it_is_served() -> None:
    told = "action and observation.state: reads as radians"
    config = policy_config(trained=True, parity={"verdict": "passed"}, warnings=(told,))
    assert list(announcement(config).warnings()) == [f"small@abababababab was exported with a warning: {told}"]


SIMULATED: dict[str, float | str] = {"verdict": "passed", "max_abs": 2e-3, "gate_max_abs": 5e-3, "margin": "kept"}


def test_fp16_that_was_only_simulated_is_said_in_the_ready_line_and_warned_of() -> None:
    found = announcement(policy_config(trained=True, precision="fp16", parity=SIMULATED), triton="grpc://gpu:8001")

    assert "small@abababababab (FP16 only simulated on a CPU: 2.0e-03 of 5e-03) on Triton" in found.ready_line(1)
    (warning,) = found.warnings()
    assert warning.startswith("small@abababababab: FP16 only simulated on a CPU: 2.0e-03 of 5e-03; `reflex verify ")


def test_a_cpu_that_serves_what_a_cpu_compared_is_not_warned_of() -> None:
    found = announcement(policy_config(trained=True, precision="fp16", parity=SIMULATED))

    assert "(FP16 compared on a CPU, which serves: 2.0e-03 of 5e-03) on Triton" in found.ready_line(1)
    assert [*found.warnings()] == []


def test_fp16_that_was_measured_says_where(tmp_path: Path) -> None:
    config = policy_config(
        trained=True, precision="fp16", parity=SIMULATED, device_parity=(measured_on("NVIDIA H200"),)
    )
    driver = read_driver(str(Standin([RTX_4090]).write(tmp_path / "libcuda.so.1")))
    other = DeviceInUse("cuda", Machine(driver, Libraries("1.31.1", "13.0", ("onnxruntime-gpu",))))
    here = announcement(config, triton="grpc://gpu:8001")
    elsewhere = dataclasses.replace(announcement(config), device=other)

    assert "(measured on NVIDIA H200: 2.4e-03 of 5e-03)" in here.ready_line(1)
    assert [*here.warnings()] == []
    assert "(measured on NVIDIA H200, which does not serve here: 2.4e-03 of 5e-03)" in elsewhere.ready_line(1)
    assert len([*elsewhere.warnings()]) == 1


def test_an_untrained_policy_says_it_in_the_ready_line_alone() -> None:
    found = announcement(policy_config(precision="fp16", parity=SIMULATED), triton="grpc://gpu:8001")

    assert ") (FP16 only simulated on a CPU: " in found.ready_line(1)
    assert [*found.warnings()] == []


def test_what_was_compared_with_nothing_is_one_warning_and_no_second() -> None:
    (warning,) = announcement(policy_config(trained=True, precision="fp16", parity=None)).warnings()

    assert "never compared" in warning


def test_a_simulation_that_missed_its_gate_is_one_warning() -> None:
    failed = SIMULATED | {"verdict": "failed", "max_abs": 6e-3}
    (warning,) = announcement(policy_config(trained=True, precision="fp16", parity=failed)).warnings()

    assert "failed their gate" in warning


def test_an_engine_that_was_measured_needs_no_other_comparison_and_one_that_was_not_is_warned_of() -> None:
    engine = policy_config(trained=True, precision="fp16", engine="tensorrt", parity=None)
    measured = engine.model_copy(update={"device_parity": (measured_on("NVIDIA H200", engine="tensorrt"),)})

    assert [*announcement(measured, triton="grpc://gpu:8001").warnings()] == []
    assert len([*announcement(engine, triton="grpc://gpu:8001").warnings()]) == 1


def test_a_gate_that_was_missed_on_the_device_is_warned_of_with_what_to_do() -> None:
    missed = measured_on("NVIDIA H200", verdict="failed", max_abs=6.1e-3)
    config = policy_config(trained=True, precision="fp16", parity=SIMULATED, device_parity=(missed,))
    (warning,) = announcement(config, triton="grpc://gpu:8001").warnings()

    assert "missed its gate on NVIDIA H200: 6.1e-03 of 5e-03; export it again with --precision fp32" in warning
