"""Generated bodies and hostile requests: no 5xx, every refusal the envelope, and nothing of the input comes back.

`REFLEX_FUZZ_BODIES` is how many bodies are generated; body number n is always the same one.
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter
from typing import Any, Final

import pytest

from support.bodies import MARK, generated_body, image_b64, valid_body
from support.hostile import Connection, RawAnswer, connection, exchange, is_envelope, post_request
from support.hostile_served import Served

pytestmark = pytest.mark.slow

BODIES: Final = int(os.environ.get("REFLEX_FUZZ_BODIES", "3000"))
BATCH: Final = 1_000
VALID: Final = json.dumps(valid_body()).encode()
DEADLINE: Final = {"x-reflex-deadline-ms": "10000"}


@pytest.mark.parametrize("first", range(0, BODIES, BATCH))
def test_no_generated_body_causes_a_5xx_or_comes_back(target: Served, first: int) -> None:
    statuses: Counter[int] = Counter()
    with connection(target.port) as one:
        for seed in range(first, min(first + BATCH, BODIES)):
            body = generated_body(seed)
            answer = _ask(one, body)
            statuses[answer.status] += 1
            assert _is_right(answer, body), f"body {seed}: {answer}"
    assert statuses[200] > BATCH // 50, f"the generator makes hardly any valid body: {statuses}"
    assert {400, 422} <= statuses.keys()


def _ask(one: Connection, body: bytes) -> RawAnswer:
    one.send(post_request(body, DEADLINE))
    return one.read()


def _is_right(answer: RawAnswer, body: bytes) -> bool:
    if answer.status == 200:
        return _is_chunk_for(answer, json.loads(body))
    envelope = answer.json()
    request_id = envelope.pop("request_id")
    if answer.status >= 500 or MARK in json.dumps(envelope):
        return False
    # A request's own id comes back; json.dumps tells it from the echo of anything else.
    is_own = request_id.encode() in body or json.dumps(request_id)[1:-1].encode() in body
    return is_envelope(answer, request_id=request_id if is_own else None)


def _is_chunk_for(answer: RawAnswer, request: dict[str, Any]) -> bool:
    """Whether every step carries the request's first two state values, as the nonce policy answers."""
    wanted = [_as_float32(value) for value in request["state"][:2]]
    actions = answer.json()["actions"]
    return len(actions) == 50 and all(len(step) == 7 and step[:2] == wanted for step in actions)


def _as_float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _json(**fields: Any) -> bytes:
    return post_request(json.dumps(valid_body(**fields)).encode())


def _raw(text: str | bytes) -> bytes:
    return post_request(text.encode() if isinstance(text, str) else text)


def _state(number: str) -> bytes:
    return _raw(f'{{"instruction": "", "state": [{number}, 0, 0, 0, 0, 0], "image_b64": "{image_b64()}"}}')


def _head(*lines: str, body: bytes = b"", version: str = "1.1") -> bytes:
    return "\r\n".join((f"POST /act HTTP/{version}", "Host: localhost", *lines, "", "")).encode("latin-1") + body


def _text(escape: str) -> bytes:
    return _raw(f'{{"instruction": "{escape}", "state": [0, 0, 0, 0, 0, 0], "image_b64": "{image_b64()}"}}')


LENGTH = f"Content-Length: {len(VALID)}"
CHUNKED = "Transfer-Encoding: chunked"
AS_CHUNKS = f"{len(VALID):x}\r\n".encode() + VALID + b"\r\n0\r\n\r\n"

