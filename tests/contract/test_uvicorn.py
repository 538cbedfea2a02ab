"""What the connections of our servers take from uvicorn is there, and as it takes it: these are no public interfaces.

A new minor version of uvicorn is let in by pyproject.toml once this test and `make test` pass with it.
"""

from __future__ import annotations

import ast
import asyncio
import importlib.metadata
import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import uvicorn
from packaging.requirements import Requirement
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from reflex.serving.bounded_connection import BoundedConnection
from reflex.serving.request_head import RequestHead
from reflex_control.http.timed_protocol import TimedProtocol
from reflex_frontend.http.protocol import BoundedProtocol
from reflex_frontend.streams import bounded_websocket

REPOSITORY: Final = Path(__file__).parents[2]
OURS: Final = (BoundedConnection, BoundedProtocol, TimedProtocol)
METHODS: Final = {
    "__init__": "(self, config, server_state, app_state, _loop=None)",
    "connection_made": "(self, transport)",
    "connection_lost": "(self, exc)",
    "data_received": "(self, data)",
    "eof_received": "(self)",
    "on_message_begin": "(self)",
    "on_header": "(self, name, value)",
    "on_headers_complete": "(self)",
    "on_body": "(self, body)",
    "on_message_complete": "(self)",
    "on_response_complete": "(self)",
    "pause_writing": "(self)",
    "resume_writing": "(self)",
}
"""Of a connection: what is overridden or called."""
CONNECTION: Final = {
    "app_state",
    "config",
    "cycle",
    "expect_100_continue",
    "flow",
    "headers",
    "loop",
    "parser",
    "scope",
    "server_state",
    "timeout_keep_alive_task",
    "transport",
    "url",
    "ws_protocol_class",
}
CYCLE: Final = {
    "body", "default_headers", "disconnected", "keep_alive", "message_event", "more_body", "on_response",
    "response_complete", "response_started", "waiting_for_100_continue",
}  # fmt: skip
"""Of a request and its answer."""
FLOW: Final = {"pause_reading", "resume_reading", "write_paused"}
"""Of what a connection reads and writes."""
PARSER: Final = {"feed_data", "get_http_version", "get_method", "should_keep_alive", "should_upgrade"}


WEBSOCKET: Final = {
    "conn",
    "curr_msg_data_type",
    "close_sent",
    "close_timer",
    "disconnected",
    "frames",
    "handshake_complete",
    "logger",
    "loop",
    "ping_interval",
    "ping_timeout",
    "queue",
    "read_paused",
    "transport",
    "writable",
}
WEBSOCKET_METHODS: Final = {
    "__init__": "(self, config, server_state, app_state, _loop=None)",
    "connection_lost": "(self, exc)",
    "data_received": "(self, data)",
    "handle_cont": "(self, event)",
    "handle_parser_exception": "(self)",
    "handle_ping": "(self)",
    "pause_writing": "(self)",
    "receive": "(self)",
    "resume_writing": "(self)",
    "send": "(self, message)",
    "send_receive_event_to_app": "(self)",
    "shutdown": "(self)",
}
"""Of a connection that goes on as a WebSocket."""


