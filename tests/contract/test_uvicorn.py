"""What `http/protocol.py` takes from uvicorn is there, and as it takes it: these are no public interfaces.

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
from uvicorn.server import ServerState

from reflex_frontend.http import protocol

REPOSITORY: Final = Path(__file__).parents[2]
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
    "cycle",
    "expect_100_continue",
    "flow",
    "headers",
    "loop",
    "parser",
    "scope",
    "timeout_keep_alive_task",
    "transport",
    "url",
}
CYCLE: Final = {
    "body", "default_headers", "disconnected", "keep_alive", "message_event", "more_body", "on_response",
    "response_complete", "response_started", "waiting_for_100_continue",
}  # fmt: skip
"""Of a request and its answer."""
FLOW: Final = {"pause_reading", "resume_reading", "write_paused"}
"""Of what a connection reads and writes."""
PARSER: Final = {"feed_data", "get_http_version", "get_method", "should_keep_alive", "should_upgrade"}


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


def test_the_tables_above_name_all_that_the_protocol_takes() -> None:
    tree = ast.parse(Path(inspect.getfile(protocol)).read_text(encoding="utf-8"))
    (ours,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "BoundedProtocol")
    inherited = {name for name in vars(HttpToolsProtocol) if not name.startswith("__") or name == "__init__"}
    overridden = inherited & vars(protocol.BoundedProtocol).keys()
    own = {name for name in vars(protocol.BoundedProtocol) if name not in overridden} | {"limits", "pieces"}
    used = _behind("self.", ours) | _behind("super().", ours)
    public = {name for name in used if not name.startswith("_") or name == "__init__"}
    assert (public - own) | overridden == CONNECTION | set(METHODS)
    assert [name for name in used if name not in public and name in inherited] == [], "its private ones"
    assert _behind("cycle.", tree) | _behind("self.cycle.", tree) == CYCLE
    assert _behind("self.flow.", tree) == {*FLOW, "is_held"}
    assert _behind("self.parser.", tree) == PARSER


def test_pyproject_lets_in_the_minor_version_that_was_tested_and_no_other() -> None:
    extra = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = (Requirement(text) for text in extra["optional-dependencies"]["serve"] if text.startswith("uvicorn"))
    major, minor, _ = importlib.metadata.version("uvicorn").split(".", 2)
    assert str(wanted.specifier) == f"<{major}.{int(minor) + 1},>={major}.{minor}"


def _behind(prefix: str, tree: ast.AST) -> set[str]:
    """The name right behind the prefix, in every expression that begins with it."""
    texts = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {text.removeprefix(prefix).partition(".")[0] for text in texts if text.startswith(prefix)}