CORPUS: Final[dict[str, tuple[bytes, int, str | None]]] = {
    # JSON
    "empty body": (_raw(""), 400, "invalid_json"),
    "blank body": (_raw(" \n\t "), 400, "invalid_json"),
    "half a body": (_raw(VALID[:-20]), 400, "invalid_json"),
    "two objects": (_raw(VALID + VALID), 400, "invalid_json"),
    "trailing comma": (_raw('{"instruction": "",}'), 400, "invalid_json"),
    "comment": (_raw("{/* */}"), 400, "invalid_json"),
    "single quotes": (_raw("{'instruction': ''}"), 400, "invalid_json"),
    "python literals": (_raw('{"instruction": None}'), 400, "invalid_json"),
    "array": (_raw(b"[" + VALID + b"]"), 400, "wrong_type"),
    "string": (_raw('"{}"'), 400, "wrong_type"),
    "number": (_raw("1"), 400, "wrong_type"),
    "true": (_raw("true"), 400, "wrong_type"),
    "1000 deep": (_raw("[" * 1000 + "]" * 1000), 400, "wrong_type"),
    "1,000,000 deep": (_raw("[" * 1_000_000), 400, "invalid_json"),
    "deep object": (_raw('{"a":' * 5000 + "1" + "}" * 5000), 400, "invalid_json"),
    "deep inside the state": (_state("[" * 900 + "]" * 900), 400, "wrong_type"),
    "50,000 keys": (_raw("{" + ",".join(f'"k{n}":{n}' for n in range(50_000)) + "}"), 400, "missing_field"),
    "duplicate keys, the last right": (_raw(b'{"state": "x", ' + VALID[1:]), 200, None),
    "duplicate keys, the last wrong": (_raw(VALID[:-1] + b', "state": "x"}'), 400, "wrong_type"),
    "control character in a string": (_text("a\nb"), 400, "invalid_json"),
    "unknown escape": (_text("\\x41"), 400, "invalid_json"),
    "key __proto__": (_raw(VALID[:-1] + b', "__proto__": {"state": 1}}'), 200, None),
    # encodings
    "byte order mark": (_raw(b"\xef\xbb\xbf" + VALID), 400, "invalid_json"),
    "UTF-16": (_raw(VALID.decode().encode("utf-16")), 400, "invalid_json"),
    "UTF-16 without mark": (_raw(VALID.decode().encode("utf-16-le")), 400, "invalid_json"),
    "UTF-32": (_raw(VALID.decode().encode("utf-32")), 400, "invalid_json"),
    "Latin-1": (_raw(b'{"instruction": "caf\xe9"}'), 400, "invalid_json"),
    "overlong NUL": (_raw(b'{"instruction": "\xc0\x80"}'), 400, "invalid_json"),
    "surrogate in UTF-8": (_raw(b'{"instruction": "\xed\xa0\x80"}'), 400, "invalid_json"),
    "beyond Unicode": (_raw(b'{"instruction": "\xf4\x90\x80\x80"}'), 400, "invalid_json"),
    "lone high surrogate": (_text("\\ud800"), 400, "invalid_json"),
    "lone low surrogate": (_text("\\udfff"), 400, "invalid_json"),
    "surrogates in the wrong order": (_text("\\udfff\\ud800"), 400, "invalid_json"),
    "surrogate in a key": (_raw('{"\\ud800": 1}'), 400, "invalid_json"),
    "a pair of surrogates": (_text("\\ud83e\\udd16"), 200, None),
    "NUL in a string": (_text("\\u0000"), 200, None),
    "right to left override": (_text("\\u202e"), 200, None),
    "non-ASCII key": (_raw(b'{"\xc3\xa9": 1, ' + VALID[1:]), 200, None),
    # numbers
    "NaN": (_state("NaN"), 400, "not_finite"),
    "Infinity": (_state("Infinity"), 400, "not_finite"),
    "-Infinity": (_state("-Infinity"), 400, "not_finite"),
    "1e999": (_state("1e999"), 400, "not_finite"),
    "-1e999": (_state("-1e999"), 400, "not_finite"),
    "3.5e38": (_state("3.5e38"), 400, "not_finite"),
    "an integer of 50 digits": (_state("9" * 50), 400, "not_finite"),
    "an integer of 5000 digits": (_state("9" * 5000), 400, "not_finite"),
    "NaN as text": (_state('"NaN"'), 400, "wrong_type"),
    "-0": (_state("-0"), 200, None),
    "1e-999": (_state("1e-999"), 200, None),
    "leading zero": (_state("01"), 400, "invalid_json"),
    "leading plus": (_state("+1"), 400, "invalid_json"),
    "hexadecimal": (_state("0x10"), 400, "invalid_json"),
    "bare point": (_state(".5"), 400, "invalid_json"),
    # ids
    "id with NUL": (_json(request_id="a\x00b"), 400, "wrong_type"),
    "id with a line break": (_json(episode_id="a\r\nSet-Cookie: b"), 400, "wrong_type"),
    "id with DEL": (_json(episode_id="a\x7f"), 400, "wrong_type"),
    "id with zero width space": (_json(request_id="\u200b"), 400, "wrong_type"),
    "id with right to left override": (_json(request_id="\u202e"), 400, "wrong_type"),
    "id of 257 characters": (_json(request_id="x" * 257), 400, "wrong_type"),
    "id of a megabyte": (_json(episode_id="x" * 1_000_000), 400, "wrong_type"),
    "id as object": (_json(request_id={"a": 1}), 400, "wrong_type"),
    "id of 256 robots": (_json(episode_id="\U0001f916" * 256), 200, None),
    # headers and framing
    "lone LF line ends": (b"POST /act HTTP/1.1\nHost: [::]\n" + LENGTH.encode() + b"\n\n" + VALID, 400, "invalid_http"),
    "HTTP/1.0": (_head(LENGTH, body=VALID, version="1.0"), 200, None),
    "HTTP/3.0": (_head(LENGTH, body=VALID, version="3.0"), 400, "invalid_http"),
    "chunked": (_head(CHUNKED, body=AS_CHUNKS), 200, None),
    "chunk extension": (_head(CHUNKED, body=AS_CHUNKS.replace(b"\r\n", b";a=b\r\n", 1)), 200, None),
    "bad chunk size": (_head(CHUNKED, body=b"zz\r\n{}\r\n0\r\n\r\n"), 400, "invalid_http"),
    "both length and chunked": (_head(LENGTH, CHUNKED, body=AS_CHUNKS), 400, "invalid_http"),
    "both chunked and length": (_head(CHUNKED, LENGTH, body=AS_CHUNKS), 400, "invalid_http"),
    "two lengths": (_head(LENGTH, "Content-Length: 2", body=VALID), 400, "invalid_http"),
    "negative length": (_head("Content-Length: -1"), 400, "invalid_http"),
    "length beyond 64 bits": (_head("Content-Length: " + "9" * 30), 400, "invalid_http"),
    "length of 2^60": (_head(f"Content-Length: {2**60}"), 413, "payload_too_large"),
    "unknown transfer encoding": (_head("Transfer-Encoding: gzip", body=VALID), 400, "invalid_http"),
    "space before the colon": (_head("Content-Length : 2", body=b"{}"), 400, "invalid_http"),
    "folded header": (_head("X-A: b", " c", LENGTH, body=VALID), 400, "invalid_http"),
    "NUL in a header": (_head("X-A: a\x00b", LENGTH, body=VALID), 400, "invalid_http"),
    "header of a megabyte": (_head("X-A: " + "a" * 1_000_000, LENGTH, body=VALID), 400, "invalid_http"),
    "100,000 headers": (_head(*[f"X-{n}: a" for n in range(100_000)], LENGTH, body=VALID), 400, "invalid_http"),
    "path of a megabyte": (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "invalid_http"),
    "Latin-1 header": (_head("X-A: \xe9\xff", LENGTH, body=VALID), 200, None),
    "no Host": (b"POST /act HTTP/1.1\r\n" + LENGTH.encode() + b"\r\n\r\n" + VALID, 200, None),
    "absolute target": (b"GET http://elsewhere.example/nope HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "invalid_http"),
    "unknown method": (b"STEAL /act HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "invalid_http"),
    "asterisk target": (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "not_found"),
    "expect 100-continue": (_head("Expect: 100-continue", LENGTH, body=VALID), 200, None),
    "upgrade to h2c": (_head("Connection: Upgrade", "Upgrade: h2c", LENGTH, body=VALID), 200, None),
    "upgrade to websocket": (_head("Connection: Upgrade", "Upgrade: websocket", LENGTH, body=VALID), 200, None),
    "TLS hello": (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", 400, "invalid_http"),
    # content types
    "form": (post_request(VALID, {"content-type": "application/x-www-form-urlencoded"}), 415, "unsupported_media_type"),
    "text": (post_request(VALID, {"content-type": "text/json"}), 415, "unsupported_media_type"),
    "charset UTF-16": (
        post_request(VALID, {"content-type": "application/json; charset=utf-16"}), 415, "unsupported_media_type",
    ),
    "no content type": (_head(LENGTH, body=VALID), 200, None),
    "gzip": (post_request(VALID, {"content-encoding": "gzip"}), 415, "unsupported_media_type"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_request_gets_exactly_its_status_and_code(target: Served, name: str) -> None:
    request, status, code = CORPUS[name]
    (answer,) = exchange(target.port, request)
    assert (answer.status, answer.code) == (status, code)
    assert status == 200 or is_envelope(answer, request_id=None)


def test_pipelined_requests_are_answered_in_their_order(target: Served) -> None:
    wanted = [float(n) for n in range(20)]
    requests = b"".join(_json(state=[value, 0, 0, 0, 0, 0]) for value in wanted)
    answers = exchange(target.port, requests, answers=len(wanted))
    assert [answer.json()["actions"][0][0] for answer in answers] == wanted


def test_good_and_bad_requests_mix_on_one_connection(target: Served) -> None:
    requests = [_json(), _raw("{"), _json(state=[]), b"GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n", _json()]
    with connection(target.port) as one:
        statuses = []
        for request in requests:
            one.send(request)
            statuses.append(one.read().status)
    assert statuses == [200, 400, 422, 404, 200]


def test_a_body_that_is_refused_unread_is_never_taken_for_the_next_request(target: Served) -> None:
    smuggled = b"GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n"
    refused = post_request(smuggled, {"content-type": "text/plain"})
    first, second = exchange(target.port, refused + _json(), answers=2)
    assert (first.status, second.status) == (415, 200)


def test_head_of_act_has_no_body_that_could_be_taken_for_the_next_answer(target: Served) -> None:
    with connection(target.port) as one:
        one.send(b"HEAD /act HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with pytest.raises(ConnectionError):
            _read_twice(one)


def _read_twice(one: Connection) -> None:
    """Reads the head of the only answer; a second one, or a body, would be read as an answer too."""
    answer = one.read_head()
    assert answer.status == 405
    one.read()
