"""The admin routes as a running server: bound to loopback, its token in a file for this user alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator
from typing import Final

import uvicorn

from reflex.admin import DEFAULT_PORT, forget_admin, publish_admin
from reflex.errors import SetupError
from reflex.serving.bounded_reads import bounded_protocol
from reflex.serving.quiet_server import QuietServer
from reflex_frontend.exchange.routing import Router
from reflex_frontend.http.limits import Limits
from reflex_frontend.http.protocol import BoundedProtocol
from reflex_frontend.observing.observers import Observers
from reflex_frontend.rollout.admin import Admin, build_admin
from reflex_frontend.rollout.rollout import Rollout
from reflex_frontend.settings import Settings

__all__ = ["admin_routes", "wanted_admin_port"]

TOKEN_BYTES = 32
REQUEST_WITHIN_S = 2.0
"""From the connection to the last byte: who has the token is on this machine, and asks at once."""
MAX_CONNECTIONS = 512
"""Beyond, they are 503 at once. Every program on this machine can connect, and only wait until it is cut off."""
NOBODY: Final = Observers(recording=None, shadow=None)

log = logging.getLogger("reflex.admin")


def wanted_admin_port(settings: Settings) -> int | None:
    """The port to listen on; None without admin routes."""
    if settings.admin_port is not None:
        return settings.admin_port
    return DEFAULT_PORT if settings.policy_a is not None else None


@contextlib.asynccontextmanager
async def admin_routes(
    settings: Settings, router: Router, rollout: Rollout, observers: Observers = NOBODY
) -> AsyncIterator[None]:
    """Serves them inside the block, if they are wanted; `SetupError` when the port is taken."""
    wanted = wanted_admin_port(settings)
    if wanted is None:
        yield
        return
    listener = _listen(wanted)
    port: int = listener.getsockname()[1]
    given = settings.admin_token
    token = given.get_secret_value() if given else secrets.token_urlsafe(TOKEN_BYTES)
    server = _server(Admin(router, rollout, token, observers.note_split, observers.shadow_policy))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        publish_admin(port, token)
        log.info("admin routes on http://127.0.0.1:%d; reflex slots, split and replace use them", port)
        yield
    finally:
        forget_admin(port)
        server.should_exit = True
        await task
        listener.close()


def _server(admin: Admin) -> QuietServer:
    limits = Limits(REQUEST_WITHIN_S, refusal=lambda: None, count_answer=lambda _status: None)
    config = uvicorn.Config(
        build_admin(admin), http=bounded_protocol(BoundedProtocol, limits), ws="none", lifespan="off", log_config=None,
        access_log=False, server_header=False, timeout_graceful_shutdown=1, limit_concurrency=MAX_CONNECTIONS,
        proxy_headers=False,
    )  # fmt: skip
    return QuietServer(config)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as exc:
        listener.close()
        raise SetupError(
            f"the admin routes cannot listen on 127.0.0.1:{port} ({exc.strerror}); "
            "choose another --admin-port, 0 for any"
        ) from exc
    listener.listen()
    return listener
