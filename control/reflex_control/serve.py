"""`reflex control serve`: the store opened, the API served, stopped without losing what was acknowledged."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop

from reflex.errors import SetupError
from reflex.file_lock import file_lock
from reflex.serving.bounded_connection import Bounds
from reflex.serving.bounded_reads import bounded_protocol
from reflex.serving.descriptors import raise_descriptor_limit
from reflex.serving.hosts import allowed_hosts
from reflex.serving.listener import BACKLOG, listen, url_from_here, url_of
from reflex.serving.logs import set_up_logs
from reflex.serving.memory import share_memory
from reflex.serving.quiet_server import QuietServer
from reflex.signed.moments import iso_of
from reflex_control.dashboard.site import add_dashboard
from reflex_control.feed import News, news_of
from reflex_control.first_start import FirstKey, begin, has_begun
from reflex_control.forgetting import forget_old_answers, forget_old_events, forget_old_logins, try_to_write
from reflex_control.http.app import build_app
from reflex_control.http.callers import Callers, new_public_limits
from reflex_control.http.front_door import front_door
from reflex_control.http.metrics import Metrics
from reflex_control.http.reading import RECEIVE_S
from reflex_control.http.timed_protocol import TimedProtocol
from reflex_control.moments import now_ms
from reflex_control.plane import Plane
from reflex_control.rate_limits import RateLimits
from reflex_control.rotating import rotate
from reflex_control.sessions.beating import sweep_all
from reflex_control.settings import Settings, unknown_variables
from reflex_control.store.backup import back_up, back_up_into, restore, restore_sent, send_backup
from reflex_control.store.database import Database
from reflex_control.store.failures import STORE_ERRORS, store_problem
from reflex_control.store.migrating import open_store, require_current
from reflex_control.training.queue import sweep_runs

__all__ = [
    "backup_store",
    "init_store",
    "make_first_key",
    "migrate_store",
    "restore_store",
    "rotate_key",
    "serve",
]

DRAIN_S: Final = 8
"""So long requests that have begun are waited for."""
SWEEP_EVERY_S: Final = 1.0
STREAM: Final = Path("-")
"""Standard output, or input, in the place of a file."""
LOCK_ADVICE: Final = "stop it, or name another folder with --data"

Sweeper = Callable[[Plane], None]
SWEEPERS: Final[Sequence[Sweeper]] = (
    sweep_all, sweep_runs, forget_old_events, forget_old_answers, forget_old_logins, try_to_write,
)  # fmt: skip
"""What is looked after every second, each in a thread."""

log = logging.getLogger("reflex.control")


def serve(overrides: Mapping[str, Any], hand_out: Callable[[FirstKey], None]) -> int:
    """Serve until Ctrl-C, SIGTERM or SIGHUP; returns the exit code. `hand_out` prints the first key, once.

    Raises `SetupError` when something must be put right first.
    """
    settings = Settings.load(overrides)
    set_up_logs(as_json=settings.json_logs)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    raise_descriptor_limit()
    share_memory()
    for sentence in unknown_variables():
        log.warning("%s", sentence)
    for name in sorted(settings.model_fields_set):
        log.debug("%s is %s", name, getattr(settings, name))
    hosts = allowed_hosts(settings.host, settings.allowed_hosts)
    with _store_of(settings) as database, closing(listen(settings.host, settings.port)) as listener:
        began_ms = now_ms()
        plane = Plane(database, deaf_until=lambda: max(began_ms, database.failed_at_ms))
        metrics = Metrics()
        if settings.first_key:
            begin(plane, lambda key: hand_out(FirstKey(key, url_from_here(*listener.getsockname()[:2]))))
        elif not has_begun(plane):
            log.warning("nobody has a key yet; make the first one: reflex control init")
        callers = Callers(new_public_limits(settings.public_rate_limit), settings.trusted_proxies, settings.public_url)
        limits = RateLimits(settings.rate_limit)
        built = build_app(plane, limits, metrics, callers=callers)
        add_dashboard(built, plane, limits, callers)
        app = front_door(built, hosts, metrics)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(app, plane, listener))
    log.info("stopped")
    return 0


def init_store(overrides: Mapping[str, Any], hand_out: Callable[[FirstKey], None]) -> None:
    """Make the store and its first key, beside a server of it or without; `SetupError` where there is one already."""
    settings = Settings.load(overrides)
    url = url_from_here(settings.host, settings.port)
    if not make_first_key(overrides, lambda key: hand_out(FirstKey(key, url))):
        raise SetupError("this store has its first key already; make others with: reflex keys create")


def make_first_key(overrides: Mapping[str, Any], hand_out: Callable[[str], None]) -> bool:
    """As `init_store`, with nothing but the key handed out; False where there is one already."""
    settings = Settings.load(overrides)
    if settings.db is None:
        settings.make_data_folder()
    with closing(open_store(settings.store_url)) as database:
        return begin(Plane(database), hand_out)


def migrate_store(overrides: Mapping[str, Any]) -> None:
    """Bring an older store up to date."""
    with _store_of(Settings.load(overrides), migrating=True):
        pass


def backup_store(overrides: Mapping[str, Any], target: Path, keep: int | None = None) -> Path:
    """Copy the SQLite store, while it is in use: to stdout for `-`, with `keep` into a folder. Returns where to."""
    store = _sqlite_of(Settings.load(overrides))
    if keep is not None:
        return back_up_into(store, target, keep, now_ms())
    if target == STREAM:
        send_backup(store, sys.stdout.buffer)
    else:
        back_up(store, target)
    return target


def restore_store(overrides: Mapping[str, Any], backup: Path) -> None:
    """Put a copy, of stdin for `-`, in the store's place; `LockHeldError` while a server has it."""
    settings = Settings.load(overrides)
    store = _sqlite_of(settings)
    with _alone(settings):
        if backup == STREAM:
            restore_sent(sys.stdin.buffer, store)
        else:
            restore(backup, store)


