"""What a start reads, and what can be found wrong before Triton is started: nobody then waits for an answer that is no.

A read from a disk that is gone, like a network mount whose server is away, may never return, and nothing interrupts it.
So each is made by a thread of its own, which is left behind if need be, and signals are heard meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from reflex.correction.files import read_head
from reflex.correction.head import CorrectionHead
from reflex.errors import SetupError
from reflex.gpus import Wanted, read_machine
from reflex.policy_config import PolicyConfig
from reflex_frontend.callers.keys import KeyRing
from reflex_frontend.callers.keyset_file import KeysetFile, require_signatures
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.embedded.own_thread import in_its_own_thread
from reflex_frontend.motion.correction import require_correctable
from reflex_frontend.motion.fitness import require_prefix, require_rtc
from reflex_frontend.observing.recording.directory import prepare_directory
from reflex_frontend.observing.tracing import require_tracing
from reflex_frontend.policy.policy import find_repository
from reflex_frontend.policy.policy_set import PolicySet, load_policy_set
from reflex_frontend.policy.variants import require_velocity_change
from reflex_frontend.settings import Settings

__all__ = ["Beforehand", "look_beforehand"]

DISK_S: Final = 10.0
"""For a key file or a new folder. What a policy needs may take longer: it is as long as the disk is slow."""

DRIVER_S: Final = 30.0
"""For a driver that has to wake its cards up; those of a large machine take some seconds."""

T = TypeVar("T")


@dataclass(frozen=True)
class Beforehand:
    """What has been read."""

    keys: KeyRing | None
    keyset_file: KeysetFile | None
    repository: Path
    policy_set: PolicySet
    device: DeviceInUse
    correction_head: CorrectionHead | None = None


async def look_beforehand(settings: Settings) -> Beforehand:
    """`SetupError` for keys, a folder of recordings, a collector or a policy that the server could not work with."""
    keys = None
    if settings.api_keys is not None:
        keys = await _soon(f"--api-keys {settings.api_keys}", KeyRing.read, settings.api_keys, time.monotonic)
    keyset_file = None
    if settings.session_key is not None:
        option = f"--session-key {settings.session_key}"
        keyset_file = await _soon(option, KeysetFile.read, settings.session_key, time.monotonic)
    if settings.asks_for_sessions:
        require_signatures()
    if settings.record is not None:
        await _soon(f"--record {settings.record}", prepare_directory, settings.record)
    if settings.otel_endpoint is not None:
        require_tracing()
    head = None
    if settings.a2c2_checkpoint is not None:
        head = await _soon(f"--a2c2-checkpoint {settings.a2c2_checkpoint}", read_head, settings.a2c2_checkpoint)
    repository = await in_its_own_thread(find_repository, settings.model_repository)
    policy_set = await in_its_own_thread(load_policy_set, repository, settings)
    if settings.rtc:
        require_rtc(settings, policy_set.answering)
    if settings.prefix_cache_mb is not None:
        for policy in policy_set.answering:
            require_prefix(policy, settings.prefix_cache_mb)
    if settings.tell_velocity_change:
        for policy in policy_set.answering:
            require_velocity_change(policy.config, "--tell-velocity-change")
    if head is not None:
        require_correctable(head, policy_set.answering)
    device = DeviceInUse.elsewhere()
    if settings.triton is None:
        for config in policy_set.configs:
            _require_servable_engine(config)
        device = await _device(settings.device)
    return Beforehand(keys, keyset_file, repository, policy_set, device, head)


async def _device(wanted: Wanted) -> DeviceInUse:
    """Of a driver that hangs nobody would learn otherwise why nothing goes on."""
    if wanted == "cpu":
        return DeviceInUse()
    answer = in_its_own_thread(read_machine)
    done, _ = await asyncio.wait((answer,), timeout=DRIVER_S)
    if not done:
        answer.cancel()
        raise SetupError(
            f"NVIDIA's driver has not answered for {DRIVER_S:g} s; restart the machine, or serve with --device cpu"
        )
    return DeviceInUse(wanted, answer.result())


def _require_servable_engine(config: PolicyConfig) -> None:
    if config.engine == "tensorrt":
        raise SetupError(
            f"{config.policy_id} runs as engines of TensorRT, which the embedded Triton has no backend for; serve it "
            "from NVIDIA's container with --triton grpc://HOST:8001, or export it again and serve its ONNX here"
        )


async def _soon(option: str, read: Callable[..., T], *arguments: object) -> T:
    answer = in_its_own_thread(read, *arguments)
    done, _ = await asyncio.wait((answer,), timeout=DISK_S)
    if not done:
        answer.cancel()
        raise SetupError(
            f"{option}: its disk has not answered for {DISK_S:g} s; see whether it is mounted, then try again"
        )
    return answer.result()
