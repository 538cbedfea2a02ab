"""One running tritonserver: its log is read, its end is noticed, its remains are removed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from reflex.errors import SetupError
from reflex_frontend.embedded.cleanup import kill_group, reap_group, remove_regions, wait_group_gone
from reflex_frontend.embedded.log import TritonLog
from reflex_frontend.embedded.run_folder import RunFolder

__all__ = ["Child"]

READ_BYTES = 65_536
GROUP_GONE_S = 1.0
FINALIZE_S = 0.25
"""After the last answer Triton needs about two seconds of polling to unload; models' `finalize` runs at its start."""


class Child:
    """A tritonserver in its own session and process group, bound to the thread that starts it (PR_SET_PDEATHSIG).

    Invariant: until `dispose` the process is not reaped, so its id, which is also its group's, cannot go to another.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        region_prefix: str,
        folder: RunFolder,
        log_path: Path | None,
    ) -> None:
        self.log = TritonLog()
        self.started_at_s = time.monotonic()
        self.exit_code: int | None = None
        self.died_loading: dict[int, frozenset[str]] = {}
        """By process: the models of the load in which it died as it came up."""
        self._region_prefix = region_prefix
        self._folder = folder
        self._log_file = log_path.open("ab", buffering=0) if log_path else None
        self._loop = asyncio.get_running_loop()
        self._exited = asyncio.Event()
        self._drained_or_exited = asyncio.Event()
        self._spawn(command, environment)

    @property
    def pid(self) -> int:
        """Of tritonserver: the trampoline keeps its id when it becomes the server."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return not self._exited.is_set()

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self.started_at_s

    async def wait(self) -> None:
        """Return when the process has ended, for whatever reason. Call `dispose` next."""
        await self._exited.wait()

    def kill(self) -> None:
        """SIGKILL the whole group; also ends a stopped (SIGSTOP) process."""
        if self.is_running:
            kill_group(self.pid)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, let it answer what is in flight and models finalize, at most `grace_s`, then kill what is left."""
        if self.is_running:
            os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._wait_drained()
        await self.dispose()

    async def dispose(self) -> None:
        """Kill what still runs of the group, reap it, remove its memory and temporary files. Idempotent."""
        if self.exit_code is not None:
            return
        kill_group(self.pid)
        await self._exited.wait()
        self._read_log()
        self._close()
        self.exit_code = self._process.wait()
        try:
            await asyncio.to_thread(wait_group_gone, self.pid, GROUP_GONE_S)
        finally:
            reap_group(self.pid)
            remove_regions(self._region_prefix)
            self._folder.clear()

    def _spawn(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._log_pipe, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(write_end, True)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - no shell; the command is ours
                command, env=environment, stdin=subprocess.DEVNULL, stdout=write_end, stderr=write_end,
                start_new_session=True,
            )  # fmt: skip
        except OSError as exc:
            os.close(self._log_pipe)
            raise SetupError(f"{command[0]} cannot be started: {exc.strerror}") from exc
        finally:
            os.close(write_end)
        self._exit_watch = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._log_pipe, self._read_log)
        self._loop.add_reader(self._exit_watch, self._note_exit)

    async def _wait_drained(self) -> None:
        await self._drained_or_exited.wait()
        async with asyncio.timeout(FINALIZE_S):
            await self._exited.wait()

    def _note_exit(self) -> None:
        self._loop.remove_reader(self._exit_watch)
        self._exited.set()
        self._drained_or_exited.set()

    def _read_log(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._log_pipe, READ_BYTES):
                self.log.feed(data)
                if self.log.drained:
                    self._drained_or_exited.set()
                if self._log_file:
                    self._log_file.write(data)
            self._loop.remove_reader(self._log_pipe)  # end of file: the last writer is gone

    def _close(self) -> None:
        self._loop.remove_reader(self._log_pipe)
        os.close(self._log_pipe)
        os.close(self._exit_watch)
        if self._log_file:
            self._log_file.close()
