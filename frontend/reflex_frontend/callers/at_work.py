"""The check of sessions, started and stopped with the server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from reflex_frontend.callers.ended import EndedSessions
from reflex_frontend.callers.keyset_file import KeysetFile
from reflex_frontend.callers.sessions import Sessions
from reflex_frontend.settings import Settings

if TYPE_CHECKING:
    from reflex_frontend.callers.control_plane import ControlPlane

__all__ = ["sessions_at_work"]

StartTask = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@contextlib.asynccontextmanager
async def sessions_at_work(
    settings: Settings, keyset_file: KeysetFile | None, start_task: StartTask
) -> AsyncIterator[Sessions | None]:
    """None when the settings ask for no sessions. What the control plane publishes goes before the file."""
    ended = EndedSessions(time.monotonic)
    async with contextlib.AsyncExitStack() as stack:
        if keyset_file is not None:
            keyset_file.file.watch()
            stack.push_async_callback(asyncio.to_thread, keyset_file.file.close)
        control_plane = _control_plane(settings, ended, keyset_file)
        if control_plane is not None:
            stack.callback(start_task(control_plane.run()).cancel)
        source = control_plane or keyset_file
        yield None if source is None else Sessions(source, ended)


def _control_plane(settings: Settings, ended: EndedSessions, keyset_file: KeysetFile | None) -> ControlPlane | None:
    if settings.sessions_from is None or settings.control_key is None:
        return None
    # Its HTTP client takes a twelfth of the start of a server, and most have no control plane.
    from reflex_frontend.callers.control_plane import ControlPlane

    key = settings.control_key.get_secret_value()
    before = (lambda: None) if keyset_file is None else (lambda: keyset_file.keyset)
    return ControlPlane(settings.sessions_from, key, ended, time.monotonic, before=before)
