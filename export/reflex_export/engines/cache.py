"""Built engines by key, shared by every policy and process of a user.

    <cache>/<key>/model.plan, manifest.json     complete, or not there
    <cache>/.<key>.partial/                     being built, or left by a killed build; its builder holds the lock
    <cache>/locks/<key>.lock
    <cache>/timing-<hash>.cache                 tactics that TensorRT measured on one kind of GPU

Nothing is ever removed; an engine that is missing is built again, so the folder can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.durable_files import take_name
from reflex.errors import SetupError
from reflex.file_lock import LockHeldError, file_lock
from reflex_export.engines.errors import EngineError
from reflex_export.engines.record import EngineManifest, EngineRecord, read_manifest

__all__ = ["LOCK_TIMEOUT_S", "PLAN_FILE", "EngineCache", "default_cache_folder"]

PLAN_FILE: Final = "model.plan"
MANIFEST_FILE: Final = "manifest.json"
LOCK_TIMEOUT_S: Final = 3_600.0
"""A 3 B model builds in 2 to 5 minutes; an hour means that the other build hangs."""


def default_cache_folder() -> Path:
    return Path.home() / ".cache" / "reflex" / "engines"


@dataclass(frozen=True)
class EngineCache:
    """Built engines under `folder`, which is made on first use."""

    folder: Path

    def find(self, key: str) -> EngineRecord | None:
        """The engine of that key; None when there is none, or one that is not whole."""
        entry = self.folder / key
        try:
            manifest = read_manifest((entry / MANIFEST_FILE).read_bytes())
            whole = (entry / PLAN_FILE).stat().st_size == manifest.plan_bytes
        except (OSError, ValueError):
            return None
        return EngineRecord(entry / PLAN_FILE, manifest, cached=True) if whole and manifest.key == key else None

    @contextmanager
    def building(
        self, key: str, on_wait: Callable[[str], object], timeout_s: float = LOCK_TIMEOUT_S
    ) -> Iterator[tuple[Path, int]]:
        """Wait until nobody else builds `key`; yields an empty folder to build in and the lock's file descriptor.

        A process that inherits the descriptor keeps the lock while it lives.
        """
        path = self._made("locks") / f"{key}.lock"
        with ExitStack() as afterwards:
            try:
                lock = afterwards.enter_context(file_lock(path, "another build", timeout_s=timeout_s, on_wait=on_wait))
            except LockHeldError as exc:
                message = f"{exc.holder} has held {path} for {timeout_s:.0f} s; end it and build again"
                raise EngineError(message) from exc
            partial = self._partial(key)
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                yield partial, lock
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def publish(self, manifest: EngineManifest) -> EngineRecord:
        """Make the engine in the build folder of `manifest.key` the cache's; only inside `building`."""
        partial, entry = self._partial(manifest.key), self.folder / manifest.key
        (partial / MANIFEST_FILE).write_bytes(manifest.to_json())
        shutil.rmtree(entry, ignore_errors=True)  # there only when it was not whole
        take_name(partial, entry)
        return EngineRecord(entry / PLAN_FILE, manifest, cached=False)

    def timing_file(self, version: str, target: str) -> Path:
        """Timings are worth nothing on another GPU or in another TensorRT."""
        name = hashlib.sha256(f"{version}\n{target}".encode()).hexdigest()[:16]
        return self._made() / f"timing-{name}.cache"

    def _partial(self, key: str) -> Path:
        return self.folder / f".{key}.partial"

    def _made(self, *parts: str) -> Path:
        folder = self.folder.joinpath(*parts)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise SetupError(f"no engine can be kept in {folder} ({exc.strerror}); choose a folder by --cache") from exc
        return folder
