"""What the server hands to the recorder: references to what it has anyway. Lines are made of it later, elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.guard import Violation
from reflex.traces.schema import RequestRecord, RtcRecord, TimingRecord, ViolationRecord
from reflex.wire import SlotName, Timing
from reflex_frontend.observation.images import Pixels
from reflex_frontend.observation.request import ImageSource
from reflex_frontend.observing.recording.images import ImageMode, RecordableImage, image_records, image_size_bytes

__all__ = ["ActEntry", "entry_size_bytes", "recordable_images", "request_record"]

Actions = npt.NDArray[np.float32]

ENTRY_BYTES: Final = 4 * 1024
"""What an entry holds beside images and chunks, generously."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActEntry:
    """One answered request; fields as in `RequestRecord`. Nothing in it may be changed afterwards."""

    request_id: str
    episode_id: str | None
    slot: SlotName
    policy: str
    status: int
    instruction: str
    state: tuple[float, ...]
    images: Mapping[str, RecordableImage] = field(default_factory=dict)
    seed: int | None = None
    seed_from_client: bool = False
    actions_raw: Actions | None = None
    actions: Actions | None = None
    """None when nothing was corrected and the guard changed nothing."""
    violations: tuple[Violation, ...] = ()
    latency_ms: float = 0.0
    timing: Timing | None = None
    """decode_ms, queue_ms, infer_ms, guard_ms."""
    denoising_steps: int | None = None
    a2c2_applied: bool = False
    rtc: RtcRecord | None = None
    rtc_reason: str | None = None
    prev_actions: tuple[tuple[float, ...], ...] | None = None
    routing_degraded: bool = False
    error: str | None = None
    session_id: str | None = None
    mode: str | None = None


def recordable_images(
    sources: Mapping[str, ImageSource], pixels: Mapping[str, Pixels] | None = None
) -> Mapping[str, RecordableImage]:
    """The images of a request as an entry takes them: encoded ones as they came, arrays as the pixels made of them.

    An array that was never decoded, because the request was refused before, is left out.
    """
    decoded = pixels or {}
    found = {
        name: source if isinstance(source, (str, bytes)) else decoded.get(name) for name, source in sources.items()
    }
    return {name: image for name, image in found.items() if image is not None}


def entry_size_bytes(entry: ActEntry) -> int:
    """How much memory the entry keeps alive, about."""
    chunks = sum(chunk.nbytes for chunk in (entry.actions_raw, entry.actions) if chunk is not None)
    chunks += 0 if entry.rtc is None else entry.rtc.prev_chunk.nbytes
    return ENTRY_BYTES + chunks + sum(map(image_size_bytes, entry.images.values()))


def request_record(record_seq: int, at: float, entry: ActEntry, images: ImageMode) -> RequestRecord:
    """The line's fields; reads, hashes and encodes the images, so it belongs off the event loop."""
    return RequestRecord(
        record_seq=record_seq,
        at=at,
        episode_id=entry.episode_id,
        request_id=entry.request_id,
        session_id=entry.session_id,
        mode=entry.mode,
        slot=entry.slot,
        policy=entry.policy,
        routing_degraded=entry.routing_degraded,
        status=entry.status,
        error=entry.error,
        instruction=entry.instruction,
        state=entry.state,
        images=image_records(entry.images, images),
        seed=entry.seed,
        seed_from_client=entry.seed_from_client,
        actions_raw=_contiguous(entry.actions_raw),
        actions=_contiguous(entry.actions),
        guard_clamped=bool(entry.violations),
        violations=tuple(ViolationRecord(*violation) for violation in entry.violations),
        latency_ms=entry.latency_ms,
        timing=None if entry.timing is None else TimingRecord(**entry.timing),
        denoising_steps=entry.denoising_steps,
        a2c2_applied=entry.a2c2_applied,
        rtc=entry.rtc,
        rtc_reason=entry.rtc_reason,
        prev_actions=entry.prev_actions,
    )


def _contiguous(chunk: Actions | None) -> Actions | None:
    """As orjson takes arrays; of what is contiguous already no copy is made."""
    return None if chunk is None else np.ascontiguousarray(chunk, np.float32)
