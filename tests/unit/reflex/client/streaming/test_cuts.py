"""A connection that is cut, anywhere: the client knows, and delivers nothing that is not whole."""

from __future__ import annotations

import time

import pytest

from reflex.client import RecvTimeoutError
from reflex.errors import TransportError
from support.promise import Promise
from support.streams.scripted import Fault, Proxy, ScriptedServer, Side
from support.waiting import HANGS_S
from unit.reflex.client.streaming.conftest import Make

STATE = [0.0] * 6
DEADLINE_S = 0.4


def passed_by_one_answer(make: Make, cutting: Proxy) -> tuple[dict[str, int], int]:
    """How many bytes go each way until a stream is ready, and how many come with a chunk."""
    stream = make(url=cutting.url, deadline_s=10.0)
    stream.open()
    ready = dict(cutting.passed)
    stream.send_observation(state=STATE)
    stream.recv_action(HANGS_S)
    return ready, cutting.passed["client"] - ready["client"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["reset", "end"])
@pytest.mark.parametrize("towards", ["client", "server"])
def test_a_cut_at_any_byte_of_the_opening_is_a_transport_error(
    make: Make, cutting: Proxy, towards: Side, fault: Fault
) -> None:
    ready, _ = passed_by_one_answer(make, cutting)
    whole = ready[towards]
    for cut in sorted({0, 1, 15, whole // 3, whole // 2, whole - 40, whole - 2, whole - 1}):
        cutting.towards, cutting.fault, cutting.cut_after = towards, fault, cutting.passed[towards] + cut
        with pytest.raises(TransportError):
            make(url=cutting.url, deadline_s=1.0).open()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["reset", "end"])
def test_a_cut_at_any_byte_of_an_answer_is_known_and_nothing_of_it_is_delivered(
    make: Make, cutting: Proxy, server: ScriptedServer, fault: Fault
) -> None:
    _, length = passed_by_one_answer(make, cutting)
    for cut in sorted({0, 1, 2, 3, 4, 5, length // 2, length - 2, length - 1}):
        stream = make(url=cutting.url, deadline_s=10.0)
        cutting.cut_after = None
        stream.open()
        cutting.towards, cutting.fault = "client", fault
        cutting.cut_after = cutting.passed["client"] + cut
        stream.send_observation(state=STATE)

        with pytest.raises(TransportError) as raised:
            stream.recv_action(HANGS_S)
        assert not isinstance(raised.value, RecvTimeoutError)
        assert (stream.counts.lost, stream.counts.delivered) == (1, 0)


def test_a_cut_in_an_observation_is_known_and_the_next_one_opens_another_connection(
    make: Make, cutting: Proxy, server: ScriptedServer
) -> None:
    stream = make(url=cutting.url, deadline_s=10.0)
    stream.open()
    cutting.towards, cutting.cut_after = "server", cutting.passed["server"] + 10
    stream.send_observation(state=STATE)
    with pytest.raises(TransportError):
        stream.recv_action(HANGS_S)
    cutting.cut_after = None

    seq = stream.send_observation(state=STATE)

    assert stream.recv_action(HANGS_S)["seq"] == seq
    assert [frame["seq"] for frame in server.observations] == [seq]


@pytest.mark.slow
def test_a_silent_connection_is_known_at_the_deadline_of_what_was_sent(
    make: Make, cutting: Proxy, promise: Promise
) -> None:
    stream = make(url=cutting.url, deadline_s=DEADLINE_S)
    stream.open()
    cutting.fault, cutting.cut_after = "silence", 0
    sent_s = time.monotonic()
    stream.send_observation(state=STATE)

    with pytest.raises(RecvTimeoutError, match="sign of life") as raised:
        stream.recv_action(HANGS_S)
    took_s = time.monotonic() - sent_s
    assert not raised.value.is_alive
    promise("a stream that is silent is known to be dead 50 ms after the deadline", took_s - DEADLINE_S, at_most=0.05)
