"""That an operator learns at once, once and in words that traces do not arrive, and that they arrive again."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest

from reflex_frontend.observing import spans
from reflex_frontend.observing.delivery import Delivery
from reflex_frontend.observing.spans import OtlpSink
from support.collector import running_collector, traced_act
from support.waiting import HANGS_S, wait_until

ADVICE = "; start it, or put --otel-endpoint right (reflex_traces_dropped counts the requests that are lost)"


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is sent at once, and not given up on a machine that is busy."""
    monkeypatch.setattr(spans, "DELAY_MS", 1.0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(HANGS_S))


@pytest.fixture
def nobody() -> Iterator[socket.socket]:
    """A port at which nobody listens, and that nobody else can take."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def url_of(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}"


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def send(endpoint: str) -> OtlpSink:
    sink = OtlpSink(endpoint)
    sink.keep(traced_act())
    return sink


def end(sink: OtlpSink) -> None:
    """Without waiting until it has given up."""
    sink._exporter.shutdown()
    sink.close()


def test_a_port_without_a_collector_is_told_before_the_first_batch_is_given_up(
    nobody: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    sink = send(url_of(nobody))
    lost_when_said: list[int] = []

    def note(_record: logging.LogRecord) -> bool:
        lost_when_said.append(sink.dropped)
        return True

    caplog.handler.addFilter(note)
    wait_until(lambda: lost_when_said, "something is said")
    end(sink)
    where = f"{url_of(nobody)}/v1/traces"
    assert said(caplog) == [f"traces do not reach the collector at {where}: Connection refused{ADVICE}"]
    assert caplog.records[0].levelno == logging.ERROR
    assert (lost_when_said, sink.dropped) == ([0], 1)


@pytest.mark.slow
def test_a_collector_that_refuses_and_then_takes_them_is_told_twice_in_all(caplog: pytest.LogCaptureFixture) -> None:
    with running_collector("refuse") as collector:
        sink = send(collector.url)
        wait_until(lambda: caplog.records, "something is said")
        collector.mood = "answer"
        wait_until(lambda: len(caplog.records) > 1, "something else is said")
        sink.keep(traced_act())
        sink.close()
    where = f"{collector.url}/v1/traces"
    assert said(caplog) == [
        f"traces do not reach the collector at {where}: it answers 503 Service Unavailable{ADVICE}",
        f"traces reach the collector at {where} again",
    ]
    assert sink.dropped == 0


@pytest.mark.slow
def test_a_collector_that_comes_later_gets_what_waits(nobody: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    sink = send(url_of(nobody))
    wait_until(lambda: caplog.records, "something is said")
    with running_collector(bound=nobody) as collector:
        assert collector.of_request("r-1")
        wait_until(lambda: len(caplog.records) > 1, "something else is said")
        sink.close()
    assert said(caplog)[1].endswith("again")


def test_the_reason_is_the_systems_own_and_not_the_librarys(caplog: pytest.LogCaptureFixture) -> None:
    with running_collector() as collector:
        sink = send(collector.url.replace("http", "https"))
        wait_until(lambda: caplog.records, "something is said")
        end(sink)
    [sentence] = said(caplog)
    assert "SSL" in sentence
    assert "HTTPSConnection" not in sentence


def test_a_single_unlucky_attempt_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    delivery = Delivery("http://collector")
    for _ in range(3):
        delivery.attempt_failed("Connection reset by peer")
        delivery.arrived(0)
    assert said(caplog) == []


def test_a_batch_that_is_given_up_after_one_attempt_is_told(caplog: pytest.LogCaptureFixture) -> None:
    delivery = Delivery("http://collector")
    delivery.attempt_failed("it answers 404 Not Found")
    delivery.given_up()
    delivery.given_up()
    assert said(caplog) == [f"traces do not reach the collector at http://collector: it answers 404 Not Found{ADVICE}"]


def test_batch_after_batch_that_is_given_up_is_told_once(
    nobody: socket.socket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    sink = OtlpSink(url_of(nobody))
    for _ in range(3):
        lost_before = sink.dropped
        sink.keep(traced_act())
        wait_until(lambda before=lost_before: sink.dropped > before, "it is counted")  # type: ignore[misc]
    sink.close()
    [sentence] = said(caplog)
    assert "Connection refused" in sentence
