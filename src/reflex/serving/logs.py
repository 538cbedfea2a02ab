"""Structured logs to stderr: one event a line, as text or as JSON. Never instruction text, images or keys."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import Final

from reflex.printable import printable_lines

__all__ = ["json_lines", "set_up_logs"]

PLAIN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
}


def set_up_logs(*, as_json: bool) -> None:
    """Called once, by the process's main."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _JsonLines() if as_json else _TextLines("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    ours = logging.getLogger("reflex")
    ours.handlers.clear()  # of --verbose: each line would come twice
    ours.setLevel(logging.DEBUG if ours.level == logging.DEBUG else logging.INFO)


def json_lines() -> logging.Formatter:
    """What writes a record as one JSON object."""
    return _JsonLines()


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in PLAIN_ATTRIBUTES}


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        return printable_lines(f"{super().format(record)} {extra}".rstrip())


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        event = {"time": moment, "level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(_extra(record) | event, default=str)
