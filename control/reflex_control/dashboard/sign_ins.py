"""Who is signed in: cookies that are sealed, hold no key, and mean nothing once their key is taken back.

A cookie is encrypted (`sealing`) under a secret that every replica derives from the store. It names a key of the
organisation; whether that key still holds is looked up for every request.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import threading
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag

from reflex_control.moments import MINUTE_MS
from reflex_control.plane import Plane
from reflex_control.sealing import sealed, unsealed
from reflex_control.signing_keys import active_key, derived_secrets

__all__ = ["LASTS_MS", "SignIn", "SignIns"]

LASTS_MS: Final = 12 * 60 * MINUTE_MS
"""A long shift."""
MOST_OF_A_KEY: Final = 1_000
"""Sign-outs that are remembered one by one. Whoever has more of one key gets every cookie of it ended."""
MAX_COOKIE_CHARACTERS: Final = 4_096


@dataclass(frozen=True, slots=True)
class SignIn:
    """One browser that is signed in; the key is nobody else's where it was made `by_code` for this browser."""

    id: str
    key_id: str
    until_ms: int
    by_code: bool = False


@dataclass(slots=True)
class _Ended:
    """Of one key: sign-ins by id with the time until which their cookies live, and up to which all of them are over."""

    one_by_one: dict[str, int] = field(default_factory=dict)
    all_until_ms: int = 0

    def add(self, sign_in: SignIn, now_ms: int) -> None:
        self.one_by_one = {name: until for name, until in self.one_by_one.items() if now_ms < until}
        self.one_by_one[sign_in.id] = sign_in.until_ms
        if len(self.one_by_one) > MOST_OF_A_KEY:
            self.one_by_one, self.all_until_ms = {}, now_ms + LASTS_MS

    def __contains__(self, sign_in: SignIn) -> bool:
        return sign_in.id in self.one_by_one or sign_in.until_ms <= self.all_until_ms


class SignIns:
    """Of one control plane. Which ones have signed out is remembered here, until their cookie has expired anyway."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._lock = threading.Lock()
        self._ended: defaultdict[str, _Ended] = defaultdict(_Ended)

    def begin(self, key_id: str, *, by_code: bool = False) -> SignIn:
        return SignIn(secrets.token_urlsafe(18), key_id, self._plane.clock() + LASTS_MS, by_code)

    def end(self, sign_in: SignIn) -> None:
        """Its cookie is worth nothing from now on, wherever there is a copy of it."""
        now_ms = self._plane.clock()
        with self._lock:
            self._ended[sign_in.key_id].add(sign_in, now_ms)

    def holds(self, sign_in: SignIn) -> bool:
        """Whether it has neither ended nor outlived its time; its key is looked at elsewhere."""
        if self._plane.clock() >= sign_in.until_ms:
            return False
        with self._lock:
            ended = self._ended.get(sign_in.key_id)
            return ended is None or sign_in not in ended

    def cookie_of(self, sign_in: SignIn) -> str:
        return self.seal("sign-in", asdict(sign_in))

    def read(self, cookie: str) -> SignIn | None:
        """None for everything that is not the cookie of somebody who is signed in."""
        fields = self.unseal("sign-in", cookie)
        found = None if fields is None else SignIn(**fields)
        return found if found is not None and self.holds(found) else None

    def seal(self, label: str, fields: dict[str, Any]) -> str:
        """`fields` as text that only a control plane of this store can read."""
        data = sealed(self._secrets()[0], json.dumps(fields).encode(), label.encode())
        return base64.urlsafe_b64encode(data).decode()

    def unseal(self, label: str, text: str) -> dict[str, Any] | None:
        """What was sealed under this label; None for everything else."""
        try:
            data = base64.urlsafe_b64decode(text[:MAX_COOKIE_CHARACTERS].encode())
        except ValueError:
            return None
        for secret in self._secrets():
            try:
                plain = unsealed(secret, data, label.encode())
            except (InvalidTag, ValueError):
                continue
            fields: dict[str, Any] = json.loads(plain)
            return fields
        return None

    def form_token(self, subject: str) -> str:
        """What a form of this browser holds, and no other site can know."""
        return _token(self._secrets()[0], subject)

    def is_form_token(self, subject: str, given: str) -> bool:
        return any(hmac.compare_digest(_token(secret, subject).encode(), given.encode()) for secret in self._secrets())

    def _secrets(self) -> list[bytes]:
        with self._plane.reading() as connection:
            found = derived_secrets(connection, "dashboard", self._plane.clock())
        if found:
            return found
        with self._plane.database.writing() as connection:
            active_key(connection)
            return derived_secrets(connection, "dashboard", self._plane.clock())


def _token(secret: bytes, subject: str) -> str:
    return hmac.digest(secret, f"form of {subject}".encode(), "sha256").hex()
