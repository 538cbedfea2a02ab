"""Everything that is not a 200 and not the model's doing: one envelope, the right status, the right headers."""

from __future__ import annotations

import json
import socket
import time

import pytest

from support.bodies import valid_body
from support.hostile import connection, exchange, is_envelope, post_request
from support.hostile_served import Served
from support.promise import Promise
from support.waiting import HANGS_S

LIMIT_BYTES = 8 * 1024 * 1024
RECEIVE_TIMEOUT_S = 5.0
LAB = "https://lab.example"
BARE_POST = b"POST /act HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "path", ["/page", "/nope", "/act/x", "/act/", "/health/", "/ACT", "//act", "/../act", "/%00", "/act%2f"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_route_is_404_not_found(demo: Served, method: str, path: str) -> None:
    (answer,) = exchange(
        demo.port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert (answer.status, answer.code) == (404, "not_found")
    assert is_envelope(answer)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_act_takes_only_post_and_says_so(demo: Served, method: str) -> None:
    (answer,) = exchange(demo.port, f"{method} /act HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", "POST")
    assert is_envelope(answer)


@pytest.mark.parametrize("path", ["/health", "/health/live", "/config", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_observability_takes_only_get_and_says_so(demo: Served, method: str, path: str) -> None:
    (answer,) = exchange(
        demo.port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]
    assert is_envelope(answer)


def test_a_request_whose_client_then_closes_its_sending_half_is_answered(demo: Served) -> None:
    with socket.create_connection(("127.0.0.1", demo.port), HANGS_S) as one:
        one.sendall(post_request(json.dumps(valid_body()).encode()))
        one.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: one.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"actions"' in answer


def test_a_declared_body_over_the_limit_is_413_before_it_is_sent(demo: Served) -> None:
    (answer,) = exchange(demo.port, BARE_POST + f"Content-Length: {LIMIT_BYTES + 1}\r\n\r\n".encode())
    assert (answer.status, answer.code, answer.json()["limit"]) == (413, "payload_too_large", LIMIT_BYTES)
    assert is_envelope(answer)


def test_a_chunked_body_over_the_limit_is_413(demo: Served) -> None:
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with connection(demo.port) as one:
        one.send(BARE_POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 8)
        one.send(b"1\r\n \r\n")
        answer = one.read()
    assert (answer.status, answer.code) == (413, "payload_too_large")
    assert is_envelope(answer)


def test_a_body_at_the_limit_is_read(demo: Served) -> None:
    (answer,) = exchange(demo.port, post_request(b"{" + b" " * (LIMIT_BYTES - 2) + b"}"))
    assert (answer.status, answer.code) == (400, "missing_field")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/jsonx"},
        {"content-type": "json"},
        {"content-type": ""},
        {"content-encoding": "gzip"},
        {"content-encoding": "br"},
    ],
)
def test_another_media_type_or_encoding_is_415(demo: Served, headers: dict[str, str]) -> None:
    (answer,) = exchange(demo.port, post_request(b"{}", headers))
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert is_envelope(answer)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "APPLICATION/JSON", 'application/json; charset="UTF-8"', "application/vnd.x+json"],
)
def test_json_in_utf8_is_taken_however_it_is_spelt(demo: Served, content_type: str) -> None:
    (answer,) = exchange(demo.port, post_request(b"{}", {"content-type": content_type}))
    assert (answer.status, answer.code) == (400, "missing_field")


