"""What the log says once a server is ready: where it is, what it serves, and what its operator should know of that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from reflex.gpus import Serving
from reflex.policy_config import PolicyConfig
from reflex.readiness.precision_proof import precision_proof, proof_in_words, proof_remedy
from reflex.serving.listener import EVERY_ADDRESS
from reflex.wire import PrecisionProof
from reflex_frontend.callers.sessions import NO_KEYSET, Sessions
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.exchange.routing import Router
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.settings import Settings

__all__ = ["Announcement"]

log = logging.getLogger("reflex.serve")


@dataclass(frozen=True)
class Announcement:
    """What a person sees of a server that starts. `url` is its own address, `triton` that of its Triton."""

    router: Router
    settings: Settings
    shadow: PolicyConfig | None
    url: str
    triton: str
    sessions: Sessions | None = None
    device: DeviceInUse = field(default_factory=DeviceInUse.elsewhere)

    async def wait(self) -> None:
        """Until every slot is ready; says what is being waited for."""
        said = None
        while (waiting := self._waited_for()) is not None:
            if waiting != said:
                said = waiting
                log.info("warming: %s", said)
            await asyncio.sleep(0.05)

    def say(self, took_s: float) -> None:
        """One line that says that it is ready and where, and then what should not go unnoticed."""
        log.info("%s", self.ready_line(took_s))
        if also := self.also():
            log.info("%s", also)
        for warning in self.warnings():
            log.warning("%s", warning)

    def ready_line(self, took_s: float) -> str:
        """One line; its form is what scripts look for."""
        host = self.settings.host
        reached = f"; robots use this machine's address in place of {host}" if host in EVERY_ADDRESS else ""
        return (
            f"ready: POST {self.url}/act serves {self._served()} on Triton at {self.triton}{self._card()} "
            f"after {took_s:.1f} s; Ctrl-C stops{reached}"
        )

    def also(self) -> str:
        """What is at work besides the policies that answer; empty when nothing is."""
        settings = self.settings
        parts = [
            self.shadow and f"shadow: {self.shadow.model_version}, {settings.shadow_percent:g} % of the answers",
            settings.session_key and f"sessions by the keys of {settings.session_key}",
            settings.sessions_from and f"sessions of the control plane at {settings.sessions_from}",
            settings.record and f"recording to {settings.record}, images: {settings.record_images}",
            settings.otel_endpoint and f"traces to {settings.otel_endpoint}",
            settings.rtc and "real-time chunking",
            settings.adaptive_steps and "adaptive denoising steps",
            settings.prefix_cache_mb and f"prefixes of observations kept in {settings.prefix_cache_mb:g} MB",
            settings.slo and f"SLO {settings.slo.text} ({settings.slo_mode})",
            None if settings.guard else "guard OFF: a policy's mistake reaches the motors",
        ]
        return "; ".join(part for part in parts if part)

    def warnings(self) -> Iterator[str]:
        """One for each trained policy that was not held against its checkpoint, missed its gate, or was not measured.

        And one for each thing that an export warned of, and for answers that are held back.
        """
        if self.settings.inject_latency_ms:
            yield (
                f"every answer is held back for {self.settings.inject_latency_ms:g} ms (--inject-latency-ms): "
                "for trials of a slow server, not for a robot at work"
            )
        yield from (f"--device auto: {sentence}" for sentence in self.device.passed_over)
        for config in self._policies():
            serving = self.device.serving(config)
            proof = precision_proof(config, serving)
            yield from _unproven(config, proof)
            yield from _only_simulated(config, proof, serving)
            yield from (f"{config.model_version} was exported with a warning: {told}" for told in config.warnings)

    def _policies(self) -> Iterator[PolicyConfig]:
        for slot in self.router.slots.values():
            yield slot.loaded.policy.config
            yield from (variant.policy.config for variant in slot.variants)
        if self.shadow is not None:
            yield self.shadow

    def _card(self) -> str:
        return f" on {self.device.card} ({self.device.name})" if self.device.card else ""

    def _waited_for(self) -> str | None:
        reasons = (slot.loaded.vitals.warming_reason for slot in self.router.slots.values())
        unloaded = next((reason for reason in reasons if reason is not None), None)
        if unloaded is None and self.sessions is not None and self.sessions.is_waiting:
            return NO_KEYSET
        return unloaded

    def _served(self) -> str:
        shown = []
        for slot in self.router.slots.values():
            policy = slot.loaded.policy
            proof = precision_proof(policy.config, self.device.serving(policy.config))
            precision = "" if proof is None else f" ({proof_in_words(proof)})"
            shown.append(f"{policy.config.model_version}{_meant_for(policy)}{precision}")
        if not self.router.has_two:
            return shown[0]
        return f"{shown[0]} to {self.router.split} % of the episodes and {shown[1]} to the rest"


def _meant_for(policy: ServedPolicy) -> str:
    if not policy.config.trained:
        return " (untrained: for trying the request path, not for a robot)"
    return " (trained, simulation only: not for a real robot)" if policy.embodiment.simulation else ""


def _unproven(config: PolicyConfig, proof: PrecisionProof | None) -> Iterator[str]:
    """What was measured where it serves needs no other comparison: an engine's record has none."""
    if proof is not None and proof["by"] == "measurement":
        return
    verdict = (config.parity or {}).get("verdict", "not checked")
    if not config.trained or verdict == "passed":
        return
    told = "failed their gate against" if verdict == "failed" else "were never compared with"
    yield (
        f"{config.model_version}: its numbers {told} those of its checkpoint; "
        f"`reflex verify REPOSITORY --policy {config.policy_id}` says how far they are apart"
    )


def _only_simulated(config: PolicyConfig, proof: PrecisionProof | None, serving: Serving | None) -> Iterator[str]:
    """Of what was compared with nothing, or missed its gate when it was exported, `_unproven` tells already."""
    if not config.trained or proof is None or (proof["by"] != "measurement" and proof["verdict"] != "passed"):
        return
    if remedy := proof_remedy(config, proof, serving):
        yield f"{config.model_version}: {proof_in_words(proof)}; {remedy}"
