"""`EmbeddedTriton`: keeps one tritonserver running until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reflex.errors import RepositoryError, SetupError
from reflex.model_repository import TRITON_CONFIG_FILE
from reflex_frontend.embedded.child import Child
from reflex_frontend.embedded.cleanup import owner_prefix, remove_regions_of_dead_owners
from reflex_frontend.embedded.command import Run, server_arguments, server_environment, trampoline
from reflex_frontend.embedded.cores import default_threads, usable_cores
from reflex_frontend.embedded.layout import (
    backend_directory,
    cache_candidates,
    cache_folder,
    is_shell_safe,
    shell_safe_repository,
)
from reflex_frontend.embedded.locate import Installation, locate
from reflex_frontend.embedded.options import EmbeddedOptions, TritonEvent
from reflex_frontend.embedded.own_thread import OneAtATime
from reflex_frontend.embedded.parts import parts_of
from reflex_frontend.embedded.run_folder import RunFolder
from reflex_frontend.embedded.start_watch import (
    DIED,
    STILL,
    dead_before_serving,
    still_before_serving,
    unless_one_dies,
    waits_in_vain,
)

if TYPE_CHECKING:
    from reflex_frontend.embedded.private_repository import PrivateRepository

__all__ = ["EmbeddedTriton"]

REFRESH_S = 1.0
"""Between two looks at what else came to the repository: another frontend of this user may want it of this Triton."""

VAIN_STARTS = ((dead_before_serving, DIED), (still_before_serving, STILL))


class EmbeddedTriton:
    """A tritonserver child process with a stable gRPC address; restarted with growing delays when it dies.

    Whether it is *ready* is for the caller to ask over gRPC. `on_event` is called on the event loop. One object lives
    on one event loop; the thread of that loop must outlive it, since the kernel kills Triton with it.
    """

    def __init__(self, options: EmbeddedOptions, *, on_event: Callable[[TritonEvent], None] = lambda _: None) -> None:
        self._options = options
        self._on_event = on_event
        self._run_numbers = itertools.count(1)
        self._delay_s = options.restart_delay_s
        self._failed_starts = 0
        self._folder: RunFolder | None = None
        self._child: Child | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._private: PrivateRepository | None = None
        self._disk = OneAtATime()
        """A disk that has gone holds up what needs it, and neither the models that are in memory nor the stop."""
        self._parts: Mapping[str, frozenset[str]] = {}
        self.restarts = 0
        self.last_exit: int | None = None
        """Exit code of the last process that ended; negative is the number of the signal."""
        self._failure: str | None = None
        options.device.replays_graphs = lambda: self._child is not None and self._child.log.replays_graphs
        options.device.form_of = lambda model: None if self._child is None else self._child.log.forms.get(model)
        self.models = options.models
        """What the next start loads; who loads and unloads models through gRPC keeps it up to date."""

    @property
    def grpc_address(self) -> str:
        """`unix:<path>`, the same over restarts; known once `start` has returned."""
        if self._folder is None:
            raise RuntimeError("start() the embedded Triton before asking for its address")
        return self._folder.address

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.is_running else None

    @property
    def is_running(self) -> bool:
        return self.pid is not None

    @property
    def failure(self) -> str | None:
        """Why Triton does not serve, for a person: `model 'x': ...`; None while it serves or first starts."""
        if self._child is not None and self._child.is_running and self._child.log.serving:
            return None
        return self._failure

    @property
    def is_serving(self) -> bool:
        """Whether the running process has opened its gRPC port: before that, silence is loading, not a hang."""
        return self.is_running and self._child is not None and self._child.log.serving

    async def start(self) -> None:
        """Spawn Triton and begin to watch it; `SetupError` when this machine or the repository cannot do it."""
        if self._keeper is not None:
            raise RuntimeError("the embedded Triton is already started")
        _check_models(self._options)
        self._prepared = await self._disk.run(_prepare, self._options)
        self._threads = self._options.threads or default_threads(usable_cores())
        self._folder = RunFolder()
        try:
            if not self._options.keeps_ensembles:
                self._private = _private(self._prepared.repository, self._folder.path)
            self._child = await self._spawn(self._folder)
        except BaseException:
            self._folder.remove()
            self._folder = None
            raise
        self._keeper = asyncio.create_task(self._keep_running(self._child, self._folder), name="embedded-triton")

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stop Triton within about `grace_s` and leave nothing: no process, shared memory or file. Idempotent."""
        if self._keeper is None:
            return
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper
        self._keeper = None
        if self._child is not None:
            await self._child.stop(grace_s)
            self._child = None
        if self._folder is not None:
            self._folder.remove()
            self._folder = None
        self._on_event(TritonEvent(kind="stopped", message="Triton stopped"))

    @contextlib.asynccontextmanager
    async def loading(self, models: Collection[str]) -> AsyncIterator[None]:
        """For a load of `models`: `TimeoutError` when a process of them died as it came up, and Triton waits on."""
        if self._child is None:
            yield
            return
        with contextlib.suppress(OSError):  # Triton itself says what is wrong with the model
            await self._refresh()
        async with unless_one_dies(self._child, models):
            yield

    async def waits_in_vain(self, models: Collection[str]) -> bool:
        """Whether it has not given up a load of one of them in which a process died: it would hold the next one up."""
        return self._child is not None and await waits_in_vain(self._child, models)

    def report_hang(self, reason: str = "Triton does not answer") -> None:
        """Say that Triton can no longer do its work: it is killed and started again."""
        if self._child is not None and self._child.is_running:
            self._on_event(TritonEvent(kind="hung", message=f"{reason}; starting it again", pid=self._child.pid))
            self._child.kill()

    async def _spawn(self, folder: RunFolder) -> Child:
        try:
            await self._refresh()
        except OSError as exc:
            raise SetupError(
                f"{self._options.model_repository} cannot be shown to Triton: {exc}; see whether its disk is mounted, "
                "whether you may read it, and whether there is room for temporary files"
            ) from exc
        repository = self._prepared.repository if self._private is None else self._private.path
        self._parts = await self._disk.run(parts_of, repository, self.models)
        models = self.models if self._private is None else self._private.to_load(self.models)
        prefix = f"{owner_prefix()}{next(self._run_numbers)}_"
        ready = self._prepared
        device = self._options.device.environment(os.environ, ready.backends, ready.cache)
        run = Run(ready.installation, ready.backends, repository, prefix, self._threads, device)
        command = trampoline(run, folder, server_arguments(run, folder, self._options, models))
        environment = server_environment(run, os.environ) | {"TMPDIR": str(folder.temporary)}
        child = Child(command, environment, prefix, folder, self._options.log_path)
        self._on_event(TritonEvent(kind="started", message=f"Triton started (pid {child.pid})", pid=child.pid))
        return child

    async def _keep_running(self, child: Child, folder: RunFolder) -> None:
        while True:
            async with asyncio.TaskGroup() as tasks:
                watches = [tasks.create_task(self._watch_start(child, *each)) for each in VAIN_STARTS]
                watches.append(tasks.create_task(self._watch_repository()))
                await child.wait()
                for watch in watches:
                    watch.cancel()
            await child.dispose()
            if self._note_exit(child):
                return
            self._child = child = await self._respawn(folder)

    async def _watch_start(self, child: Child, is_in_vain: Callable[[Child], Awaitable[bool]], reason: str) -> None:
        if await is_in_vain(child):
            self.report_hang(reason)

    async def _watch_repository(self) -> None:
        """Until cancelled."""
        while self._private is not None:
            await asyncio.sleep(REFRESH_S)
            with contextlib.suppress(OSError):  # a disk that comes back is seen by the next look
                await self._disk.run(self._private.keep_up)

    async def _refresh(self) -> None:
        """Let Triton see what the repository on disk holds by now."""
        if self._private is not None:
            await self._disk.run(self._private.refresh)

    async def _respawn(self, folder: RunFolder) -> Child:
        """Start again after the delay, and again when the machine cannot start a process at the moment."""
        while True:
            await asyncio.sleep(self._next_delay_s())
            self.restarts += 1
            try:
                return await self._spawn(folder)
            except (OSError, SetupError) as exc:
                self._failure = str(exc)
                self._on_event(TritonEvent(kind="exited", message=f"Triton cannot be started: {exc}",
                                           restart_in_s=self._delay_s))  # fmt: skip

    def _note_exit(self, child: Child) -> bool:
        """Record and report an exit that nobody asked for; True when it is time to give up."""
        self.last_exit = child.exit_code
        has_served = child.log.serving
        # Into one that serves others load models, too, like those of a rollout: they do not come with the next start.
        self._failure = child.log.failure(self._own_models() if has_served else None)
        self._failed_starts = 0 if has_served else self._failed_starts + 1
        if child.uptime_s >= self._options.healthy_after_s:
            self._delay_s = self._options.restart_delay_s
        device = self._options.device
        steps_down = self._failure is not None and device.step_down(self._failure, has_served=has_served)
        if steps_down:
            self._failed_starts, self._delay_s = 0, self._options.restart_delay_s
        gives_up = self._failed_starts == self._options.max_failed_starts
        how = _how_it_ended(child.exit_code)
        self._on_event(
            TritonEvent(
                kind="gave_up" if gives_up else "exited",
                message=(f"Triton {how}: {self._failure}" if self._failure else f"Triton {how}")
                + (f"; --device auto takes {device.name} now" if steps_down else ""),
                pid=child.pid,
                exit_code=child.exit_code,
                restart_in_s=None if gives_up else self._delay_s,
                log_tail=child.log.tail(),
            )
        )
        return gives_up

    def _own_models(self) -> frozenset[str]:
        """What it is to hold, by the names that Triton gives them in its log."""
        return frozenset(self.models).union(*(self._parts.get(model, ()) for model in self.models))

    def _next_delay_s(self) -> float:
        delay_s = self._delay_s
        self._delay_s = min(2 * delay_s, self._options.restart_delay_max_s)
        return delay_s


def _check_models(options: EmbeddedOptions) -> None:
    for model in options.models:
        if not is_shell_safe(model) or "/" in model:
            raise RepositoryError(f"model name {model!r}: use letters, digits, `_`, `-` and `.` only")
        if not (options.model_repository / model / TRITON_CONFIG_FILE).is_file():
            raise RepositoryError(
                f"{options.model_repository} has no model '{model}' (no {model}/config.pbtxt); "
                "name another one with --policy or another folder with --model-repository"
            )


@dataclass(frozen=True)
class _Prepared:
    installation: Installation
    backends: Path
    repository: Path
    cache: Path


def _prepare(options: EmbeddedOptions) -> _Prepared:
    """Everything that touches the disk before the first start."""
    remove_regions_of_dead_owners()
    installation = locate()
    cache = cache_folder(cache_candidates(os.environ))
    repository = shell_safe_repository(options.model_repository, cache)
    return _Prepared(installation, backend_directory(installation, cache), repository, cache)


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"exited with code {exit_code}"


def _private(repository: Path, folder: Path) -> PrivateRepository:
    from reflex_frontend.embedded.private_repository import PrivateRepository  # the Triton image has no tritonclient

    return PrivateRepository(repository, folder)
