"""Who may drive a robot here: whoever shows the credential of a session that lives, and that is of a served policy.

No credential, a malformed, a forged one, one by an unknown key and one of another organisation get the same 401.
Nothing of a credential leaves this module but its claims.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol

from reflex.errors import ServiceError, UnauthorizedError, UnavailableError
from reflex.signed.session_credential import PREFIX, Claims, CredentialError, read
from reflex.signed.signing import Keyset
from reflex.wire import AUTHORIZATION_HEADER
from reflex_frontend.callers.ended import EndedSessions
from reflex_frontend.callers.presented import secrets_in

__all__ = ["NO_KEYSET", "KeysetSource", "Sessions"]

RAW_PREFIX: Final = PREFIX.encode()
MOST_VERIFIED: Final = 4096
"""Credentials by their text, some 6 MB of them."""
TRY_AGAIN_S: Final = 1.0
NO_KEYSET: Final = "the control plane has not told its keys yet, or which sessions ended lately"
"""Why a server that is up admits nobody."""

Headers = Iterable[tuple[bytes, bytes]]


def _wall_ms() -> int:
    return int(time.time() * 1000)


class KeysetSource(Protocol):
    """Where keysets come from: the control plane's, a file's, or the one in front of the other."""

    @property
    def keyset(self) -> Keyset | None:
        """The one that counts now, the same object until it changes; None while none has come yet."""

    @property
    def stale(self) -> str | None:
        """Why ends of sessions, or changes of keys, are not heard of; None while all is well."""

    @property
    def organisation_id(self) -> str | None:
        """Whose sessions are answered; None: not known, and every one's whose credential is by a key of `keyset`."""

    @property
    def is_catching_up(self) -> bool:
        """What ended before this server listened is still to be told. Bounded in time."""

    async def renew(self) -> None:
        """Somebody names a key that is not in `keyset`: it may be a new one. Bounded in rate and time."""


class Sessions:
    """For the event loop's thread. `wall_ms` is the clock of credentials, milliseconds since 1970."""

    def __init__(self, keys: KeysetSource, ended: EndedSessions, wall_ms: Callable[[], int] = _wall_ms) -> None:
        self._keys = keys
        self._ended = ended
        self._wall_ms = wall_ms
        self._verified: OrderedDict[bytes, tuple[Claims, int]] = OrderedDict()
        self._verified_by: Keyset | None = None

    @property
    def is_waiting(self) -> bool:
        """No keyset has come yet, or what ended lately is not known yet, so that nobody can be let in."""
        return self._keys.keyset is None or self._keys.is_catching_up

    @property
    def stale(self) -> str | None:
        """Why a session that ended may still be answered; None while all is well."""
        return self._keys.stale

    async def admit(self, headers: Headers, served: Collection[str]) -> Claims:
        """The session that may have an answer of one of the policies with these hashes; `ServiceError` for others."""
        claims = await self.authenticate(headers)
        if claims.model_hash not in served:
            raise UnauthorizedError(
                "session_mode",
                "this session is for another policy than this server has; ask a server of its own deployment, or "
                "authorize a session of a deployment of this one",
                context={"model_version": claims.model_version},
            )
        return claims

    async def authenticate(self, headers: Headers) -> Claims:
        """The session whose credential the raw headers carry; `UnauthorizedError` when it has none, or has ended."""
        credential = _credential_in(headers)
        if credential is None:
            raise _unauthorized()
        if self.is_waiting:
            raise _not_yet()
        claims, until_ms = self._known(credential) or await self._verify(credential)
        if self._keys.organisation_id not in (None, claims.organisation_id):
            raise _unauthorized()
        if self._wall_ms() >= until_ms or claims.session_id in self._ended:
            raise _expired()
        return claims

    def _known(self, credential: bytes) -> tuple[Claims, int] | None:
        """What was verified before, by keys that still count: a signature takes longer than all the rest."""
        if self._verified_by is not self._keys.keyset:
            self._verified.clear()
            self._verified_by = self._keys.keyset
        known = self._verified.get(credential)
        if known is not None:
            self._verified.move_to_end(credential)
        return known

    async def _verify(self, credential: bytes) -> tuple[Claims, int]:
        try:
            claims, keyset = await self._read(credential.decode("ascii"))
        except CredentialError as exc:
            raise _expired() if exc.reason == "expired" else _unauthorized() from None
        except UnicodeDecodeError:
            raise _unauthorized() from None
        not_after_ms = keyset.keys[claims.key_id].not_after_ms
        until_ms = claims.expires_at_ms if not_after_ms is None else min(claims.expires_at_ms, not_after_ms + 1)
        if keyset is self._verified_by:  # and was not replaced meanwhile
            self._verified[credential] = claims, until_ms
            if len(self._verified) > MOST_VERIFIED:
                self._verified.popitem(last=False)
        return claims, until_ms

    async def _read(self, credential: str) -> tuple[Claims, Keyset]:
        keyset = self._required_keyset()
        try:
            return await asyncio.to_thread(read, credential, keyset, self._wall_ms()), keyset
        except CredentialError as exc:
            if exc.reason != "unknown_key":
                raise
        await self._keys.renew()
        if self._keys.keyset is keyset:
            raise CredentialError("unknown_key")
        keyset = self._required_keyset()
        return await asyncio.to_thread(read, credential, keyset, self._wall_ms()), keyset

    def _required_keyset(self) -> Keyset:
        keyset = self._keys.keyset
        if keyset is None:
            raise _not_yet()
        return keyset


def _credential_in(headers: Headers) -> bytes | None:
    """The one credential of a request; None without one, and with several. An API key may stand beside it."""
    given = [secret for _, secret in secrets_in(headers) if secret.startswith(RAW_PREFIX)]
    return given[0] if len(given) == 1 else None


def _not_yet() -> ServiceError:
    return UnavailableError(
        "warming_up", f"{NO_KEYSET}, so no session can be checked; see whether it is up", retry_after_s=TRY_AGAIN_S
    )


def _unauthorized() -> ServiceError:
    return UnauthorizedError(
        "unauthorized",
        f"send a session's credential as '{AUTHORIZATION_HEADER}: Bearer {PREFIX}...'; `reflex sessions authorize` "
        "gives one",
    )


def _expired() -> ServiceError:
    return UnauthorizedError(
        "session_expired", "Session expired or already closed: start a fresh one with `reflex sessions authorize`"
    )
