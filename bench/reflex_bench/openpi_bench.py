"""What openpi's protocol adds to a model, by its published client: end to end, less the time of the model itself.

Beside it the same picture over `/act`, as pixels in msgpack and as a JPEG in JSON, from the plainest client that there
is. They take turns, so that the machine's moods meet all of them.
"""

from __future__ import annotations

import http.client
import json
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing

import numpy as np
from openpi_client import msgpack_numpy
from openpi_client.websocket_client_policy import WebsocketClientPolicy

from reflex.wire.arrays import Array
from reflex_bench.loads import Row, percentile
from reflex_bench.observation import INSTRUCTION, SIDE_PX, jpeg_base64

__all__ = ["OVERHEAD_MS", "openpi_rows", "overheads_ms"]

OVERHEAD_MS = 1.5
ROUNDS, CALLS = 20, 40
STATE = (0.0, 0.5, 0.0, 0.0, 0.0, 0.0)

Ask = Callable[[], float]
"""Asks once, and says how long the model alone took, in milliseconds."""


def openpi_rows(port: int) -> list[Row]:
    """The table, of a server whose model takes no time."""
    medians = {name: percentile(times, 0.5) for name, times in overheads_ms(port, ROUNDS, CALLS).items()}
    openpi = medians.pop("openpi")
    others = [Row(f"{name} p50 above the model", value, "ms") for name, value in medians.items()]
    return [Row("openpi-client p50 above the model", openpi, "ms", f"<= {OVERHEAD_MS}", openpi <= OVERHEAD_MS), *others]


def overheads_ms(port: int, rounds: int, calls: int) -> Mapping[str, list[float]]:
    """By client: of each call the time from its first byte to its answer read, less the model's."""
    with ExitStack() as open_:
        asks = {
            "openpi": _openpi(port, open_),
            "/act in msgpack": _packed(port, open_),
            "/act in JSON": _json(port, open_),
        }
        times: dict[str, list[float]] = {name: [] for name in asks}
        for number in range(rounds + 1):
            for name, ask in asks.items():
                taken = [_above_model_ms(ask) for _ in range(calls)]
                times[name] += taken if number else []  # the first round warms up
    return times


def _above_model_ms(ask: Ask) -> float:
    started = time.perf_counter()
    model_ms = ask()
    return (time.perf_counter() - started) * 1e3 - model_ms


def _pixels() -> Array:
    return np.random.RandomState(0).randint(0, 256, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)


def _openpi(port: int, open_: ExitStack) -> Ask:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it calls websockets as it could when it was published
        client = WebsocketClientPolicy(f"ws://127.0.0.1:{port}/openpi")
    open_.enter_context(closing(client._ws))  # it has no way to be closed
    observation = {"observation/image": _pixels(), "observation/state": np.asarray(STATE), "prompt": INSTRUCTION}
    return lambda: float(client.infer(observation)["policy_timing"]["infer_ms"])


def _packed(port: int, open_: ExitStack) -> Ask:
    body = {"instruction": INSTRUCTION, "state": np.asarray(STATE), "image": _pixels()}
    ask = _http(port, "application/msgpack", open_)
    return lambda: float(msgpack_numpy.unpackb(ask(msgpack_numpy.packb(body)))["timing"]["infer_ms"])


def _json(port: int, open_: ExitStack) -> Ask:
    body = {"instruction": INSTRUCTION, "state": STATE, "image_b64": jpeg_base64()}
    ask = _http(port, "application/json", open_)
    return lambda: float(json.loads(ask(json.dumps(body).encode()))["timing"]["infer_ms"])


def _http(port: int, media_type: str, open_: ExitStack) -> Callable[[bytes], bytes]:
    connection = open_.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)))

    def ask(body: bytes) -> bytes:
        connection.request("POST", "/act", body, {"content-type": media_type})
        return connection.getresponse().read()

    return ask
