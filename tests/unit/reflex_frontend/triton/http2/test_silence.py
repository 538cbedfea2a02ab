"""A server that says nothing: it is found out when it is dead, and one that works for long is not taken for it."""

from __future__ import annotations

import asyncio
import socket
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import Mock

import grpc
import grpc.aio
import h2.settings
import pytest
import uvloop
from hyperframe.frame import SettingsFrame

from reflex_frontend.triton.channel import Channel
from reflex_frontend.triton.http2 import silence
from reflex_frontend.triton.http2.silence import SilenceWatch
from support.streams.http2_calls import ask, failure, held, with_peer
from support.streams.http2_peer import Http2Peer
from support.streams.listening import listening
from support.waiting import HANGS_S, eventually, let_pass_here

PLACES = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS


@dataclass
class Told:
    """A watch on a clock of the test's, and what it said when."""

    watch: SilenceWatch = field(init=False)
    now_s: float = 1_000.0
    answers: bool = True
    has_calls: bool = True
    said: list[tuple[str, float]] = field(default_factory=list)
    _timers: list[tuple[float, Mock, Callable[[], None]]] = field(default_factory=list)

    def time(self) -> float:
        return self.now_s

    def call_later(self, seconds: float, act: Callable[[], None]) -> Mock:
        handle = Mock(spec=TimerHandle)
        self._timers.append((self.now_s + seconds, handle, act))
        return handle

    def until(self, second: float) -> None:
        """Lets what is due by then happen; seconds since the test began."""
        while due := [each for each in self._timers if each[0] <= 1_000 + second and not each[1].cancel.called]:
            self.now_s, handle, act = min(due, key=lambda each: each[0])
            self._timers = [each for each in self._timers if each[1] is not handle]
            act()
        self.now_s = 1_000.0 + second

    def ping(self) -> None:
        self.said.append(("ping", self.now_s - 1_000))
        if self.answers:
            self._timers.append((self.now_s, Mock(spec=TimerHandle), self.watch.hear))

    def end(self, silent_s: float) -> None:
        self.said.append((f"silent for {silent_s:g}", self.now_s - 1_000))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: told)
    told.watch = SilenceWatch(told.ping, told.end, lambda: told.has_calls)
    return told


@pytest.mark.parametrize("has_calls", [True, False], ids=["open", "given up"])
def test_who_says_nothing_is_asked_after_10_s_and_has_5_s_for_its_answer(told: Told, *, has_calls: bool) -> None:
    told.answers, told.has_calls = False, has_calls
    told.watch.expect()
    told.until(9)
    told.watch.expect()  # postpones nothing
    told.until(14.9)
    assert told.said == [("ping", 10)]
    told.until(1_000)
    assert told.said == [("ping", 10), ("silent for 15", 15)]


def test_who_works_for_long_is_asked_twice_for_each_call_and_seldom_after_that(told: Told) -> None:
    told.watch.expect()
    told.until(700)
    assert told.said == [("ping", 10), ("ping", 20), ("ping", 350), ("ping", 680)]
    told.watch.allow_pings()
    told.until(1_000)
    assert told.said[4:] == [("ping", 710), ("ping", 720)]


def test_silence_begins_with_what_came_last(told: Told) -> None:
    told.watch.expect()
    told.until(7)
    told.watch.hear()
    told.until(19)
    assert told.said == [("ping", 17)]


def test_an_answer_in_time_is_an_answer(told: Told) -> None:
    told.answers = False
    told.watch.expect()
    told.until(14)
    told.watch.hear()
    told.until(23.9)
    assert told.said == [("ping", 10)]
    told.until(24)
    assert told.said == [("ping", 10), ("ping", 24)]


def test_nobody_is_asked_while_nothing_is_expected(told: Told) -> None:
    told.has_calls = False
    told.watch.expect()
    told.watch.hear()
    told.until(100)
    assert told.said == []
    told.watch.expect()
    told.until(111)
    assert told.said == [("ping", 110)]


