"""What a stream is told when it is made, checked once, and whether the server that answered is the one it was for."""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

import reflex
from reflex.client.acting import new_id
from reflex.client.http import DEFAULT_URL, ROUTES, ApiKey, checked_deadline_s, checked_key, checked_url, tls_for
from reflex.errors import SetupError
from reflex.wire import AUTHORIZATION_HEADER, EPISODE_HEADER, HEADER_SAFE, MAX_DEADLINE_MS, MAX_ID_CHARACTERS
from reflex.wire.stream import STREAM_PATH, HelloFrame, ReadyFrame

__all__ = ["ActionAdapter", "StreamOptions", "check_ready", "stream_options"]

RETRY_VARIABLE: Final = "REFLEX_CONNECT_RETRY_SECONDS"
DEFAULT_RETRY_S: Final = 90.0
SECURE: Final = {"ws": "http", "wss": "https"}

ActionAdapter = Callable[[Any], Any]
"""From the `actions` of a chunk, float32 [num_actions, action_dim], to what the program wants."""


@dataclass(frozen=True)
class StreamOptions:
    """Of one stream, for all its connections."""

    url: str
    """http or https, without a path of ours."""
    api_key: ApiKey | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    ssl_context: ssl.SSLContext | None
    prompt: str
    model: str | None
    robot: str | None
    action_adapter: ActionAdapter | None
    cameras: Mapping[str, str] | None
    hz: float | None
    chunk_size: int | None
    episode_id: str
    timeout_s: float
    connect_retry_s: float
    deadline_s: float

    @property
    def websocket_url(self) -> str:
        scheme, _, rest = self.url.partition("://")
        return f"{'wss' if scheme == 'https' else 'ws'}://{rest}{STREAM_PATH}"

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def user_agent(self) -> str:
        return f"reflex-act/{reflex.__version__}"

    def tls(self) -> ssl.SSLContext | None:
        """How to speak to this server; None for plain text."""
        return self.ssl_context or tls_for(self.url)

    def key_now(self) -> str | None:
        """The key that holds now."""
        key = self.api_key() if callable(self.api_key) else self.api_key
        return None if key is None else checked_key(key)

    def handshake_headers(self, key: str | None) -> dict[str, str]:
        headers = {EPISODE_HEADER: quote(self.episode_id, safe=HEADER_SAFE)}
        if key is not None:
            headers[AUTHORIZATION_HEADER] = f"Bearer {key}"
        return headers | dict(self.headers)

    def renewal(self, shown: str | None) -> HelloFrame | None:
        """What tells a server of a key that was renewed since `shown`; None when it was not."""
        key = self.key_now() if callable(self.api_key) else shown
        return None if key is None or key == shown else {**self.hello(), "api_key": key}

    def hello(self) -> HelloFrame:
        return {
            "type": "hello",
            "episode_id": self.episode_id,
            "instruction": self.prompt,
            "deadline_ms": round(self.deadline_s * 1000.0, 3),
        }


def stream_options(
    *,
    prompt: str,
    url: str | None,
    api_key: ApiKey | None,
    model: str | None,
    robot: str | None,
    action_adapter: ActionAdapter | None,
    cameras: Sequence[str] | Mapping[str, str] | None,
    hz: float | None,
    chunk_size: int | None,
    session_id: str,
    timeout: float,
    connect_retry_seconds: float | None,
    deadline_s: float,
    headers: Mapping[str, str] | None,
    ssl_context: ssl.SSLContext | None,
) -> StreamOptions:
    """Check what the stream was given; raises `SetupError`."""
    if isinstance(api_key, str):
        checked_key(api_key)
    return StreamOptions(
        url=_http_url(url or DEFAULT_URL),
        api_key=api_key,
        headers=dict(headers or {}),
        ssl_context=ssl_context,
        prompt=prompt,
        model=model,
        robot=robot,
        action_adapter=action_adapter,
        cameras=_cameras(cameras),
        hz=None if hz is None else _above_zero("hz", hz),
        chunk_size=None if chunk_size is None else _whole("chunk_size", chunk_size),
        episode_id=_episode_id(session_id),
        timeout_s=_above_zero("timeout", timeout),
        connect_retry_s=_retry_s(connect_retry_seconds),
        deadline_s=_within_limit(checked_deadline_s(deadline_s)),
    )


def check_ready(options: StreamOptions, ready: ReadyFrame) -> None:
    """Raises `SetupError` when the server has another model, robot, camera or rate than the stream was made for."""
    version = ready["model_version"]
    if options.model is not None and options.model not in (version, version.partition("@")[0]):
        raise SetupError(f"model={options.model!r} was asked for, and the server at {options.url} has {version}")
    if options.robot is not None and options.robot != ready["embodiment"]:
        raise SetupError(f"robot={options.robot!r} was asked for, and {version} moves a {ready['embodiment']}")
    unknown = sorted(set((options.cameras or {}).values()) - set(ready["cameras"]))
    if unknown:
        raise SetupError(f"cameras: {version} has no {', '.join(unknown)}; it knows {', '.join(ready['cameras'])}")
    if options.hz is not None and not math.isclose(options.hz, ready["control_hz"]):
        raise SetupError(f"hz={options.hz:g} was given, and {version} was made for {ready['control_hz']:g} Hz")
    if options.chunk_size is not None and options.chunk_size > ready["num_actions"]:
        raise SetupError(f"chunk_size={options.chunk_size}, and a chunk of {version} has {ready['num_actions']}")


def _http_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return checked_url(SECURE.get(scheme.lower(), scheme) + separator + rest, routes=(STREAM_PATH, *ROUTES))


def _cameras(given: Sequence[str] | Mapping[str, str] | None) -> dict[str, str] | None:
    if isinstance(given, str):
        raise SetupError(f"cameras is one text; give a list of names, like [{given!r}]")
    return None if given is None else dict(given) if isinstance(given, Mapping) else {name: name for name in given}


def _episode_id(session_id: str) -> str:
    if len(session_id) > MAX_ID_CHARACTERS or not session_id.isprintable():
        raise SetupError(f"session_id has at most {MAX_ID_CHARACTERS} printable characters")
    return session_id or new_id()


def _retry_s(given: float | None) -> float:
    """The argument, then the environment."""
    told = os.environ.get(RETRY_VARIABLE, "") if given is None else given
    try:
        seconds = float(told or 0.0) if told != "" else DEFAULT_RETRY_S
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        name = RETRY_VARIABLE if given is None else "connect_retry_seconds"
        raise SetupError(f"{name} is {told!r}; it is a number of seconds, 0 for a single attempt")
    return seconds


def _above_zero(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise SetupError(f"{name} is {value}; it must be above 0")
    return float(value)


def _whole(name: str, value: int) -> int:
    if value != int(value) or value < 1:
        raise SetupError(f"{name} is {value}; it must be a whole number, at least 1")
    return int(value)


def _within_limit(deadline_s: float) -> float:
    if deadline_s * 1000.0 > MAX_DEADLINE_MS:
        raise SetupError(f"deadline_s is {deadline_s:g}; a server waits {MAX_DEADLINE_MS / 1000:g} s at most")
    return deadline_s
