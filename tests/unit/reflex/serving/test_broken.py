"""Who sends broken HTTP is told what is wrong with it; the log is told once a second at most."""

from __future__ import annotations

import logging

import pytest

from reflex.serving.broken import BrokenLog
from support.misuse.one_connection import Client, connected

POST = b"POST /act HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
TOLD = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", "this port speaks plain http"),
    "TLS, cut": (b"\x16", "this port speaks plain http"),
    "no method": (b"SSH-2.0-OpenSSH\r\n", "begins with a method"),
    "two lengths": (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n", "more than one Content-Length"),
    "length, chunked": (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", "not both"),
    "chunked, length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", "not both"),
    "gzip": (POST + b"Transfer-Encoding: gzip\r\n\r\n", "or chunked"),
    "length in words": (POST + b"Content-Length: four\r\n\r\n", "whole number"),
    "negative length": (POST + b"Content-Length: -4\r\n\r\n", "whole number"),
    "no length": (POST + b"Content-Length:\r\n\r\n", "whole number"),
    "endless length": (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", "whole number"),
    "no coding": (POST + b"Transfer-Encoding:\r\n\r\n", "or chunked"),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n", "or chunked"),
    "a word that ends with chunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", "or chunked"),
    "NUL": (POST + b"X: a\0b\r\n\r\n", "control character"),
    "no colon": (POST + b"no colon\r\n\r\n", "`Name: value`"),
    "folded": (POST + b"X: a\r\n b\r\n\r\n", "one line"),
    "chunk size": (CHUNKED + b"zz\r\n", "chunk's size"),
    "chunk longer than its size": (CHUNKED + b"1\r\nabc\r\n", "chunk's size"),
    "endless chunk": (CHUNKED + b"f" * 18 + b"\r\n", "chunk's size"),
    "version": (b"GET / HTTP/9.9\r\n\r\n", "as HTTP/1.1"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not as HTTP/2"),
    "a space in the path": (b"GET /a b HTTP/1.1\r\n\r\n", "%20"),
    "NUL in the path": (b"GET /a\0b HTTP/1.1\r\n\r\n", "%XX"),
    "LF alone": (b"GET / HTTP/1.1\nHost: x\n\n", "CR and LF"),
    "LF alone in the headers": (b"GET / HTTP/1.1\r\nHost: x\n\r\n", "CR and LF"),
    "LF alone at their end": (b"GET / HTTP/1.1\r\nHost: x\r\n\n", "Name: value"),
    "LF alone in a chunk": (CHUNKED + b"1\na\r\n0\r\n\r\n", "chunk's size"),
    "LF alone after a chunk": (CHUNKED + b"1\r\na\n0\r\n\r\n", "chunk's size"),
    "another protocol's method": (b"SETUP / HTTP/1.1\r\n\r\n", "begins with a method"),
    "NUL in the query": (b"GET /a?b\0c HTTP/1.1\r\n\r\n", "%XX"),
    "CR alone": (b"GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n", "CR and LF"),
    "no path": (b"GET  HTTP/1.1\r\n\r\n", "begins with /"),
}


@pytest.mark.parametrize(("sent", "told"), TOLD.values(), ids=TOLD)
def test_the_sender_is_told_what_is_wrong(sent: bytes, told: str) -> None:
    connected(lambda client: client.refused(sent, told))


def test_broken_requests_are_one_line_of_the_log_each_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    time_s = 100.0
    broken = BrokenLog(lambda: time_s)
    for _ in range(50):
        broken.note("a chunk's size is wrong")
    time_s = 101.0
    broken.note("TLS came")

    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "a chunk's size is wrong", "TLS came",
    ]  # fmt: skip
    assert caplog.records[-1].not_told_since == 49  # type: ignore[attr-defined]


def test_uvicorns_own_line_for_each_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(client: Client) -> None:
        client.send(b"GARBAGE\r\n\r\n")
        await client.envelope()

    with caplog.at_level(logging.INFO):
        connected(scenario)

    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == ["reflex.http"]
