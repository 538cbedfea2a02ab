"""What the control plane says while robots are answered: which sessions ended, and by which keys it signs.

It is never asked on a request's account but for a key that nobody knows yet. While it is away, credentials live on to
their own end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import httpx

import reflex
from reflex.control.event_lines import Event, EventLines
from reflex.errors import SetupError, TransportError
from reflex.signed.signing import Keyset
from reflex_frontend.callers.ended import KEPT_S, EndedSessions

__all__ = ["ControlPlane"]

KEYSET_EVERY_S: Final = 60.0
RENEW_EVERY_S: Final = 1.0
"""Whoever makes up key ids has the keyset fetched no more often."""
FETCH_S: Final = 1.0
CONNECT_S: Final = 5.0
SILENT_S: Final = 30.0
"""The control plane sends at least a comment every 10 s: a stream without is dead, whatever the network says."""
FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 10.0
MAX_KEYSET_BYTES: Final = 256 * 1024
CATCH_UP_S: Final = 5.0
"""So long after its start a server that does not hear the control plane lets nobody in who has a credential."""
EVENTS: Final = f"/v1/events?kind=session&recentSeconds={KEPT_S:.0f}"
"""A server that starts hears first what ended as lately as it remembers ends."""
OVER: Final = frozenset({"closed", "expired"})

log = logging.getLogger("reflex.sessions")


class ControlPlane:
    """The one at `url`, asked with this server's own key; `now` is a monotonic clock in seconds. Cancel `run` to stop.

    `before` is the keyset that counts until one has come from it.
    """

    def __init__(
        self,
        url: str,
        key: str,
        ended: EndedSessions,
        now: Callable[[], float],
        *,
        before: Callable[[], Keyset | None] = lambda: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._url = url
        self._ended = ended
        self._now = now
        self._before = before
        self._jitter = jitter
        self._key = key
        self._fetched: Keyset | None = None
        self._fetching = asyncio.Lock()
        self._fetched_at = -RENEW_EVERY_S
        self._problem: str | None = "has not been reached yet"
        self._keyset_problem: str | None = None
        self._was_told = False
        self._last_id: str | None = None
        self._has_caught_up = False
        self._began_at = now()
        self.organisation_id: str | None = None
        """That of this server's own key, by which the control plane knows it."""
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"User-Agent": f"reflex-act/{reflex.__version__}", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(CONNECT_S, read=SILENT_S),
            trust_env=False,
            verify=httpx.create_ssl_context() if url.startswith("https") else False,
        )

    @property
    def keyset(self) -> Keyset | None:
        """As it was fetched last."""
        return self._before() if self._fetched is None else self._fetched

    @property
    def stale(self) -> str | None:
        """Why ends of sessions are not heard of; None while they are."""
        problem = self._problem or self._keyset_problem
        if problem is None:
            return None
        return f"the control plane {problem}; sessions that end there are answered until their credentials expire"

    @property
    def is_catching_up(self) -> bool:
        """What ended before this server listened has not been told yet."""
        return not self._has_caught_up and self._now() - self._began_at < CATCH_UP_S

    async def run(self) -> None:
        """Listen, and keep the keyset, for ever."""
        async with self._client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_keyset())
            tasks.create_task(self._keep_listening())

    async def renew(self) -> None:
        """Fetch the keyset, unless that was just done."""
        async with self._fetching:
            if self._now() - self._fetched_at >= RENEW_EVERY_S:
                await self._fetch()

    async def _keep_keyset(self) -> None:
        failed = 0
        while True:
            async with self._fetching:
                await self._fetch()
            failed = 0 if self._keyset_problem is None else failed + 1
            await asyncio.sleep(self._wait_s(failed) if failed else KEYSET_EVERY_S)

    async def _fetch(self) -> None:
        """Keeps what was fetched before, when it cannot be fetched again."""
        try:
            self._keyset_problem = await self._fetch_problem()
        except Exception:
            log.exception("the control plane's keyset could not be read")
            self._keyset_problem = "answers with a keyset that cannot be read"
        finally:
            self._fetched_at = self._now()

    async def _fetch_problem(self) -> str | None:
        try:
            async with asyncio.timeout(FETCH_S), self._opened("/v1/keyset", {}) as pieces:
                content = b""
                async for piece in pieces:
                    content += piece
                    if len(content) > MAX_KEYSET_BYTES:
                        raise TransportError("answers with no keyset, but something longer")
            keyset = Keyset.from_json(content)
        except SetupError as exc:
            return f"answers with no keyset ({exc})"
        except TimeoutError:
            return "does not answer"
        except TransportError as exc:
            return str(exc)
        if keyset != self._fetched:
            self._fetched = keyset
            log.info("session keys fetched", extra={"keys": len(keyset.keys)})
        return None

    async def _keep_listening(self) -> None:
        failed = 0
        while True:
            try:
                await self._listen()
                problem = "ended the stream of events"
            except TransportError as exc:
                problem = str(exc)
            except Exception:
                log.exception("the stream of the control plane's events could not be read")
                problem = "sends events that cannot be read"
            failed = 1 if self._problem is None else failed + 1  # one that was heard is back soon, most likely
            self._say_lost(problem)
            await asyncio.sleep(self._wait_s(failed))

    async def _listen(self) -> None:
        lines = EventLines(self._last_id)
        resume = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "text/event-stream", **resume}
        async with self._opened(EVENTS, headers) as pieces:
            self._say_heard()
            if self._keyset_problem is not None:
                await self.renew()
            async for piece in pieces:
                try:
                    events = lines.feed(piece)
                except ValueError as exc:
                    raise TransportError(f"sends events that cannot be read ({exc})") from None
                for event in events:
                    self._take(event)
                self._last_id = lines.last_id

    @contextlib.asynccontextmanager
    async def _opened(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of a 200; every way in which there are none becomes `TransportError`."""
        try:
            async with self._client.stream("GET", path, headers=headers) as response:
                if response.status_code != httpx.codes.OK:
                    raise TransportError(_refusal(response.status_code, path))
                yield response.aiter_raw()
        except (httpx.HTTPError, OSError) as exc:
            raise TransportError(f"cannot be reached ({_in_words(exc)})") from exc

    def _take(self, event: Event) -> None:
        try:
            if event.kind == "session":
                self._take_session(json.loads(event.data))
            elif event.kind == "caught_up":
                self._take_place(json.loads(event.data))
        except (ValueError, TypeError, KeyError, RecursionError):
            log.warning("the control plane sent an event that cannot be read, and is ignored")

    def _take_session(self, told: Mapping[str, object]) -> None:
        session_id, status = told["sessionId"], told["status"]
        if status in OVER and isinstance(session_id, str):
            self._ended.note(session_id)

    def _take_place(self, told: Mapping[str, object]) -> None:
        organisation_id = told["organisationId"]
        if not isinstance(organisation_id, str):
            raise TypeError("no organisation")
        self.organisation_id, self._has_caught_up = organisation_id, True

    def _wait_s(self, failed: int) -> float:
        """Twice as long after each failure; half of it by chance, so that servers do not come back all at once."""
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failed, 16))
        return longest * (0.5 + 0.5 * self._jitter())

    def _say_heard(self) -> None:
        if self._problem is not None and self._was_told:
            log.warning("the control plane at %s is heard again", self._url)
        self._problem = None

    def _say_lost(self, problem: str) -> None:
        if problem != self._problem:
            log.error(
                "the control plane at %s %s; until it is heard again, sessions that end there are answered until their "
                "credentials expire",
                self._url,
                problem,
            )
            self._was_told = True
        self._problem = problem


def _refusal(status: int, path: str) -> str:
    path, _, _ = path.partition("?")
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return "refuses the key of this server; set REFLEX_CONTROL_KEY to one with the scope read"
    return f"answers {status} to {path}"


def _in_words(error: BaseException) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it does not answer in time"
    return str(error) or type(error).__name__
