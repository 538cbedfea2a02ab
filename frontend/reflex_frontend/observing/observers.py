"""What looks on while robots are answered: the recording and the shadow policy, started and stopped with the server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from reflex.wire import SlotName
from reflex_frontend.exchange.instance import Instance
from reflex_frontend.exchange.observer import Observer
from reflex_frontend.exchange.routing import Router
from reflex_frontend.motion.fitness import GUIDING_OPTIONS
from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.observing.recording.observer import Recording, trace_header
from reflex_frontend.observing.recording.recorder import Recorder
from reflex_frontend.observing.recording.writer import FilePolicy
from reflex_frontend.observing.shadow import Shadow
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.settings import Settings

__all__ = ["Observers", "observers_at_work"]

CLOSE_S = 1.5
"""For what is still to be written when the server stops."""


@dataclass(frozen=True)
class Observers:
    """In the order in which they are told: the recording gives the number that the shadow's lines refer to."""

    recording: Recording | None
    shadow: Shadow | None

    @property
    def all(self) -> tuple[Observer, ...]:
        return tuple(each for each in (self.recording, self.shadow) if each is not None)

    @property
    def shadow_policy(self) -> LoadedPolicy | None:
        """The shadow's policy at work; None without one."""
        return None if self.shadow is None else self.shadow.loaded

    def note_policy(self, slot: SlotName, policy: ServedPolicy) -> None:
        """A slot has another policy now."""
        if self.recording is not None:
            self.recording.note_policy(slot, policy)

    def note_split(self, split: int) -> None:
        """The episodes are shared out anew."""
        if self.recording is not None:
            self.recording.note_split(split)


@contextlib.asynccontextmanager
async def observers_at_work(
    settings: Settings,
    router: Router,
    shadow: ServedPolicy | None,
    loader: PolicyLoader,
    instance: Instance,
    metrics: Metrics,
) -> AsyncIterator[Observers]:
    """Those that the settings ask for; `SetupError` when there cannot be a recording."""
    recording = _recording(settings, router, shadow)
    looking = None
    if shadow is not None:
        recorder = recording.recorder if recording else None
        looking = Shadow(loader.serve(shadow), instance, metrics, recorder, settings.shadow_percent)
    task = None if looking is None else loader.start_task(looking.run())
    try:
        yield Observers(recording, looking)
    finally:
        if task is not None:
            task.cancel()
        if recording is not None:
            await asyncio.to_thread(recording.recorder.close, CLOSE_S)


def _rtc_settings(settings: Settings) -> Mapping[str, object]:
    """What a replay needs to continue chunks in the same way: the options that were given."""
    given = [name for name in GUIDING_OPTIONS if name in settings.model_fields_set]
    return {name.removeprefix("rtc_"): getattr(settings, name) for name in given}


def _recording(settings: Settings, router: Router, shadow: ServedPolicy | None) -> Recording | None:
    if settings.record is None:
        return None
    shown = {
        "guard": settings.guard,
        "max_clamped_share": settings.max_clamped_share,
        "split": router.split if router.has_two else None,
        "record_images": settings.record_images,
        "slo_mode": settings.slo_mode if settings.slo else None,
        "a2c2_max_correction": settings.a2c2_max_correction if settings.a2c2_checkpoint else None,
        "rtc": _rtc_settings(settings) if settings.rtc else None,
        "adaptive_tolerance": settings.adaptive_tolerance if settings.adaptive_steps else None,
    }
    header = trace_header(router, shadow, shown)
    files = FilePolicy(by=settings.record_by, max_total_bytes=int(settings.record_max_gb * 1e9))
    recorder = Recorder(
        settings.record, header, images=settings.record_images, files=files, wall=time.time, now=time.monotonic
    )
    recorder.start()
    return Recording(recorder, header)
