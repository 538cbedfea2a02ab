"""`ActionStream` for threads: a thin driver of `StreamCourse`, with one thread that reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed

from reflex.client.acting import continuation
from reflex.client.images import ImageInput
from reflex.client.streaming.failures import closed_error
from reflex.client.streaming.frames import encode_hello, encode_observation, observed, read_frame, told
from reflex.client.streaming.links import Link, open_link
from reflex.client.streaming.stream import Streaming, not_open
from reflex.errors import ServiceError, TransportError

__all__ = ["ActionStream"]


class ActionStream(Streaming):
    __doc__ = Streaming.__doc__

    _link: Link | None = None
    _reader: threading.Thread | None = None

    def open(self) -> None:
        """Connect, and wait until the server is ready.

        Tries again for `connect_retry_seconds` while the connection is refused, or with 403, 404, 408, 425, 429 or 5xx;
        then, and at once for everything else, raises `StreamKeyError` (401, 403), `StreamUrlError` (404),
        `StreamRateError` (429), another `ServiceError`, or `TransportError`. `SetupError` when the server has another
        model or robot than this stream was made for.
        """
        with self._sending:
            if self._link is None:
                self._connect(is_first=True)

    def close(self) -> None:
        """Say good-bye. Who waits in `recv_action` gets a `TransportError`."""
        with self._sending:
            link, self._link = self._link, None
            if link is not None:
                self._lose(TransportError("the stream was closed"))
                link.connection.close()
                self._join()

    def send_observation(
        self,
        *,
        state: Iterable[float],
        images: Mapping[str, ImageInput] | ImageInput | None = None,
        executed_steps: int | None = None,
        inference_delay_steps: int | None = None,
        prev_actions: Iterable[Iterable[float]] | None = None,
        instruction: str | None = None,
    ) -> int:
        """Send what the robot sees, without waiting for the answer; returns the `seq` that the answer will have.

        The arguments are as in `ReflexClient.act`, `instruction` in place of the stream's prompt; one image is that of
        the policy's first camera. When the connection was lost, another one is opened first, within the observation's
        deadline.

        Raises `TransportError` when the server cannot be reached, `InvalidRequestError` for what could never be served.
        """
        known = continuation(executed_steps, inference_delay_steps, prev_actions)
        fields = observed(state, images, self._options.cameras) | known | told(instruction)
        with self._sending:
            link = self._open_link()
            with self._changed:
                seq = self._course.begin()
            try:
                self._renew(link)
                link.connection.send(encode_observation(seq, fields))
            except ConnectionClosed as exc:
                raise self._lose(closed_error(exc)) from exc
            except ServiceError:
                self._course.withdraw(seq)
                raise
        return seq

    def recv_action(self, timeout: float | None = None) -> dict[str, Any]:
        """The next chunk: the fields of `/act`'s answer with `actions` as float32 [num_actions, action_dim], `seq`,
        `age_ms` (since its observation was sent) and `round_trip_ms`.

        Raises `RecvTimeoutError` after `timeout` seconds (by default the stream's) without one, `TransportError` when
        the connection is gone, and the server's `ServiceError` for an observation that it refused.
        """
        timeout_s = self._options.timeout_s if timeout is None else timeout
        ends_s = time.monotonic() + timeout_s
        with self._changed:
            if self._link is None and self._course.broken is None:
                raise not_open()
            while (chunk := self._course.take()) is None:
                left_s = ends_s - time.monotonic()
                if left_s <= 0:
                    raise self._course.timed_out(timeout_s)
                self._changed.wait(min(left_s, max(0.0, self._course.wakes_at() - time.monotonic())))
        return self._adapted(chunk)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _set_up(self) -> None:
        self._sending = threading.RLock()
        self._changed = threading.Condition()

    def _open_link(self) -> Link:
        """The connection, or a new one where it was lost."""
        if self._link is None:
            raise not_open()
        if self._course.broken is not None:
            self._link.drop()
            self._join()
            self._connect(is_first=False)
        return self._link

    def _renew(self, link: Link) -> None:
        renewal = self._options.renewal(link.key)
        if renewal is not None:
            link.connection.send(encode_hello(renewal))
            link.key = renewal["api_key"]

    def _connect(self, *, is_first: bool) -> None:
        plan = self._plan(is_first=is_first)
        while True:
            try:
                link = open_link(self._options, plan.attempt_s())
                break
            except (ServiceError, TransportError) as exc:
                time.sleep(plan.on_refused(exc))
        with self._changed:
            self._course.on_opened(link.ready, link.open_timing)
        self._link = link
        self._reader = threading.Thread(target=self._read, args=(link,), name="reflex-stream", daemon=True)
        self._reader.start()

    def _read(self, link: Link) -> None:
        """Until the connection ends: what comes is taken at once, so that the server never waits for a slow program."""
        while self._course.broken is None:
            try:
                data = link.connection.recv(max(0.0, self._course.wakes_at() - time.monotonic()))
            except TimeoutError:
                data = None
            except ConnectionClosed as exc:
                self._lose(closed_error(exc))
                return
            self._take_in(link, data)
        link.drop()

    def _take_in(self, link: Link, data: bytes | str | None) -> None:
        try:
            frame = None if data is None else read_frame(data)
        except TransportError as exc:
            self._lose(exc)
            return
        with self._changed:
            if frame is not None:
                self._course.on_frame(frame)
            is_ping_due = self._course.tick()
            self._changed.notify_all()
        if is_ping_due:
            self._ping(link)

    def _ping(self, link: Link) -> None:
        try:
            self._course.pinged(link.connection.ping().is_set)
        except ConnectionClosed as exc:
            self._lose(closed_error(exc))

    def _lose(self, error: TransportError) -> TransportError:
        with self._changed:
            self._course.on_closed(error)
            self._changed.notify_all()
        return error

    def _join(self) -> None:
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join()