def test_who_stops_watching_hears_no_more(told: Told) -> None:
    told.watch.stop()
    told.watch.expect()
    told.until(12)
    told.watch.stop()
    told.until(1_000)
    assert told.said[:1] == [("ping", 10)]
    assert len(told.said) == 1


def test_a_silent_server_is_asked_whether_it_lives_as_often_as_it_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_S", 0.01)
    monkeypatch.setattr(silence, "ANSWERS_WITHIN_S", HANGS_S)
    peer, waiting = held()

    async def scenario(channel: Channel) -> list[bytes]:
        given = []
        for asked_in_all in (silence.MOST_PINGS, 2 * silence.MOST_PINGS):
            call = asyncio.create_task(ask(channel, b"slow"))
            await eventually(partial(peer.was_pinged, asked_in_all), "it was asked")
            await let_pass_here(0.1)
            assert peer.pings == asked_in_all
            if asked_in_all > silence.MOST_PINGS:
                monkeypatch.setattr(silence, "SELDOM_S", 0.02)
                await eventually(lambda: peer.pings > 2 * silence.MOST_PINGS, "it was asked seldom")
            peer.echo(waiting.pop())
            given.append(await call)
        return given

    assert with_peer(peer, scenario) == [b"slow", b"slow"]


def test_a_server_that_is_dead_is_found_by_calls_that_were_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes that wait a third of a second, say: none of them is open when it is looked."""
    monkeypatch.setattr(silence, "SILENCE_S", 0.2)
    monkeypatch.setattr(silence, "ANSWERS_WITHIN_S", 0.01)
    taken = 0

    async def main() -> None:
        gone = asyncio.Event()

        async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal taken
            taken += 1
            writer.write(SettingsFrame(0).serialize())
            await gone.wait()

        async with listening(silent) as port, Channel(f"127.0.0.1:{port}") as channel:
            for number in (1, 2):
                call = asyncio.create_task(ask(channel))
                await eventually(lambda: channel._connections and channel._connections[-1]._streams, "it has begun")
                assert taken == number
                call.cancel()
                await eventually(lambda: not channel._connections[-1].takes_calls, "it is given up")
            gone.set()

    asyncio.run(main())


def test_calls_that_wait_for_a_place_are_no_reason_to_ask_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_S", 0.01)
    monkeypatch.setattr(silence, "ANSWERS_WITHIN_S", HANGS_S)
    peer, waiting = held()
    peer.settings = {PLACES: 1}

    async def scenario(channel: Channel) -> bytes:
        call = asyncio.create_task(ask(channel, b"slow"))
        await eventually(partial(peer.was_pinged, silence.MOST_PINGS), "it was asked")
        for _ in range(5):
            others = asyncio.create_task(ask(channel))
            await let_pass_here(0.03)
            others.cancel()
        assert peer.pings == silence.MOST_PINGS
        peer.echo(waiting[0])
        return await call

    assert with_peer(peer, scenario) == b"slow"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_tcp_itself_gives_up_what_nobody_acknowledges(run: Callable[..., Any]) -> None:
    async def scenario(channel: Channel) -> int:
        await ask(channel)
        (link,) = (each._transport.get_extra_info("socket") for each in channel._connections if each._transport)
        return int(link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

    assert with_peer(Http2Peer(), scenario, run) == 5_000


def test_a_server_that_does_not_say_that_it_lives_loses_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENCE_S", 0.01)
    monkeypatch.setattr(silence, "ANSWERS_WITHIN_S", 0.01)

    async def main() -> grpc.aio.AioRpcError:
        gone = asyncio.Event()

        async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(SettingsFrame(0).serialize())
            await gone.wait()

        async with listening(silent) as port, Channel(f"127.0.0.1:{port}") as channel:
            error = await failure(channel)
            gone.set()
            return error

    error = asyncio.run(main())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "silent" in (error.details() or "")
