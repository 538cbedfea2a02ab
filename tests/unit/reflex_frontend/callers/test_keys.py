"""Who gets in, who does not, and that nobody learns why."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.api_keys import KeyEntry, add_entry, digest_of, new_key
from reflex.errors import RateLimitedError, SetupError, UnauthorizedError
from reflex_frontend.callers import watched_file
from reflex_frontend.callers.keys import KeyRing
from support.clock import Clock
from support.promise import Promise
from support.waiting import HANGS_S, wait_until

KEY, OTHER = new_key(), new_key()
Headers = list[tuple[bytes, bytes]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    add_entry(path, KeyEntry("arm", digest_of(KEY.encode())))
    add_entry(path, KeyEntry("other", digest_of(OTHER.encode()), 10.0))
    return path


def bearer(key: str = KEY) -> Headers:
    return [(b"authorization", f"Bearer {key}".encode())]


def x_key(key: str = KEY) -> Headers:
    return [(b"x-reflex-key", key.encode())]


def refusal(ring: KeyRing, headers: Headers) -> tuple[int, str, str]:
    with pytest.raises(UnauthorizedError) as caught:
        ring.authenticate(headers)
    return caught.value.status, caught.value.code, caught.value.message


@pytest.mark.parametrize("headers", [
    bearer(), x_key(), bearer() + x_key(), [(b"authorization", f"bEaReR   {KEY} ".encode())],
    [(b"authorization", b"Basic cHJveHk6cHJveHk="), *x_key()], [(b"accept", b"*/*"), *x_key(), (b"x", b"y")],
])  # fmt: skip
def test_a_key_opens_in_either_header(file: Path, clock: Clock, headers: Headers) -> None:
    assert KeyRing.read(file, clock).authenticate(headers).name == "arm"


@pytest.mark.parametrize("headers", [
    [], bearer(new_key()), bearer(KEY[:-1]), bearer(KEY + "x"), bearer(""), [(b"authorization", b"Bearer")],
    [(b"authorization", KEY.encode())], [(b"authorization", f"Basic {KEY}".encode())],
    [(b"authorization", f"Token {KEY}".encode())], bearer("é" * 20), [(b"x-reflex-key", b"\xff" * 40)],
    bearer("x" * 10_240), x_key("x" * 10_240), bearer() + bearer(), x_key() + x_key(), bearer() + x_key(OTHER),
    bearer() + x_key(""), bearer() + x_key("x"), bearer() + bearer(OTHER), bearer(f"{KEY},{KEY}"),
    bearer(f"{KEY} {KEY}"),
    [(b"cookie", f"x-reflex-key={KEY}".encode())], bearer(KEY.lower()), x_key(f"Bearer {KEY}"), bearer(f'"{KEY}"'),
])  # fmt: skip
def test_everything_else_is_the_same_401(file: Path, clock: Clock, headers: Headers) -> None:
    ring = KeyRing.read(file, clock)
    said = refusal(ring, headers)
    assert said == refusal(ring, [])
    assert said[:2] == (401, "unauthorized")


@given(st.lists(st.tuples(st.sampled_from([b"authorization", b"x-reflex-key", b"host"]), st.binary(max_size=80))))
def test_no_headers_do_anything_but_be_refused(headers: Headers) -> None:
    ring = KeyRing(Path("unused"), Clock())
    with pytest.raises(UnauthorizedError):
        ring.authenticate(headers)


def test_a_revoked_key_stops_within_a_second_and_a_new_one_works(file: Path, clock: Clock) -> None:
    ring = KeyRing.read(file, clock)
    added = new_key()
    file.write_text("")
    add_entry(file, KeyEntry("added", digest_of(added.encode())))
    ring.look()
    said = refusal(ring, bearer())
    assert ring.authenticate(bearer(added)).name == "added"
    assert said == refusal(ring, [])


def test_a_change_of_the_same_length_and_time_is_seen(file: Path, clock: Clock) -> None:
    ring = KeyRing.read(file, clock)
    before = file.stat()
    file.write_text(file.read_text().replace(digest_of(KEY.encode()).hex(), "0" * 64))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    ring.look()
    refusal(ring, bearer())


def test_the_file_is_looked_at_without_being_asked_until_the_ring_is_closed(file: Path, promise: Promise) -> None:
    ring = KeyRing.read(file, time.monotonic)
    ring.watch()
    try:
        file.write_text("")
        refused_after_s = wait_until(lambda: not is_known(ring), "the key is refused")
        promise("a key that was taken out of the file is refused", refused_after_s, at_most=1.0)
    finally:
        ring.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "api-keys"]


@pytest.mark.slow
def test_a_disk_that_hangs_stops_nobody_and_the_log_says_so_once(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = threading.Event(), threading.Event()

    def hang(_path: Path) -> bytes:
        asked.set()
        assert answers.wait(HANGS_S)
        return b""

    ring = KeyRing.read(file, clock)
    ring.watch()
    monkeypatch.setattr(watched_file, "read_key_file", hang)
    assert asked.wait(HANGS_S)
    for _ in range(20):
        clock.now_s += 1
        assert ring.authenticate(bearer()).name == "arm"
    assert [record.message for record in caplog.records] == [
        "API keys not read again, the last ones hold on: the key file's disk does not answer"
    ]
    ring.close()  # though the look goes on
    assert not answers.is_set()
    answers.set()


def test_an_emptied_file_revokes_all(file: Path, clock: Clock) -> None:
    ring = KeyRing.read(file, clock)
    file.write_text("# nobody\n")
    ring.look()
    refusal(ring, bearer())


@pytest.mark.parametrize("damage", ["gone", "no entry", "a folder", "no text", "too long"])
def test_while_the_file_cannot_be_read_the_last_keys_hold_on_and_the_log_says_so_once(
    file: Path, clock: Clock, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    ring = KeyRing.read(file, clock)
    content = file.read_bytes()
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    elif damage != "gone":
        file.write_bytes({"no entry": b"rfx_secret\n", "no text": b"\xff", "too long": b"#" * 300_000}[damage])
    for _ in range(5):
        ring.look()
        assert ring.authenticate(bearer()).name == "arm"
    assert len(caplog.records) == 1
    assert "the last ones hold on" in caplog.text
    assert "secret" not in caplog.text

    file.rmdir() if damage == "a folder" else file.unlink(missing_ok=True)
    file.write_bytes(content.splitlines(keepends=True)[1])
    ring.look()
    refusal(ring, bearer())
    assert ring.authenticate(bearer(OTHER)).name == "other"


@pytest.mark.parametrize("damage", ["gone", "empty", "no entry"])
def test_a_server_does_not_start_without_keys(file: Path, clock: Clock, damage: str) -> None:
    file.unlink()
    if damage != "gone":
        file.write_text("" if damage == "empty" else "?\n")
    with pytest.raises(SetupError, match=rf"--api-keys {file}: .*reflex keys new"):
        KeyRing.read(file, clock)


def test_a_key_without_a_limit_has_none(file: Path, clock: Clock) -> None:
    ring = KeyRing.read(file, clock)
    entry = ring.authenticate(bearer())
    for _ in range(10_000):
        ring.take(entry)


def test_a_limit_allows_a_seconds_worth_at_once_and_then_its_rate(file: Path, clock: Clock) -> None:
    ring = KeyRing.read(file, clock)
    entry = ring.authenticate(bearer(OTHER))
    assert taken(ring, entry, 100) == 10
    with pytest.raises(RateLimitedError) as caught:
        ring.take(entry)
    assert (caught.value.status, caught.value.code) == (429, "rate_limited")
    assert caught.value.retry_after_s == pytest.approx(0.1)
    clock.now_s += caught.value.retry_after_s or 0.0
    clock.now_s += 1e-9
    assert taken(ring, entry, 100) == 1
    clock.now_s += 3600
    assert taken(ring, entry, 100) == 10


def test_retry_after_is_what_is_missing_of_the_next_request(file: Path, clock: Clock) -> None:
    ring = KeyRing.read(file, clock)
    entry = ring.authenticate(bearer(OTHER))
    taken(ring, entry, 10)
    clock.now_s += 0.075
    with pytest.raises(RateLimitedError) as caught:
        ring.take(entry)
    assert caught.value.retry_after_s == pytest.approx(0.025)


def test_over_a_minute_no_more_pass_than_the_limit_and_one_burst(file: Path, clock: Clock) -> None:
    ring = KeyRing.read(file, clock)
    entry = ring.authenticate(bearer(OTHER))
    passed = 0
    for _ in range(60 * 100):
        passed += taken(ring, entry, 1)
        clock.now_s += 0.01
    assert 600 <= passed <= 610


def test_a_limit_below_one_a_second_lets_one_pass(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "slow"
    add_entry(file, KeyEntry("slow", digest_of(KEY.encode()), 0.1))
    ring = KeyRing.read(file, clock)
    entry = ring.authenticate(bearer())
    assert taken(ring, entry, 5) == 1
    clock.now_s += 9.9
    assert taken(ring, entry, 5) == 0
    clock.now_s += 0.2
    assert taken(ring, entry, 5) == 1


def test_each_key_has_its_own_limit_and_a_reload_does_not_refill_it(file: Path, clock: Clock) -> None:
    third = new_key()
    ring = KeyRing.read(file, clock)
    entry = ring.authenticate(bearer(OTHER))
    assert taken(ring, entry, 100) == 10
    add_entry(file, KeyEntry("third", digest_of(third.encode()), 5.0))
    clock.now_s += 0.5
    ring.look()
    assert taken(ring, ring.authenticate(bearer(third)), 100) == 5
    assert taken(ring, ring.authenticate(bearer(OTHER)), 100) == 5


def test_what_a_key_used_up_is_forgotten_with_it(file: Path, clock: Clock) -> None:
    third = KeyEntry("third", digest_of(new_key().encode()), 5.0)
    ring = KeyRing.read(file, clock)
    other = ring.authenticate(bearer(OTHER))
    assert taken(ring, other, 100) == 10
    file.write_text(third.as_line())
    ring.look()
    assert taken(ring, third, 100) == 5

    file.write_text(third.as_line() + other.as_line())
    ring.look()
    assert taken(ring, ring.authenticate(bearer(OTHER)), 100) == 10


def test_no_key_is_in_what_is_said_or_logged(file: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ring = KeyRing.read(file, clock)
    unknown = new_key()
    said = str(refusal(ring, bearer(unknown)))
    file.write_text(f"{unknown}\n")
    ring.look()
    ring.authenticate(bearer())
    everything = said + caplog.text + repr(ring.authenticate(bearer())) + repr(ring)
    assert unknown not in everything
    assert KEY not in everything


def is_known(ring: KeyRing) -> bool:
    with contextlib.suppress(UnauthorizedError):
        return ring.authenticate(bearer()).name == "arm"
    return False


def taken(ring: KeyRing, entry: KeyEntry, asked: int) -> int:
    passed = 0
    for _ in range(asked):
        try:
            ring.take(entry)
        except RateLimitedError:
            continue
        passed += 1
    return passed


def test_a_file_that_was_looked_at_five_seconds_ago_is_not_overdue_and_one_longer_ago_is(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ring = KeyRing.read(file, clock)
    for _ in range(2):
        clock.now_s += 5
        ring.authenticate(bearer())
        ring.look()
    assert not caplog.records
    for _ in range(2):
        clock.now_s += 5.5
        ring.authenticate(bearer())
        ring.look()
        ring.authenticate(bearer())
    assert ["does not answer" in record.message for record in caplog.records] == [True, True]


def test_a_file_that_is_gone_damaged_or_open_to_all_makes_the_keys_stale_until_it_is_back(
    file: Path, clock: Clock
) -> None:
    ring = KeyRing.read(file, clock)
    assert ring.stale is None
    content = file.read_bytes()
    file.unlink()
    ring.look()
    assert ring.stale == "the key file is missing or damaged; the last keys hold on"
    for damaged in (b"no entry\n", b"\xff"):
        file.write_bytes(damaged)
        ring.look()
        assert ring.stale is not None
    file.write_bytes(content)
    ring.look()
    assert ring.stale is None
    file.chmod(0o666)
    ring.look()
    assert ring.stale is not None
    file.chmod(0o600)
    ring.look()
    assert ring.stale is None
    clock.now_s += 2 * watched_file.OVERDUE_S
    assert ring.stale == "the key file's disk does not answer; the last keys hold on"
