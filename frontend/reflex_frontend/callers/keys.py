"""Who may ask: the keys of a file, read again when it changes, and the limit of each.

No key, a malformed, an unknown and a revoked one get the same 401. Nothing of a key leaves this module: not into an
error, a log or a metric; `KeyEntry.name` may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reflex.api_keys import KEY_CHARACTERS, KeyEntry, digest_of, parse_key_file
from reflex.errors import RateLimitedError, SetupError, UnauthorizedError
from reflex.wire import AUTHORIZATION_HEADER, KEY_HEADER
from reflex_frontend.callers.presented import secrets_in
from reflex_frontend.callers.watched_file import FileWords, WatchedFile

__all__ = ["KeyRing"]

BURST_S: Final = 1.0
"""Who was silent may ask so many seconds' worth at once."""
WORDS: Final = FileWords("API keys", "the key file", "--api-keys", "`reflex keys new --name NAME --file FILE`")


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

    An empty file revokes all keys, a missing one none.
    """

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._now = now
        # The file's thread replaces it whole, and never changes what the loop may be reading.
        self._entries: Mapping[bytes, KeyEntry] = {}
        self._buckets: dict[bytes, _Bucket] = {}
        self._file = WatchedFile(path, WORDS, self._replace, now)

    @classmethod
    def read(cls, path: Path, now: Callable[[], float]) -> KeyRing:
        """Read the file once. Raises `SetupError` when it cannot be read, is no key file, or holds no key."""
        ring = cls(path, now)
        if not ring._file.read():
            raise SetupError(
                f"--api-keys {path}: the key file holds no key, so nobody could ask; make one with {WORDS.made_by}"
            )
        return ring

    @property
    def stale(self) -> str | None:
        """Why the file was not read again, so that a key that was taken back still works; None while all is well."""
        return self._file.stale

    def watch(self) -> None:
        """Look at the file from now on, until `close`."""
        self._file.watch()

    def close(self) -> None:
        """Look at the file no more; the keys that were last read stay."""
        self._file.close()

    def authenticate(self, headers: Iterable[tuple[bytes, bytes]]) -> KeyEntry:
        """Whose request this is, by its raw headers with names in lower case; raises `UnauthorizedError`."""
        self._file.note_whether_overdue()
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
        """Read the file, and replace the keys when it has changed."""
        self._file.look()

    def _replace(self, content: bytes) -> int:
        self._entries = {entry.digest: entry for entry in parse_key_file(content)}
        return len(self._entries)

    def _forget_buckets_without_key(self) -> None:
        entries = self._entries
        self._buckets = {digest: bucket for digest, bucket in self._buckets.items() if digest in entries}


def _key_in(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key of a request; None when there is none, or it is unclear which is meant."""
    given = secrets_in(headers)
    by_header = {name for name, _ in given}
    keys = {key for _, key in given}
    if len(keys) != 1 or len(given) != len(by_header):
        return None
    key = keys.pop()
    return key if len(key) == KEY_CHARACTERS else None
