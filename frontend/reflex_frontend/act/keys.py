"""Who may ask: the keys of a file, read again when it changes, and the limit of each.

No key, a malformed, an unknown and a revoked one get the same 401. Nothing of a key leaves this module: not into an
error, a log or a metric; `KeyEntry.name` may.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reflex.api_keys import KEY_CHARACTERS, KeyEntry, digest_of, parse_key_file, read_key_file
from reflex.errors import RateLimitedError, SetupError, UnauthorizedError
from reflex.wire import AUTHORIZATION_HEADER, KEY_HEADER, raw_name

__all__ = ["KeyRing"]

AUTHORIZATION: Final = raw_name(AUTHORIZATION_HEADER)
KEY: Final = raw_name(KEY_HEADER)

POLL_EVERY_S: Final = 0.5
"""A key that is removed from the file works for at most that long, and the time to read it; promised is a second."""
OVERDUE_S: Final = 5.0
"""The file was not looked at for so long: its disk hangs."""
CLOSE_S: Final = 0.5
"""So long the end waits for a look that has begun; one at a disk that hangs is left to itself."""
BURST_S: Final = 1.0
"""Who was silent may ask so many seconds' worth at once."""

log = logging.getLogger("reflex.keys")


@dataclass
class _Bucket:
    """Tokens of one key: refilled at its rate, at least one and at most a second's worth."""

    rate_per_s: float
    filled_at: float
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.size

    @property
    def size(self) -> float:
        return max(1.0, self.rate_per_s * BURST_S)

    def take(self, now: float) -> float:
        """Take a token; 0, or the seconds until there is one."""
        self.tokens = min(self.size, self.tokens + (now - self.filled_at) * self.rate_per_s)
        self.filled_at = now
        if self.tokens < 1.0:
            return (1.0 - self.tokens) / self.rate_per_s
        self.tokens -= 1.0
        return 0.0


class KeyRing:
    """The keys of one file, for the event loop's thread; `now` is a monotonic clock in seconds. Close it at the end.

    A thread of its own looks at the file twice a second and reads it whole: a time stamp may be the same after a
    change, the content is not. So neither a long file nor a disk that hangs stops the loop. While the file cannot be
    read or is no key file, the keys that were last read hold on, and the log says so: an empty file revokes all keys,
    a missing one none.
    """

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        # The thread replaces these two whole, and never changes what the loop may be reading.
        self._entries: Mapping[bytes, KeyEntry] = {}
        self._looked_at = now()
        self._content = b""
        self._problem: str | None = None
        self._is_overdue = False
        self._buckets: dict[bytes, _Bucket] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="api-keys", daemon=True)

    @classmethod
    def read(cls, path: Path, now: Callable[[], float]) -> KeyRing:
        """Read the file once. Raises `SetupError` when it cannot be read, is no key file, or holds no key."""
        ring = cls(path, now)
        try:
            ring._replace(read_key_file(path))
        except OSError as exc:
            raise SetupError(
                f"--api-keys {path}: the key file cannot be read ({exc.strerror}); `reflex keys new --name NAME "
                "--file FILE` makes one"
            ) from exc
        except SetupError as exc:
            raise SetupError(f"--api-keys {path}: {exc}") from exc
        if not ring._entries:
            raise SetupError(
                f"--api-keys {path}: the key file holds no key, so nobody could ask; make one with "
                "`reflex keys new --name NAME --file FILE`"
            )
        return ring

    @property
    def stale(self) -> str | None:
        """Why the file was not read again, so that a key that was taken back still works; None while all is well."""
        self._note_whether_overdue()
        if self._is_overdue:
            return "the key file's disk does not answer; the last keys hold on"
        return None if self._problem is None else "the key file is missing or damaged; the last keys hold on"

    def watch(self) -> None:
        """Look at the file from now on, until `close`."""
        self._looked_at = self._now()
        self._thread.start()

    def close(self) -> None:
        """Look at the file no more; the keys that were last read stay."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def authenticate(self, headers: Iterable[tuple[bytes, bytes]]) -> KeyEntry:
        """Whose request this is, by its raw headers with names in lower case; raises `UnauthorizedError`."""
        self._note_whether_overdue()
        key = _key_in(headers)
        # A lookup by digest tells nothing by its time: whoever guesses cannot steer what the digest begins with.
        entry = None if key is None else self._entries.get(digest_of(key))
        if entry is None:
            raise UnauthorizedError(
                "unauthorized",
                f"send a valid API key as '{AUTHORIZATION_HEADER}: Bearer KEY' or '{KEY_HEADER}: KEY'",
            )
        return entry

    def take(self, entry: KeyEntry) -> None:
        """Count one request against the key's own limit; raises `RateLimitedError`."""
        if entry.limit_per_s is None:
            return
        bucket = self._buckets.get(entry.digest)
        if bucket is None or bucket.rate_per_s != entry.limit_per_s:
            self._forget_buckets_without_key()
            bucket = self._buckets[entry.digest] = _Bucket(entry.limit_per_s, self._now())
        wait_s = bucket.take(self._now())
        if wait_s > 0:
            raise RateLimitedError(
                "rate_limited",
                "this key has used up its requests; retry after Retry-After",
                retry_after_s=wait_s,
                context={"limit_per_s": entry.limit_per_s},
            )

    def look(self) -> None:
        """Read the file, and replace the keys when it has changed. The thread does; takes as long as the disk."""
        try:
            content = read_key_file(self._path)
            if content != self._content:
                self._replace(content)
                log.info("API keys read again", extra={"keys": len(self._entries)})
        except OSError as exc:
            self._complain(f"the key file cannot be read: {exc.strerror}")
        except SetupError as exc:
            self._complain(str(exc))
        else:
            self._problem = None
        self._looked_at = self._now()

    def _watch(self) -> None:
        while not self._closing.wait(POLL_EVERY_S):
            try:
                self.look()
            except Exception:
                log.exception("the key file could not be looked at")

    def _replace(self, content: bytes) -> None:
        self._entries = {entry.digest: entry for entry in parse_key_file(content)}
        self._content = content

    def _forget_buckets_without_key(self) -> None:
        entries = self._entries
        self._buckets = {digest: bucket for digest, bucket in self._buckets.items() if digest in entries}

    def _note_whether_overdue(self) -> None:
        """The thread cannot say that it hangs."""
        is_overdue = self._now() - self._looked_at > OVERDUE_S
        if is_overdue != self._is_overdue:
            self._is_overdue = is_overdue
            if is_overdue:
                log.error("API keys not read again, the last ones hold on: the key file's disk does not answer")

    def _complain(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            log.error("API keys not read again, the last ones hold on: %s: %s", self._path, problem)


def _key_in(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key of a request; None when there is none, or it is unclear which is meant."""
    given = [found for name, value in headers if (found := _key_of(name, value)) is not None]
    by_header = {name for name, _ in given}
    keys = {key for _, key in given}
    if len(keys) != 1 or len(given) != len(by_header):
        return None
    key = keys.pop()
    return key if len(key) == KEY_CHARACTERS else None


def _key_of(name: bytes, value: bytes) -> tuple[bytes, bytes] | None:
    """Of Authorization only Bearer is ours: another scheme may be meant for a proxy."""
    if name == KEY:
        return name, value.strip(b" \t")
    if name == AUTHORIZATION:
        scheme, _, key = value.partition(b" ")
        return (name, key.strip(b" \t")) if scheme.lower() == b"bearer" else None
    return None
