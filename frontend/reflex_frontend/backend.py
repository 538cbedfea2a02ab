"""The Triton behind the frontend: our own child process, or one elsewhere."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from reflex.policy_config import PolicyConfig
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton, TritonEvent
from reflex_frontend.gateway import TritonGateway
from reflex_frontend.policy import COMPONENTS
from reflex_frontend.settings import Settings
from reflex_frontend.vitals import Vitals

__all__ = ["TritonBackend"]

STOP_GRACE_S: Final = 2.0
"""Every request has its answer by now; a Triton that takes longer to stop is hung."""

log = logging.getLogger("reflex.triton")


class TritonBackend:
    """Starts what must be started, tells `vitals` what happens to it, and owns the one gRPC connection.

    With `settings.triton` the Triton is somebody else's: it is never started, restarted or stopped from here.
    """

    def __init__(self, settings: Settings, repository: Path, config: PolicyConfig, vitals: Vitals) -> None:
        self._vitals = vitals
        self._hang_restart_s = settings.hang_restart_s
        self._policy_id = config.policy_id
        self._remote_address = settings.triton
        self._embedded: EmbeddedTriton | None = None
        if self._remote_address is None:
            models = (config.policy_id, *(config.component(part) for part in COMPONENTS))
            options = EmbeddedOptions(model_repository=repository, models=models)
            self._embedded = EmbeddedTriton(options, on_event=self._note)
        self.gateway: TritonGateway

    @property
    def address(self) -> str:
        return self._remote_address or (self._embedded.grpc_address if self._embedded else "")

    async def start(self) -> None:
        """Spawn the embedded Triton; `SetupError` when this machine cannot run it. Does not wait until it is ready."""
        if self._embedded is not None:
            self._vitals.warming_reason = "starting the embedded Triton and loading the policy"
            await self._embedded.start()
        else:
            self._vitals.warming_reason = f"waiting for {self._policy_id} to be ready on the Triton at {self.address}"
        self.gateway = TritonGateway(self.address, self._policy_id)

    async def stop(self) -> None:
        if hasattr(self, "gateway"):
            await self.gateway.close()
        if self._embedded is not None:
            await self._embedded.stop(STOP_GRACE_S)

    def restarts(self) -> int:
        return 0 if self._embedded is None else self._embedded.restarts

    def restart_if_hung(self, silent_s: float) -> bool:
        """Called while Triton does not answer, with how long it has not. True when it is being started again."""
        if self._embedded is None:
            return False
        if not self._embedded.is_serving:
            return True  # it loads its models: however long that takes, it is no hang
        if silent_s < self._hang_restart_s:
            return False
        self._embedded.report_hang()
        return True

    def restart_dead_model(self) -> None:
        """A model's process is gone, and Triton never starts one again: all of it must be started anew."""
        if self._embedded is not None:
            self._embedded.report_hang("a model's process died")
        else:
            log.error("a model's process died; restart the Triton at %s", self.address)

    def _note(self, event: TritonEvent) -> None:
        level = logging.INFO if event.kind in ("started", "stopped") else logging.ERROR
        log.log(level, event.message, extra={} if level == logging.INFO else {"log_tail": event.log_tail[-5:]})
        if event.kind in ("exited", "hung", "gave_up"):
            self._vitals.breaker.open(event.message)
            if self._vitals.warming_reason is not None:
                self._vitals.warming_reason = event.message
