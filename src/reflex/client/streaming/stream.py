"""What both kinds of `ActionStream` have in common: what they are told, what they show, what they make of a chunk."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any

from reflex.client.http import ApiKey
from reflex.client.streaming.course import StreamCounts, StreamCourse
from reflex.client.streaming.errors import OpenTiming
from reflex.client.streaming.opening import OpenPlan
from reflex.client.streaming.options import ActionAdapter, stream_options
from reflex.errors import SetupError
from reflex.wire.stream import ReadyFrame

__all__ = ["Streaming"]


class Streaming:
    """One stream to one server.

    | argument | meaning |
    |---|---|
    | `prompt` | the instruction of every observation |
    | `url` | the server, `http://localhost:8000` by default |
    | `api_key` | for a server that asks for one; or a function that gives the one that holds now |
    | `model`, `robot` | the policy (with or without its `@version`) and the embodiment that must be served there |
    | `cameras` | the cameras that every observation has: names, or a dict from your names to the policy's |
    | `hz` | the rate at which you execute actions; the policy's own, or the stream is not opened |
    | `chunk_size` | how many actions of each chunk to hand out |
    | `action_adapter` | what the `actions` of each chunk (float32 [num_actions, action_dim]) are passed through |
    | `session_id` | the episode; a new one by default. The same one again goes on with what the server carries over |
    | `timeout` | how long `recv_action` waits, in seconds |
    | `connect_retry_seconds` | how long `open` tries; by default `REFLEX_CONNECT_RETRY_SECONDS`, or 90 |
    | `deadline_s` | how old an observation may be when its chunk is delivered; no chunk is delivered later |
    | `headers`, `ssl_context` | further headers of the handshake, and your own certificates |
    """

    def __init__(
        self,
        *,
        prompt: str,
        url: str | None = None,
        api_key: ApiKey | None = None,
        model: str | None = None,
        robot: str | None = None,
        action_adapter: ActionAdapter | None = None,
        cameras: Sequence[str] | Mapping[str, str] | None = None,
        hz: float | None = None,
        chunk_size: int | None = None,
        session_id: str = "",
        timeout: float = 30.0,
        connect_retry_seconds: float | None = None,
        deadline_s: float = 1.0,
        headers: Mapping[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._options = stream_options(
            prompt=prompt, url=url, api_key=api_key, model=model, robot=robot, action_adapter=action_adapter,
            cameras=cameras, hz=hz, chunk_size=chunk_size, session_id=session_id, timeout=timeout,
            connect_retry_seconds=connect_retry_seconds, deadline_s=deadline_s, headers=headers,
            ssl_context=ssl_context,
        )  # fmt: skip
        self._course = StreamCourse(self._options.deadline_s, time.monotonic)
        self._set_up()

    def _set_up(self) -> None:
        """What a driver needs besides."""

    @property
    def session_id(self) -> str:
        """The episode of this stream, by which another one can go on with it."""
        return self._options.episode_id

    @property
    def open_timing(self) -> OpenTiming:
        """Where the time of the last opening went: name, TCP, TLS, upgrade, first message."""
        return self._course.open_timing

    @property
    def ready(self) -> ReadyFrame | None:
        """What the server said of its policy when the stream was opened; None before."""
        return self._course.ready

    @property
    def counts(self) -> StreamCounts:
        """What became of the observations."""
        return self._course.counts

    def _plan(self, *, is_first: bool) -> OpenPlan:
        """Who reopens in the middle of a run must know within an observation's deadline."""
        options = self._options
        if is_first:
            return OpenPlan(options.websocket_url, options.connect_retry_s, clock=time.monotonic)
        retry_s = min(options.connect_retry_s, options.deadline_s)
        return OpenPlan(options.websocket_url, retry_s, clock=time.monotonic, attempt_s=options.deadline_s)

    def _adapted(self, chunk: dict[str, Any]) -> dict[str, Any]:
        size, adapter = self._options.chunk_size, self._options.action_adapter
        if size is not None:
            chunk["actions"] = chunk["actions"][:size]
            chunk["num_actions"] = len(chunk["actions"])
        if adapter is not None:
            chunk["actions"] = adapter(chunk["actions"])
        return chunk


def not_open() -> SetupError:
    """For who has not opened a stream, or has closed it."""
    return SetupError("the stream is not open: call open(), or use it in a `with`")
