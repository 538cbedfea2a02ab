"""Lists and fetches files of a repository on the Hugging Face hub; what goes wrong is told with what to do next."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from reflex_export.errors import SourceError

__all__ = ["fetch", "files"]

LISTING_S: Final = 10.0
OF_THE_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
_TRANSPORT_ERRORS: Final = tuple(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception))
"""Bases of the hub's own error, whichever HTTP library this version of it uses: a dropped connection is one of them."""


def files(repository: str, commit: str, endpoint: str | None) -> Iterable[str] | None:
    """The path of every file that it has at a commit; None when it cannot be asked."""
    try:
        # Asked once: the listing of a tree is tried again for half a minute where there is no network.
        found = HfApi(endpoint).model_info(repository, revision=commit, timeout=LISTING_S)
    except _TRANSPORT_ERRORS:
        return None
    return None if found.siblings is None else [file.rfilename for file in found.siblings]


def fetch(
    repository: str, revision: str | None, patterns: Sequence[str], *, cache: Path | None, endpoint: str | None
) -> Path:
    """A folder of the cache with the files that match, named by the commit they are of."""
    try:
        return Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=list(patterns), cache_dir=cache, endpoint=endpoint
            )
        )
    except GatedRepoError as exc:
        raise SourceError(
            f"{repository} asks for its licence to be accepted: do that on its page on the hub, run "
            f"`hf auth login`, then try again; or {_by_hand(repository, revision, patterns)}"
        ) from exc
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as exc:
        at = f" at revision {revision}" if revision else ""
        raise SourceError(
            f"the hub has no repository {repository}{at} that you may read: check the name, "
            "run `hf auth login` if it is private, or give a folder"
        ) from exc
    except _TRANSPORT_ERRORS as exc:
        if isinstance(exc, OSError) and exc.errno in OF_THE_DISK:
            where = exc.filename or cache or "the cache of the hub"
            raise SourceError(
                f"{repository} cannot be kept at {where} ({exc.strerror}); make room, or set HF_HOME"
            ) from exc
        raise SourceError(
            f"{repository} is not whole in the cache and the hub cannot be reached; where there is a network, "
            f"{_by_hand(repository, revision, patterns)}"
        ) from exc


def _by_hand(repository: str, revision: str | None, patterns: Sequence[str]) -> str:
    files = "" if any("*" in pattern for pattern in patterns) else " " + " ".join(patterns)
    at = f" --revision {revision}" if revision else ""
    return f"run `hf download {repository}{files}{at} --local-dir FOLDER` and give that folder"
