"""The recording and the shadow begin and end with the server, and go by its settings."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from reflex.errors import SetupError
from reflex.traces.reader import TraceReader
from reflex.traces.schema import RequestRecord, ShadowRecord
from reflex_frontend.act.act import ActService
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.observing.observers import Observers, observers_at_work
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service, policy_config, served_policy
from support.recordings import lines_in
from support.waiting import eventually

NO_CAMERA_NEEDED = policy_config(cameras={"base": False})
BODY = orjson.dumps({"instruction": "pick", "state": [0.1] * 6, "episode_id": "e"})


class Backend:
    """A Triton that answers every policy at once."""

    waiting_for = "starting"
    may_reload = True
    control = cast("Any", None)

    def gateway(self, _policy_id: str, _outputs: tuple[str, ...]) -> FakeTriton:
        return FakeTriton()

    def keep_loaded(self, _policies: object) -> None: ...

    def restart_if_hung(self, _silent_s: float) -> bool:
        return False

    def restart_dead_model(self) -> None:
        raise AssertionError


def work(
    scenario: Callable[[ActService, Observers], Coroutine[Any, Any, None]],
    shadow: ServedPolicy | None = None,
    **settings: Any,
) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            service = act_service(FakeTriton(), time.monotonic, config=NO_CAMERA_NEEDED)
            loader = PolicyLoader(Backend(), service.workers, tasks.create_task)
            watching = observers_at_work(
                Settings.load(settings), service.router, shadow, loader, service.instance, service.metrics
            )
            async with watching as observers:
                await scenario(dataclasses.replace(service, observers=observers.all), observers)
            await loader.stop()

    asyncio.run(main())


async def ask(service: ActService) -> None:
    await service.answer(BODY, Exchange.begin(service.now(), 10_000))


async def nothing(_service: ActService, observers: Observers) -> None:
    assert observers.all == ()


def test_without_settings_nobody_looks_on() -> None:
    work(nothing)


def test_what_was_noted_is_in_the_file_when_the_server_has_stopped(tmp_path: Path) -> None:
    async def scenario(service: ActService, observers: Observers) -> None:
        assert observers.shadow is None
        for _ in range(3):
            await ask(service)

    work(scenario, record=tmp_path)
    records = [entry.record for entry in TraceReader(tmp_path)]
    assert [record.record_seq for record in records] == [1, 2, 3]


def test_the_header_says_what_changes_answers_and_no_secret(tmp_path: Path) -> None:
    async def scenario(service: ActService, _observers: Observers) -> None:
        await ask(service)

    work(
        scenario, record=tmp_path, guard=False, slo="p99=1s", slo_mode="refuse", admin_port=0, admin_token="s3cret",
        robot_id="arm",
    )  # fmt: skip
    (header,) = lines_in(tmp_path, "header")
    assert header["settings"] == {
        "guard": False, "max_clamped_share": 50.0, "split": None, "record_images": "hash", "slo_mode": "refuse",
        "a2c2_max_correction": None, "rtc": None, "adaptive_tolerance": None,
    }  # fmt: skip
    assert "s3cret" not in orjson.dumps(header).decode()


def test_the_shadows_line_bears_the_number_of_the_request_that_it_saw(tmp_path: Path) -> None:
    shadow = served_policy(policy_config(policy_id="other", cameras={"base": False}))

    async def scenario(service: ActService, observers: Observers) -> None:
        assert observers.shadow is not None
        observers.shadow.loaded.vitals.warming_reason = None
        await ask(service)
        await eventually(lambda: lines_in(tmp_path, "shadow"), "the shadow's line is written")

    work(scenario, shadow, record=tmp_path)
    records = [entry.record for entry in TraceReader(tmp_path)]
    request, seen = records
    assert isinstance(request, RequestRecord)
    assert isinstance(seen, ShadowRecord)
    assert (seen.record_seq, seen.policy, seen.error) == (request.record_seq, "other@abababababab", None)


def test_another_policy_in_a_slot_is_a_new_header(tmp_path: Path) -> None:
    async def scenario(service: ActService, observers: Observers) -> None:
        await ask(service)
        observers.note_policy("a", served_policy(policy_config(policy_id="new")))
        await ask(service)

    work(scenario, record=tmp_path)
    assert [header["policies"]["a"]["policy_id"] for header in lines_in(tmp_path, "header")] == ["small", "new"]


def test_a_recording_that_cannot_be_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def main() -> None:
        service = act_service(FakeTriton(), time.monotonic)
        loader = PolicyLoader(Backend(), service.workers, asyncio.create_task)
        settings = Settings.load({"record": tmp_path / "file" / "below"})
        async with observers_at_work(settings, service.router, None, loader, service.instance, service.metrics):
            pytest.fail("it started")

    with pytest.raises(SetupError, match="--record"):
        asyncio.run(main())
