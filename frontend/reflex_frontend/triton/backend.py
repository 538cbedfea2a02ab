"""The Triton behind the frontend: our own child process, or one elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from reflex.policy_config import PolicyConfig
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton, TritonEvent
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.settings import Settings
from reflex_frontend.triton.gateway import TritonGateway
from reflex_frontend.triton.model_control import TritonModelControl

__all__ = ["TritonBackend"]

STOP_GRACE_S: Final = 2.0
"""Every request has its answer by now; a Triton that takes longer to stop is hung."""

log = logging.getLogger("reflex.triton")


class TritonBackend:
    """Starts what must be started, tells `on_down` when it is gone, and makes the connections to it.

    With `settings.triton` the Triton is somebody else's: it is never started, restarted or stopped from here.
    """

    def __init__(
        self,
        settings: Settings,
        repository: Path,
        policies: Iterable[PolicyConfig],
        device: DeviceInUse | None = None,
    ) -> None:
        self.on_down: Callable[[str], None] = lambda _reason: None
        """Told in words why Triton is gone."""
        self._hang_restart_s = settings.hang_restart_s
        self._remote_address = settings.triton
        self._remote_metadata = settings.triton_admin_metadata
        self._embedded: EmbeddedTriton | None = None
        self._gateways: list[TritonGateway] = []
        self._control: TritonModelControl | None = None
        if self._remote_address is None:
            wanted = list(policies)
            models = tuple(dict.fromkeys(model for config in wanted for model in config.models))
            options = EmbeddedOptions(
                model_repository=repository,
                models=models,
                tolerates_broken_models=len(wanted) > 1,
                # A prefix is kept between two of its models: they must be there one by one.
                keeps_ensembles=settings.keep_ensembles or settings.prefix_cache_mb is not None,
                device=DeviceInUse() if device is None else device,
            )
            self._embedded = EmbeddedTriton(options, on_event=self._note)

    @property
    def address(self) -> str:
        return self._remote_address or (self._embedded.grpc_address if self._embedded else "")

    @property
    def waiting_for(self) -> str:
        """What a policy that is not ready waits for, in words for /health."""
        if self._embedded is not None:
            return "starting the embedded Triton and loading the policy"
        return f"waiting for the policy to be ready on the Triton at {self.address}"

    @property
    def control(self) -> TritonModelControl:
        """Loads and unloads models; known once `start` has returned."""
        if self._control is None:
            self._control = TritonModelControl(self.address, self._remote_metadata, self._embedded)
        return self._control

    @property
    def may_reload(self) -> bool:
        """Whether to unload and load models unasked: never on a Triton of which we were given no admin header."""
        return self._embedded is not None or bool(self._remote_metadata)

    async def start(self) -> None:
        """Spawn the embedded Triton; `SetupError` when this machine cannot run it. Does not wait until it is ready."""
        if self._embedded is not None:
            await self._embedded.start()

    def gateway(self, policy_id: str, outputs: tuple[str, ...] = ("actions",)) -> TritonGateway:
        """The calls of one policy, which ask for `outputs`, over a connection of its own."""
        self._gateways = [gateway for gateway in self._gateways if not gateway.is_closed]
        gateway = TritonGateway(self.address, policy_id, outputs)
        self._gateways.append(gateway)
        return gateway

    def keep_loaded(self, policies: Iterable[PolicyConfig]) -> None:
        """What an embedded Triton loads when it has to be started again."""
        if self._embedded is not None:
            self._embedded.models = tuple(dict.fromkeys(model for config in policies for model in config.models))

    async def stop(self) -> None:
        for gateway in self._gateways:
            await gateway.close()
        if self._control is not None:
            await self._control.close()
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
            self.on_down(event.message)
