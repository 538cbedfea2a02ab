"""What reflex_config.json says of an adapter that was merged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reflex.policy_config import MergedAdapterConfig
from reflex_export.checkpoint import MergedAdapter

__all__ = ["adapter_record"]

CHUNK_BYTES: Final = 1 << 20


def adapter_record(adapter: MergedAdapter | None, *, is_hashed: bool) -> MergedAdapterConfig | None:
    """`is_hashed`: the base model's weights are read to say which they are, where no commit does."""
    if adapter is None:
        return None
    return MergedAdapterConfig(
        kind=adapter.kind,
        rank=adapter.rank,
        alpha=adapter.alpha,
        rank_stabilized=adapter.is_rank_stabilized,
        base=adapter.base,
        base_hash=_hash(adapter.base_files) if is_hashed and adapter.base_files else None,
    )


def _hash(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while content := file.read(CHUNK_BYTES):
                digest.update(content)
    return f"sha256:{digest.hexdigest()}"
