"""`reflex serve`: Triton, the policy and the frontend put together, started, watched and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import uvicorn
import uvloop

from reflex.errors import SetupError
from reflex.guard import ActionGuard
from reflex_frontend.act import ActService
from reflex_frontend.admission import Admission
from reflex_frontend.app import Server, build_app, bypass_for_act
from reflex_frontend.backend import TritonBackend
from reflex_frontend.breaker import Breaker
from reflex_frontend.endpoint import ActEndpoint
from reflex_frontend.inference import ModelRunner
from reflex_frontend.logs import set_up_logs
from reflex_frontend.metrics import Metrics
from reflex_frontend.observation import NoiseSource
from reflex_frontend.policy import ServedPolicy, find_repository, load_policy
from reflex_frontend.protocol import Limits, bounded_protocol
from reflex_frontend.refusal import QuickRefusal
from reflex_frontend.resent import ResentAnswers
from reflex_frontend.settings import Settings
from reflex_frontend.vitals import Vitals
from reflex_frontend.watch import Watch

__all__ = ["serve"]

DECODE_THREADS: Final = 2
WORKERS_START_S: Final = 10.0
KEEP_ALIVE_S: Final = 75
"""A robot that executes a whole chunk asks every few seconds; its connection should still be there."""
DRAIN_S: Final = 6.0
"""With what follows (closing connections 1 s, Triton 2 s) the process ends within 10 s of SIGTERM."""
BACKLOG: Final = 1024

log = logging.getLogger("reflex.serve")


def serve(overrides: Mapping[str, Any]) -> int:
    """Serve until Ctrl-C or SIGTERM. `overrides` are the options given on the command line. Returns the exit code.

    Raises `SetupError` when something must be put right first.
    """
    settings = Settings.load(overrides)
    set_up_logs(as_json=settings.json_logs)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    started = time.monotonic()
    repository = find_repository(settings.model_repository)
    policy = load_policy(repository, settings.policy)
    listener = _listen(settings.host, settings.port)
    where = _url(listener)
    vitals = Vitals(time.monotonic, Breaker(time.monotonic))
    backend = TritonBackend(settings, repository, policy.config, vitals)
    stop = _stop_on_signals()
    try:
        await backend.start()
        service = _build_service(settings, policy, backend, vitals)
        watch = Watch(backend.gateway, service.runner, vitals, policy.canary, on_hang=backend.restart_if_hung)
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(watch.run()),
                tasks.create_task(_announce(vitals, backend, policy, where, started)),
            ]
            await _run_http(settings, service, backend, listener, stop)
            for task in running:
                task.cancel()
    finally:
        await backend.stop()
        listener.close()
    log.info("stopped")
    return 0


def _build_service(settings: Settings, policy: ServedPolicy, backend: TritonBackend, vitals: Vitals) -> ActService:
    max_queue = policy.max_in_flight if settings.max_queue is None else settings.max_queue
    admission = Admission(policy.config.policy_id, policy.max_in_flight, max_queue, time.monotonic)
    return ActService(
        policy=policy,
        guard=ActionGuard(policy.embodiment) if settings.guard else None,
        admission=admission,
        runner=ModelRunner(policy, backend.gateway, admission, vitals, on_dead_model=backend.restart_dead_model),
        vitals=vitals,
        metrics=Metrics(policy, settings.robot_id),
        resent=ResentAnswers(time.monotonic),
        noise=NoiseSource(),
        robot_id=settings.robot_id,
        workers=_decode_workers(),
        now=time.monotonic,
    )


async def _run_http(
    settings: Settings, service: ActService, backend: TritonBackend, listener: socket.socket, stop: asyncio.Event
) -> None:
    app = bypass_for_act(build_app(Server(service, settings, backend.restarts)), ActEndpoint(service))
    refusal = QuickRefusal(lambda: service.admission.is_full, service.admission.refusal, time.monotonic)
    protocol = bounded_protocol(Limits(settings.receive_timeout_s, refusal, service.metrics.count_answer))
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=1, backlog=BACKLOG, proxy_headers=False,
    )  # fmt: skip
    server = _QuietServer(config)
    http = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((http, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await _drain(service)
    server.should_exit = True
    await http


def _decode_workers() -> ThreadPoolExecutor:
    """All of its threads from the start, so that a server's threads are counted once and stay as many."""
    workers = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="decode")
    everyone_is_here = threading.Barrier(DECODE_THREADS)
    for _ in range(DECODE_THREADS):
        workers.submit(everyone_is_here.wait, WORKERS_START_S)
    return workers


async def _drain(service: ActService) -> None:
    """Refuse new work with 503 draining, answer what has begun, but not for ever.

    What counts is the answers to clients: a Triton that hangs would hold its calls for long.
    """
    vitals = service.vitals
    vitals.is_draining = True
    log.info("draining", extra={"answering": vitals.answering})
    try:
        async with asyncio.timeout(DRAIN_S):
            while vitals.answering:  # noqa: ASYNC110 - an event per request would cost every request
                await asyncio.sleep(0.01)
    except TimeoutError:
        log.warning("gave up on unanswered requests", extra={"answering": vitals.answering})


async def _announce(vitals: Vitals, backend: TritonBackend, policy: ServedPolicy, where: str, started: float) -> None:
    """What a person sees: what is being waited for, then one line that says it is ready and where."""
    said = None
    while vitals.warming_reason is not None:
        if vitals.warming_reason != said:
            said = vitals.warming_reason
            log.info("warming: %s", said)
        await asyncio.sleep(0.05)
    trained = "" if policy.config.trained else " (untrained: for trying the request path, not for a robot)"
    log.info(
        "ready: POST %s/act serves %s%s on Triton at %s after %.1f s; Ctrl-C stops",
        where, policy.config.model_version, trained, backend.address, time.monotonic() - started,
    )  # fmt: skip


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise SetupError(
            f"cannot listen on {host}:{port} ({exc.strerror}); choose another --port, or stop what uses it "
            f"(ss -ltnp 'sport = :{port}' shows it)"
        ) from exc
    listener.listen(BACKLOG)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: `_serve` drains first."""

    def capture_signals(self) -> Any:  # noqa: ANN401 - uvicorn's own context manager type
        return contextlib.nullcontext()