def test_a_request_without_a_content_type_is_taken_as_json(demo: Served) -> None:
    (answer,) = exchange(demo.port, b"POST /act HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
    assert (answer.status, answer.code) == (400, "missing_field")


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n",
     BARE_POST + b"Content-Length: -1\r\n\r\n", BARE_POST + b"Content-Length: two\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_http_is_400_with_the_envelope_and_a_closed_connection(demo: Served, request_bytes: bytes) -> None:
    with connection(demo.port) as one:
        one.send(request_bytes)
        answer = one.read()
        assert (answer.status, answer.code, answer.headers["connection"]) == (400, "invalid_http", "close")
        assert is_envelope(answer)
        assert one.is_closed_by_server()


def test_a_request_that_never_ends_is_408_after_the_receive_timeout(demo: Served, promise: Promise) -> None:
    with connection(demo.port) as one:
        started = time.monotonic()
        one.send(b"POST /act HTTP/1.1\r\nHost: localhost\r\nContent-")
        answer = one.read()
        took_s = time.monotonic() - started
        assert took_s >= RECEIVE_TIMEOUT_S - 0.1
        promise(
            "a request that never ends is a 408 at the receive deadline of 5 s", took_s, at_most=RECEIVE_TIMEOUT_S + 2
        )
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert is_envelope(answer)
        assert one.is_closed_by_server()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"{'a': 1}", "invalid_json"),
        (b"{} {}", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b"[]", "wrong_type"),
        (b'"text"', "wrong_type"),
        (b"null", "wrong_type"),
        (b'{"instruction": "", "state": [NaN]}', "not_finite"),
        (b'{"instruction": "", "state": [-Infinity]}', "not_finite"),
        (b'{"instruction": "", "state": [1e999]}', "not_finite"),
    ],
)
def test_a_body_that_is_no_json_object_is_400_with_its_code(demo: Served, body: bytes, code: str) -> None:
    (answer,) = exchange(demo.port, post_request(body))
    assert (answer.status, answer.code) == (400, code)
    assert is_envelope(answer)


@pytest.mark.parametrize(
    "value", ["", "0", "0.5", "-1", "10001", "1e3", "nan", "inf", "1_0", "0x10", "ten", "1 2", "9" * 5000]
)
def test_a_deadline_outside_1_to_10000_ms_is_refused(demo: Served, value: str) -> None:
    (answer,) = exchange(demo.port, post_request(b"{}", {"x-reflex-deadline-ms": value}))
    assert (answer.status, answer.code) == (400, "wrong_type")
    assert is_envelope(answer)


@pytest.mark.parametrize("value", ["10000", "2500.5", "05000"])
def test_a_deadline_up_to_10000_ms_is_taken(demo: Served, value: str) -> None:
    assert demo.act(headers={"X-Reflex-Deadline-Ms": value}).status_code == 200


def test_errors_never_echo_the_request(demo: Served) -> None:
    mark = "qZ7mark9Xv"
    body = valid_body(instruction=[mark], episode_id=mark) | {mark: mark}
    assert mark not in demo.act(body).text
    assert mark not in demo.act(valid_body(image_b64=None, images={mark: "AAAA"})).text
    assert mark not in demo.client.get(f"/{mark}?{mark}={mark}").text


@pytest.mark.parametrize("path", ["/act", "/health", "/health/live", "/config", "/metrics", "/nope"])
def test_by_default_every_origin_may_read_and_never_with_credentials(demo: Served, path: str) -> None:
    headers = {"Origin": "https://anywhere.example", "Cookie": "session=1"}
    answer = demo.client.get(path, headers=headers)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def test_a_200_and_a_refusal_of_act_may_be_read_by_a_browser(demo: Served) -> None:
    for body in (valid_body(), {}):
        answer = demo.act(body, {"Origin": "https://anywhere.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "retry-after" in answer.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    ("origin", "allowed"), [(LAB, LAB), ("https://evil.example", None), (LAB + ".evil.example", None), ("null", None)]
)
def test_cors_origins_restricts_who_may_read(nonce: Served, origin: str, allowed: str | None) -> None:
    for answer in (nonce.act(headers={"Origin": origin}), nonce.client.get("/health", headers={"Origin": origin})):
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert "origin" in answer.headers["vary"].lower()
        assert "access-control-allow-credentials" not in answer.headers


def test_a_browsers_preflight_is_answered(demo: Served, nonce: Served) -> None:
    asked = {"Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "content-type, x-reflex-deadline-ms"}  # fmt: skip
    for server, origin in ((demo, "https://any.example"), (nonce, LAB)):
        answer = server.client.options("/act", headers={"Origin": origin, **asked})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] in ("*", LAB)
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "x-reflex-deadline-ms" in answer.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-credentials" not in answer.headers


def test_a_preflight_from_another_origin_is_refused(nonce: Served) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = nonce.client.options("/act", headers=asked)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers
