"""`reflex serve`: Triton, the policy and the frontend put together, started, watched and stopped."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import signal
import socket
import time
from collections.abc import Collection, Coroutine, Mapping
from typing import Any, Final, TypeVar

import uvicorn
import uvloop

from reflex.errors import SetupError
from reflex.serving.bounded_reads import bounded_protocol
from reflex.serving.hosts import allowed_hosts, check_bind
from reflex.serving.listener import BACKLOG, listen, url_of
from reflex.serving.logs import set_up_logs
from reflex.serving.quiet_server import QuietServer
from reflex.wire import SlotName
from reflex_frontend.act.act import ActService
from reflex_frontend.act.resent import ResentAnswers
from reflex_frontend.announcement import Announcement
from reflex_frontend.beforehand import Beforehand, look_beforehand
from reflex_frontend.callers.at_work import sessions_at_work
from reflex_frontend.closing_together import closing_together
from reflex_frontend.exchange.instance import Instance
from reflex_frontend.exchange.routing import Router, Slot
from reflex_frontend.http.app import Server, build_app, front_door
from reflex_frontend.http.endpoint import ActEndpoint
from reflex_frontend.http.limits import Limits
from reflex_frontend.http.protocol import BoundedProtocol
from reflex_frontend.http.refusal import QuickRefusal
from reflex_frontend.motion.adaptive import AdaptiveSteps
from reflex_frontend.motion.correction import Corrector
from reflex_frontend.motion.fitness import MB, require_continuable, require_prefix
from reflex_frontend.motion.prefixes import PrefixCache
from reflex_frontend.motion.rtc import RealTimeChunking
from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.observing.observers import observers_at_work
from reflex_frontend.observing.tracing import tracing_at_work
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.policy.policy_set import PolicySet
from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.policy.variants import needed_variants, require_velocity_change
from reflex_frontend.policy.workers import Workers, decode_threads
from reflex_frontend.rollout.admin_server import admin_routes
from reflex_frontend.rollout.rollout import Rollout
from reflex_frontend.settings import Settings, unknown_variables
from reflex_frontend.streams.bounded_websocket import Bounds, bounded_websocket
from reflex_frontend.streams.door import StreamDoor
from reflex_frontend.streams.routes import streams_of
from reflex_frontend.triton.backend import TritonBackend

__all__ = ["serve"]

KEEP_ALIVE_S: Final = 75
"""A robot that executes a whole chunk asks every few seconds; its connection should still be there."""
DRAIN_S: Final = 5.0
"""With what follows (closing connections 1 s, Triton 2 s) the process ends within 10 s of SIGTERM."""
MOVE_ON_S: Final = 1.0
"""So long an open connection is waited for: its next answer says `Connection: close`, and no request meets its end."""

T = TypeVar("T")

log = logging.getLogger("reflex.serve")


def serve(overrides: Mapping[str, Any]) -> int:
    """Serve until Ctrl-C, SIGTERM or SIGHUP. `overrides` are the command line's options. Returns the exit code.

    Raises `SetupError` when something must be put right first.
    """
    settings = Settings.load(overrides)
    set_up_logs(as_json=settings.json_logs)
    for sentence in unknown_variables():
        log.warning("%s", sentence)
    for name in sorted(settings.model_fields_set):
        log.debug("%s is %s", name, getattr(settings, name))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings))
    except ExceptionGroup as group:
        raise _unwrapped(group) from None


def _unwrapped(group: ExceptionGroup) -> Exception:
    """The sentence for whoever starts the server; a task group wraps whatever ends it."""
    setup, rest = group.split(SetupError)
    return group if setup is None or rest is not None else setup.exceptions[0]


async def _serve(settings: Settings) -> int:
    started = time.monotonic()
    check_bind(settings.host, has_keys=settings.asks_who_calls, insecure=settings.insecure)
    stop = _stop_on_signals()
    found = await _unless(stop, look_beforehand(settings))
    if found is not None:
        await _serve_found(settings, found, stop, started)
    log.info("stopped")
    return 0


async def _serve_found(settings: Settings, found: Beforehand, stop: asyncio.Event, started: float) -> None:
    listener = listen(settings.host, settings.port)
    backend = TritonBackend(settings, found.repository, found.policy_set.configs, found.device)
    try:
        await backend.start()
        async with asyncio.TaskGroup() as tasks:
            workers = Workers(decode_threads(), time.monotonic)
            loader = PolicyLoader(
                backend, workers, tasks.create_task, settings.max_queue,
                guarded=settings.guard, max_clamped_percent=settings.max_clamped_share, also=_also(settings),
            )  # fmt: skip
            backend.on_down = loader.note_down
            await _serve_policies(settings, found, loader, backend, listener, stop, started)
            await loader.stop()
    finally:
        await backend.stop()
        listener.close()


async def _serve_policies(
    settings: Settings,
    found: Beforehand,
    loader: PolicyLoader,
    backend: TritonBackend,
    listener: socket.socket,
    stop: asyncio.Event,
    started: float,
) -> None:
    """Until `stop`: the routes of the robots, those of the admin, and whoever looks on."""
    policy_set, keys = found.policy_set, found.keys
    router = Router(_slots(policy_set, loader, settings), settings.split if len(policy_set.slots) > 1 else 100)
    instance = Instance(time.monotonic)
    metrics = Metrics(policy_set.slots, settings.robot_id, found.device.mode)
    if keys is not None:
        keys.watch()
    watching = observers_at_work(settings, router, policy_set.shadow, loader, instance, metrics)
    sessions_working = sessions_at_work(settings, found.keyset_file, loader.start_task)
    watching_together = closing_together(watching, tracing_at_work(settings))
    async with sessions_working as sessions, watching_together as (observers, tracing):
        service = ActService(
            router, instance, metrics, ResentAnswers(time.monotonic), loader.workers, settings.robot_id,
            observers=observers.all, keys=keys, sessions=sessions, tracing=tracing, rtc=_rtc(settings),
            adaptive=_adaptive(settings), tells_velocity_change=settings.tell_velocity_change,
            injected_latency_s=settings.inject_latency_ms / 1000.0, corrector=_corrector(settings, found),
            prefixes=_prefixes(settings), device=found.device,
        )  # fmt: skip

        def note_policy(slot: SlotName, policy: ServedPolicy) -> None:
            metrics.replace_policy(slot, policy)
            observers.note_policy(slot, policy)

        rollout = Rollout(
            router, loader, found.repository, note_policy, admits=functools.partial(_admit, settings),
            variants_of=functools.partial(needed_variants, settings),
        )  # fmt: skip
        shadow = policy_set.shadow.config if policy_set.shadow else None
        announcement = Announcement(router, settings, shadow, url_of(listener), backend.address, sessions, found.device)

        def note_device() -> None:
            for name, slot in router.slots.items():
                metrics.replace_policy(name, slot.loaded.policy)

        found.device.on_change = note_device
        async with admin_routes(settings, router, rollout, observers):
            announcing = loader.start_task(_announce(announcement, started))
            await _run_http(settings, service, backend, listener, stop)
            announcing.cancel()
    if keys is not None:
        await asyncio.to_thread(keys.close)


def _rtc(settings: Settings) -> RealTimeChunking | None:
    if not settings.rtc:
        return None
    return RealTimeChunking(
        time.monotonic, settings.rtc_schedule, settings.rtc_execution_horizon, settings.rtc_max_guidance
    )


def _corrector(settings: Settings, found: Beforehand) -> Corrector | None:
    head = found.correction_head
    if head is None:
        return None
    if not head.is_trained:
        log.warning("--a2c2-checkpoint corrects nothing: the head is not trained, or made no error smaller")
    return Corrector(head, settings.a2c2_max_correction / 100.0)


def _adaptive(settings: Settings) -> AdaptiveSteps | None:
    return AdaptiveSteps(time.monotonic, settings.adaptive_tolerance) if settings.adaptive_steps else None


def _prefixes(settings: Settings) -> PrefixCache | None:
    return None if settings.prefix_cache_mb is None else PrefixCache(time.monotonic, int(settings.prefix_cache_mb * MB))


def _also(settings: Settings) -> list[str]:
    """Outputs that something here reads besides the actions."""
    read = {
        "actions_normalized": settings.rtc,
        "velocity_change": settings.adaptive_steps or settings.tell_velocity_change,
    }
    return [name for name, is_read in read.items() if is_read]


def _admit(settings: Settings, policy: ServedPolicy) -> None:
    """`SetupError` for a policy without what this server promises its robots."""
    if settings.rtc:
        require_continuable(policy)
    if settings.prefix_cache_mb is not None:
        require_prefix(policy, settings.prefix_cache_mb)
    if settings.tell_velocity_change:
        require_velocity_change(policy.config, "--tell-velocity-change")


def _slots(policy_set: PolicySet, loader: PolicyLoader, settings: Settings) -> dict[SlotName, Slot]:
    slots: dict[SlotName, Slot] = {}
    for name, policy in policy_set.slots.items():
        loaded = loader.serve(policy)
        slots[name] = Slot(
            name,
            loaded,
            tuple(loader.serve(variant, admission=loaded.admission) for variant in policy_set.variants[name]),
            _slo_monitor(settings, name),
            settings.slo_mode,
        )
    return slots


def _slo_monitor(settings: Settings, slot: SlotName) -> SloMonitor | None:
    if settings.slo is None:
        return None
    return SloMonitor(settings.slo, time.monotonic, name=slot, mode=settings.slo_mode, window_s=settings.slo_window_s)


async def _run_http(
    settings: Settings, service: ActService, backend: TritonBackend, listener: socket.socket, stop: asyncio.Event
) -> None:
    hosts = allowed_hosts(settings.host, settings.allowed_hosts)
    door = StreamDoor(service, streams_of(service, openpi_root=settings.openpi_root), hosts, settings.cors_origins)
    app = front_door(build_app(Server(service, settings, backend.restarts)), ActEndpoint(service), hosts, door)
    router = service.router
    act_headers = functools.partial(router.headers, None)
    refusal = QuickRefusal(lambda: router.is_full, router.refusal, time.monotonic, act_headers)
    limits = Limits(
        settings.receive_timeout_s, refusal, service.metrics.count_answer, act_headers,
        is_draining=lambda: service.instance.is_draining, streams=frozenset(map(str.encode, door.streams)),
    )  # fmt: skip
    protocol = bounded_protocol(BoundedProtocol, limits)
    websocket = bounded_websocket(Bounds(settings.receive_timeout_s, service.bodies))
    config = uvicorn.Config(
        app, http=protocol, ws=websocket, lifespan="off", log_config=None, access_log=False,
        server_header=False, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=1, backlog=BACKLOG,
        proxy_headers=False,
    )  # fmt: skip
    server = QuietServer(config)
    _spare_what_stays()
    http = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((http, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await _drain(service.instance, server.server_state.connections)
    server.should_exit = True
    await http


def _spare_what_stays() -> None:
    """Keep the garbage collector from what lives as long as the server: looking at all of it stops everybody.

    For 50 ms, every 2,500 requests; the requests' own objects are few (tests/chaos/test_overload.py: the slowest 1 %).
    """
    gc.collect()
    gc.freeze()


async def _drain(instance: Instance, connections: Collection[object]) -> None:
    """Refuse new work with 503 draining, answer what has begun, let clients move on; nothing of it for ever.

    What counts is the answers to clients: a Triton that hangs would hold its calls for long. Streams end themselves and
    are waited for, so that a busy server cuts none of them off from an answer.
    """
    instance.is_draining = True
    move_on_until = instance.now() + MOVE_ON_S
    log.info("draining", extra={"answering": instance.answering})
    try:
        async with asyncio.timeout(DRAIN_S):
            # An event instead of the sleep would cost every request.
            while instance.is_busy or (connections and instance.now() < move_on_until):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        log.warning("gave up on unanswered requests", extra={"answering": instance.answering})


async def _announce(announcement: Announcement, started: float) -> None:
    await announcement.wait()
    announcement.say(time.monotonic() - started)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` returns; None, with `work` cancelled, once `stop` is set."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    return None


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: the server is to outlive its terminal
        loop.add_signal_handler(signal.SIGHUP, stop.set)
    return stop