def rotate_key(overrides: Mapping[str, Any]) -> dict[str, str]:
    """Let a new key sign, also of a server that runs; its id, and until when the key before is trusted (ISO 8601)."""
    settings = Settings.load(overrides)
    if settings.db is None and not settings.store_file.exists():
        raise SetupError(f"there is no store at {settings.store_file}; name its folder with --data")
    with closing(Database(settings.store_url)) as database:
        require_current(database)
        rotated = rotate(database)
    return {"keyId": rotated.kid, "beforeTrustedUntil": iso_of(rotated.before_until_ms)}


def _sqlite_of(settings: Settings) -> Path:
    if settings.db is not None:
        raise SetupError("backup and restore are for the SQLite store; use pg_dump and pg_restore for PostgreSQL")
    return settings.store_file


@contextmanager
def _store_of(settings: Settings, *, migrating: bool = False) -> Iterator[Database]:
    with _alone(settings), closing(open_store(settings.store_url, migrating=migrating)) as database:
        yield database


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """A SQLite store has one server: what it holds in memory would go stale beside another."""
    if settings.db is not None:
        yield
        return
    settings.make_data_folder()
    with file_lock(settings.data / "control.lock", "another reflex control", advice=LOCK_ADVICE):
        yield


async def _run(app: Any, plane: Plane, listener: socket.socket) -> None:  # noqa: ANN401 - an ASGI application
    protocol = bounded_protocol(TimedProtocol, Bounds(RECEIVE_S))
    config = uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=75, timeout_graceful_shutdown=DRAIN_S, backlog=BACKLOG, proxy_headers=False,
    )  # fmt: skip
    server = QuietServer(config)
    stop = _stop_on_signals()
    sweeping = asyncio.create_task(_sweep(plane))
    feeding = asyncio.create_task(plane.feed.run(_looking_into(plane)))
    http = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    log.info("ready", extra={"url": url_of(listener)})
    await asyncio.wait((http, stopping), return_when=asyncio.FIRST_COMPLETED)
    log.info("draining")
    plane.feed.end()
    server.should_exit = True
    await http
    for task in (stopping, sweeping, feeding):
        task.cancel()


def _looking_into(plane: Plane) -> Callable[[Mapping[str, int], frozenset[str]], News]:
    def look(places: Mapping[str, int], keys: frozenset[str]) -> News:
        with plane.reading() as connection:
            return news_of(connection, places, keys, plane.clock())

    return look


async def _sweep(plane: Plane) -> None:
    while SWEEPERS:
        for sweeper in SWEEPERS:
            try:
                await asyncio.to_thread(sweeper, plane)
            except STORE_ERRORS as exc:
                log.error("nothing is looked after: the store fails", extra={"problem": store_problem(exc)})
            except Exception:
                log.exception("what is looked after every second failed")
        await asyncio.sleep(SWEEP_EVERY_S)


def _stop_on_signals() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: the server is to outlive its terminal
        loop.add_signal_handler(signal.SIGHUP, stop.set)
    return stop
