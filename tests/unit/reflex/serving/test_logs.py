"""One event a line, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from reflex.serving.logs import set_up_logs


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("reflex")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level = before[0], before[1]
    ours.setLevel(before[2])


def logged(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> list[str]:
    set_up_logs(as_json=as_json)
    log = logging.getLogger("reflex.test")
    log.info("started %s", "well", extra={"in_flight": 3})
    log.debug("not said")
    logging.getLogger("somebody.else").info("not said")
    try:
        raise KeyError("inner")
    except KeyError:
        log.exception("failed\nbadly")
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_json_logs_are_one_object_a_line_even_with_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (json.loads(line) for line in logged(capsys, as_json=True))
    assert {key: first[key] for key in ("level", "logger", "event", "in_flight")} == {
        "level": "info",
        "logger": "reflex.test",
        "event": "started well",
        "in_flight": 3,
    }
    assert first["time"].endswith("+00:00")
    assert second["level"] == "error"
    assert "KeyError" in second["traceback"]


def test_an_extra_field_cannot_pass_itself_off_as_the_event(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(as_json=True)
    extra: dict[str, Any] = {"level": "debug", "event": "other", "time": "never"}
    logging.getLogger("reflex.test").warning("truth", extra=extra)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["event"]) == ("warning", "truth")
    assert line["time"] != "never"


def test_text_logs_carry_their_fields(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged(capsys, as_json=False)
    assert lines[0].endswith("INFO    reflex.test: started well in_flight=3")


def test_setting_up_twice_does_not_say_everything_twice(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(as_json=True)
    assert len(logged(capsys, as_json=True)) == 2


def test_who_asked_for_more_gets_more_and_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    ours = logging.getLogger("reflex")
    ours.setLevel(logging.DEBUG)  # as --verbose does, with a handler of its own
    ours.addHandler(logging.StreamHandler(sys.stderr))

    lines = [json.loads(line)["event"] for line in logged(capsys, as_json=True)]

    assert lines == ["started well", "not said", "failed\nbadly"]
