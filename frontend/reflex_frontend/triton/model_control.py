"""Loading and unloading models on a running Triton, through the repository calls of its gRPC API."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2

from reflex_frontend.embedded.start_watch import IN_VAIN
from reflex_frontend.errors import ModelControlError
from reflex_frontend.triton.channel import Channel, service_call

__all__ = ["ModelControl", "TritonModelControl"]

LOAD_TIMEOUT_S: Final = 600.0
"""An engine of several gigabytes from a network disk."""
UNLOAD_TIMEOUT_S: Final = 30.0
INDEX_S: Final = 1.0


class ModelControl(Protocol):
    """What a change of policies needs of Triton."""

    async def load(self, policy_id: str, models: Collection[str]) -> None: ...
    async def unload(self, model: str) -> None: ...
    async def why_unready(self, models: Collection[str]) -> str | None: ...


class LoadWatch(Protocol):
    """Sees what Triton does not: that a load is in vain. Of an embedded Triton alone."""

    def loading(self, models: Collection[str]) -> contextlib.AbstractAsyncContextManager[None]:
        """Stands round a load, and ends it with a `TimeoutError` that says why."""

    async def waits_in_vain(self, models: Collection[str]) -> bool: ...


@dataclass
class TritonModelControl:
    """The calls themselves; `metadata` is what a restricted API asks for."""

    address: str
    metadata: tuple[tuple[str, str], ...] = ()
    watch: LoadWatch | None = None
    _channel: Channel = field(init=False)

    def __post_init__(self) -> None:
        self._channel = Channel(self.address)
        self._load = service_call(self._channel, "RepositoryModelLoad")
        self._unload = service_call(self._channel, "RepositoryModelUnload")
        self._index = service_call(self._channel, "RepositoryIndex")

    async def load(self, policy_id: str, models: Collection[str]) -> None:
        """Returns when the policy can answer; `ModelControlError` when it cannot load.

        `models` are those of it that Triton has yet to load. One that it waits for in vain is told at once.
        """
        await self._refuse_in_vain(policy_id, "load", models)
        request = service_pb2.RepositoryModelLoadRequest(model_name=policy_id)
        try:
            async with self.watch.loading(models) if self.watch else contextlib.nullcontext():
                await self._load(request, metadata=self.metadata, timeout=LOAD_TIMEOUT_S)
        except TimeoutError as exc:
            raise ModelControlError(f"Triton cannot load {policy_id}: {exc}") from None
        except grpc.aio.AioRpcError as exc:
            raise _explained(policy_id, "load", exc) from None

    async def unload(self, model: str) -> None:
        """Returns at once; Triton finishes what the model has begun."""
        await self._refuse_in_vain(model, "unload", (model,))
        request = service_pb2.RepositoryModelUnloadRequest(model_name=model)
        try:
            await self._unload(request, metadata=self.metadata, timeout=UNLOAD_TIMEOUT_S)
        except grpc.aio.AioRpcError as exc:
            raise _explained(model, "unload", exc) from None

    async def why_unready(self, models: Collection[str]) -> str | None:
        """What Triton says of the models that it could not load; None when it says nothing, or must not be asked."""
        try:
            index = await self._index(service_pb2.RepositoryIndexRequest(), metadata=self.metadata, timeout=INDEX_S)
        except grpc.aio.AioRpcError:
            return None
        failed = [entry for entry in index.models if entry.name in models and entry.state == "UNAVAILABLE"]
        reasons = [f"{entry.name}: {_without_paths(_first_line(entry.reason))}" for entry in failed if entry.reason]
        return f"Triton cannot load {'; '.join(reasons)}" if reasons else None

    async def _refuse_in_vain(self, name: str, verb: str, models: Collection[str]) -> None:
        if self.watch is not None and await self.watch.waits_in_vain(models):
            raise ModelControlError(f"Triton cannot {verb} {name}: {IN_VAIN}")

    async def close(self) -> None:
        await self._channel.close()


def _without_paths(text: str) -> str:
    """/health is for everybody: files by their names alone."""
    return re.sub(r"/[^\s:]*/", "", text)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300]


def _explained(model: str, verb: str, error: grpc.aio.AioRpcError) -> ModelControlError:
    text = _first_line(error.details() or error.code().name)
    hint = ""
    if "explicit model control" in text.lower() or "not allowed" in text.lower():
        hint = "; start Triton with --model-control-mode=explicit"
    elif "restricted" in text.lower():
        hint = "; give the header that this Triton asks for as REFLEX_TRITON_ADMIN_HEADER=name=value"
    return ModelControlError(f"Triton cannot {verb} {model}: {text}{hint}")
