from __future__ import annotations

import pytest

from reflex.errors import TransportError
from reflex_runner.session import listening
from reflex_runner.session.listening import Listening
from support.runner.plane import QuietFeed
from support.waiting import wait_until


def test_a_feed_that_breaks_or_raises_anything_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "FIRST_WAIT_S", 0.01)
    feed, heard = QuietFeed(), list[object]()
    ear = Listening(feed, "sess_1", heard.append)
    ear.start()
    for broken in (TransportError("gone"), ValueError("closed while it was read"), None):
        feed.said.put(broken)
    feed.said.put({"sessionId": "sess_1", "status": "closed"})
    feed.said.put({"status": "closed"})
    wait_until(lambda: heard, "it is heard after all that")
    ear.end()
    assert heard == [{"sessionId": "sess_1", "status": "closed"}]
    assert feed.calls == 4
    assert feed.is_released


def test_one_that_never_began_may_end() -> None:
    Listening(QuietFeed(), "sess_1", print).end()