async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Never answers."""
    await asyncio.Event().wait()


class Transport(asyncio.Transport):
    """Goes nowhere."""

    def get_extra_info(self, _name: str, default: object = None) -> object:
        return default


@pytest.fixture
def connection() -> Iterator[HttpToolsProtocol]:
    """One of uvicorn's own, in the middle of a request."""

    async def begin() -> HttpToolsProtocol:
        config = uvicorn.Config(application, log_config=None, ws="none", lifespan="off")
        made = HttpToolsProtocol(config, ServerState(), {})
        made.connection_made(Transport())
        made.data_received(b"POST /act HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        await asyncio.sleep(0)
        return made

    with asyncio.Runner() as runner:
        yield runner.run(begin())


def plain_signature(method: object) -> str:
    """Without the types."""
    signature = inspect.signature(method)  # type: ignore[arg-type]
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def test_each_method_that_is_overridden_or_called_has_its_signature() -> None:
    assert {name: plain_signature(getattr(HttpToolsProtocol, name)) for name in METHODS} == METHODS


def test_each_attribute_of_a_connection_a_request_and_the_parser_is_there(connection: HttpToolsProtocol) -> None:
    assert CONNECTION - set(vars(connection)) == set()
    assert isinstance(connection.cycle, RequestResponseCycle)
    assert CYCLE - set(vars(connection.cycle)) == set()
    assert [name for name in FLOW if not hasattr(connection.flow, name)] == []
    assert [name for name in PARSER if not callable(getattr(connection.parser, name, None))] == []
    assert (connection.url, connection.parser.get_method()) == (b"/act", b"POST")
    assert connection.headers == connection.scope["headers"] == [(b"host", b"x"), (b"content-length", b"4")]
    assert (connection.cycle.more_body, connection.cycle.response_started, bytes(connection.cycle.body)) == (
        True, False, b"",
    )  # fmt: skip


def test_status_lines_are_whole_bytes() -> None:
    assert httptools_impl.STATUS_LINE[503] == b"HTTP/1.1 503 Service Unavailable\r\n"


def test_reading_is_paused_and_resumed_by_methods_that_can_be_overridden(connection: HttpToolsProtocol) -> None:
    assert isinstance(connection.flow, FlowControl)
    assert connection.cycle.flow is connection.flow
    assert plain_signature(FlowControl.__init__) == "(self, transport)"
    assert plain_signature(FlowControl.resume_reading) == plain_signature(FlowControl.pause_reading) == "(self)"


def test_the_server_has_the_method_that_takes_its_signals_away() -> None:
    assert plain_signature(uvicorn.Server.capture_signals) == "(self)"


def test_the_tables_above_name_all_that_the_connections_take() -> None:
    trees = [ast.parse(Path(inspect.getfile(one)).read_text(encoding="utf-8")) for one in OURS]
    names = {one.__name__ for one in OURS}
    classes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef) and node.name in names]
    inherited = {name for name in vars(HttpToolsProtocol) if not name.startswith("__") or name == "__init__"}
    given = {name for one in OURS for name in vars(one)}
    overridden, own = inherited & given, (given - inherited) | {"become", "limits", "pieces"}
    used = _behind("self.", *classes) | _behind("super().", *classes)
    public = {name for name in used if not name.startswith("_") or name == "__init__"}
    assert len(classes) == len(OURS)
    assert (public - own) | overridden == CONNECTION | set(METHODS)
    assert [name for name in used if name not in public and name in inherited] == [], "its private ones"
    assert _behind("cycle.", *trees) | _behind("self.cycle.", *trees) == CYCLE
    assert _behind("self.flow.", *trees) == {*FLOW, "is_held"}
    asked_of_heads = {name for name in vars(RequestHead) if name.startswith(("get_", "should_"))}
    assert _behind("self.parser.", *trees) | asked_of_heads == PARSER


def test_each_part_of_a_websocket_that_is_overridden_or_used_is_there_and_no_other_is() -> None:
    async def begin() -> set[str]:
        config = uvicorn.Config(application, log_config=None, ws="none", lifespan="off")
        return set(vars(WebSocketsSansIOProtocol(config, ServerState(), {})))

    assert WEBSOCKET - asyncio.run(begin()) == set()
    methods = {name: plain_signature(getattr(WebSocketsSansIOProtocol, name)) for name in WEBSOCKET_METHODS}
    assert methods == WEBSOCKET_METHODS
    tree = ast.parse(Path(inspect.getfile(bounded_websocket)).read_text(encoding="utf-8"))
    (ours,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "BoundedWebSocket")
    used = _behind("self.", ours) | _behind("super().", ours)
    public = {name for name in used if not name.startswith("_") or name == "__init__"}
    assert public - {"bounds"} == (WEBSOCKET | set(WEBSOCKET_METHODS)) & public
    assert set(WEBSOCKET) <= public


def test_pyproject_lets_in_the_minor_version_that_was_tested_and_no_other() -> None:
    extra = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = (Requirement(text) for text in extra["optional-dependencies"]["serve"] if text.startswith("uvicorn"))
    major, minor, _ = importlib.metadata.version("uvicorn").split(".", 2)
    assert str(wanted.specifier) == f"<{major}.{int(minor) + 1},>={major}.{minor}"


def _behind(prefix: str, *trees: ast.AST) -> set[str]:
    """The name right behind the prefix, in every expression that begins with it."""
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {text.removeprefix(prefix).partition(".")[0] for text in map(ast.unparse, nodes) if text.startswith(prefix)}
