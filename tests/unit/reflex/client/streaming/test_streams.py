"""Both kinds of `ActionStream` against a server that does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reflex
from reflex.api_keys import new_key
from reflex.client import RecvTimeoutError, StreamKeyError, StreamRateError, StreamUrlError
from reflex.errors import InvalidRequestError, ServiceError, SetupError, TransportError
from support.streams.certificate import certificate
from support.streams.scripted import ScriptedServer, chunk_frame, scripted_server
from support.waiting import HANGS_S, wait_until
from unit.reflex.client.streaming.conftest import Make

STATE = [0.0] * 6
PIXELS = np.zeros((8, 8, 3), np.uint8)
PATIENT = {"deadline_s": 10.0, "timeout": HANGS_S}
"""A busy machine must not decide what a test says."""


def test_an_observation_goes_out_and_its_chunk_comes_back(make: Make, server: ScriptedServer) -> None:
    stream = make(url=server.url, session_id="run-7", **PATIENT)
    stream.open()
    seq = stream.send_observation(state=STATE, images={"base": PIXELS})
    chunk = stream.recv_action()

    assert (chunk["seq"], chunk["actions"].shape) == (seq, (4, 7))
    assert chunk["round_trip_ms"] <= chunk["age_ms"]
    assert server.received[0] == {
        "type": "hello", "episode_id": "run-7", "instruction": "pick", "deadline_ms": 10_000.0,
    }  # fmt: skip
    assert set(server.observations[0]["images"]) == {"base"}
    assert stream.ready["model_version"] == "pick@0123456789ab"
    assert {"dns_ms", "tcp_ms", "upgrade_ms", "first_message_ms"} == set(stream.open_timing)


def test_what_is_left_of_a_chunk_goes_along(make: Make, server: ScriptedServer) -> None:
    stream = make(url=server.url, **PATIENT)
    stream.open()
    stream.send_observation(state=STATE, executed_steps=3, inference_delay_steps=2, instruction="place it")
    stream.send_observation(state=STATE, prev_actions=np.zeros((2, 3)))
    wait_until(lambda: len(server.observations) == 2, "both have arrived")

    first, second = server.observations
    assert (first["executed_steps"], first["inference_delay_steps"], "prev_actions" in first) == (3, 2, False)
    assert second["prev_actions"] == [[0.0] * 3] * 2
    assert (first["instruction"], "instruction" in second) == ("place it", False)


def test_chunks_are_cut_and_adapted_as_asked(make: Make, server: ScriptedServer) -> None:
    stream = make(url=server.url, chunk_size=2, action_adapter=lambda actions: actions.tolist(), **PATIENT)
    stream.open()
    stream.send_observation(state=STATE)

    chunk = stream.recv_action()

    assert chunk["actions"] == [[0.25] * 7] * 2
    assert chunk["num_actions"] == 2


def test_the_key_goes_with_the_handshake(make: Make, server: ScriptedServer) -> None:
    key = new_key()
    make(url=server.url, api_key=key, headers={"X-Site": "lab"}).open()

    assert server.headers[0]["Authorization"] == f"Bearer {key}"
    assert server.headers[0]["X-Site"] == "lab"


def test_a_key_that_is_renewed_is_shown_before_the_next_observation(make: Make, server: ScriptedServer) -> None:
    keys = [new_key()]
    stream = make(url=server.url, api_key=lambda: keys[-1], **PATIENT)
    stream.open()
    stream.send_observation(state=STATE)
    keys.append(new_key())
    stream.send_observation(state=STATE)
    stream.send_observation(state=STATE)
    wait_until(lambda: len(server.observations) == 3, "all have arrived")

    kinds = [(frame["type"], frame.get("api_key")) for frame in server.received]
    nothing = ("observation", None)
    assert kinds == [("hello", None), nothing, ("hello", keys[1]), nothing, nothing]


def test_a_stream_over_tls_is_checked_and_timed(make: Make, tmp_path: Path) -> None:
    trust, served_with = certificate(tmp_path)
    with scripted_server(served_with) as server:
        stream = make(url=f"https://localhost:{server.port}", ssl_context=trust, **PATIENT)
        stream.open()
        stream.send_observation(state=STATE, images=PIXELS)
        assert stream.recv_action()["seq"] == 1
        assert set(stream.open_timing) == {"dns_ms", "tcp_ms", "tls_ms", "upgrade_ms", "first_message_ms"}
        with pytest.raises(TransportError, match="by TLS"):
            make(url=f"https://localhost:{server.port}").open()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, StreamKeyError), (403, StreamKeyError), (404, StreamUrlError), (429, StreamRateError),
     (422, InvalidRequestError), (503, ServiceError)],
)  # fmt: skip
def test_a_refusal_has_its_type(make: Make, server: ScriptedServer, status: int, kind: type[ServiceError]) -> None:
    server.statuses.append(status)
    stream = make(url=server.url)

    with pytest.raises(kind) as raised:
        stream.open()
    assert raised.value.status == status


@pytest.mark.slow
def test_a_server_that_starts_is_waited_for(make: Make, server: ScriptedServer) -> None:
    server.statuses.extend([503, 403, 404])
    stream = make(url=server.url, connect_retry_seconds=HANGS_S)
    stream.open()

    assert len(server.headers) == 4


def test_a_bad_key_ends_the_opening_at_once(make: Make, server: ScriptedServer) -> None:
    server.statuses.append(401)
    with pytest.raises(StreamKeyError, match="check the API key"):
        make(url=server.url, connect_retry_seconds=HANGS_S).open()
    assert len(server.headers) == 1


def test_nobody_at_the_address_is_a_transport_error(make: Make, server: ScriptedServer) -> None:
    with pytest.raises(TransportError, match="is `reflex serve` running"):
        make(url="http://127.0.0.1:9").open()
    with pytest.raises(TransportError, match="cannot be reached"):
        make(url="http://no-such-robot.invalid").open()


def test_another_path_is_a_wrong_url(make: Make, server: ScriptedServer) -> None:
    with pytest.raises(StreamUrlError, match="check the URL"):
        make(url=f"{server.url}/elsewhere").open()


def test_another_model_is_a_setup_error(make: Make, server: ScriptedServer) -> None:
    with pytest.raises(SetupError, match="has pick@"):
        make(url=server.url, model="place").open()


def test_a_stream_that_is_not_open_says_so(make: Make, server: ScriptedServer) -> None:
    stream = make(url=server.url)
    with pytest.raises(SetupError, match="open"):
        stream.send_observation(state=STATE)
    with pytest.raises(SetupError, match="open"):
        stream.recv_action()


def test_a_refused_observation_is_raised_and_the_stream_goes_on(make: Make, server: ScriptedServer) -> None:
    def refuse_first(frame: Mapping[str, Any]) -> list[Any]:
        refusal = {"type": "error", "seq": 1, "error": "state_dim_mismatch", "message": "no", "status": 422}
        return [refusal if frame["seq"] == 1 else chunk_frame(frame["seq"])]

    server.answer = refuse_first
    stream = make(url=server.url, **PATIENT)
    stream.open()
    stream.send_observation(state=[1.0])
    with pytest.raises(InvalidRequestError) as raised:
        stream.recv_action()
    assert raised.value.context["seq"] == 1
    stream.send_observation(state=STATE)
    assert stream.recv_action()["seq"] == 2


def test_what_could_never_be_served_is_not_sent(make: Make, server: ScriptedServer) -> None:
    stream = make(url=server.url, **PATIENT)
    stream.open()
    with pytest.raises(InvalidRequestError):
        stream.send_observation(state=[float("nan")])
    assert stream.counts.sent == 0


def test_no_chunk_in_time_says_what_is_known(make: Make, server: ScriptedServer) -> None:
    server.answer = None
    stream = make(url=server.url, deadline_s=10.0, timeout=0.05)
    stream.open()
    stream.send_observation(state=STATE)

    with pytest.raises(RecvTimeoutError, match=r"no chunk within 0.05 s.*never an answer.*first_message_ms") as raised:
        stream.recv_action()
    assert not raised.value.is_answered
    assert raised.value.open_timing == stream.open_timing


def test_a_server_that_goes_away_is_followed_by_the_next_observation(make: Make, server: ScriptedServer) -> None:
    server.answer = lambda frame: (
        [chunk_frame(frame["seq"]), None] if frame["seq"] == 1 else [chunk_frame(frame["seq"])]
    )
    stream = make(url=server.url, session_id="run-7", **PATIENT)
    stream.open()
    stream.send_observation(state=STATE)
    assert stream.recv_action()["seq"] == 1
    with pytest.raises(TransportError, match="going away: draining"):
        stream.recv_action()

    stream.send_observation(state=STATE)

    assert stream.recv_action()["seq"] == 2
    assert [frame["episode_id"] for frame in server.received if frame["type"] == "hello"] == ["run-7", "run-7"]
    assert (stream.counts.reconnects, stream.counts.lost) == (1, 0)


def test_garbage_from_the_server_breaks_the_stream_and_is_never_delivered(make: Make, server: ScriptedServer) -> None:
    server.answer = lambda _frame: [b"\xc1\xc1"]
    stream = make(url=server.url, **PATIENT)
    stream.open()
    stream.send_observation(state=STATE)
    with pytest.raises(TransportError, match="no frame"):
        stream.recv_action()


def test_closing_wakes_whoever_waits(server: ScriptedServer) -> None:
    server.answer = None
    stream = reflex.ActionStream(prompt="pick", url=server.url, deadline_s=10.0)
    stream.open()
    stream.send_observation(state=STATE)
    told: list[Exception] = []

    def wait() -> None:
        try:
            stream.recv_action()
        except TransportError as exc:
            told.append(exc)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: len(server.observations) == 1, "the observation has arrived")
    stream.close()
    waiting.join()

    assert "was closed" in str(told[0])


def test_a_program_that_fetches_nothing_holds_no_server_up(server: ScriptedServer) -> None:
    with reflex.ActionStream(prompt="pick", url=server.url, deadline_s=10.0) as stream:
        for _ in range(200):
            stream.send_observation(state=STATE)
        wait_until(lambda: stream.counts.replaced >= 199, "all answers were taken from the network")

        assert stream.recv_action()["seq"] == 200
    assert stream.counts.delivered == 1
