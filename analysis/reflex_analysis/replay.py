"""Sends recorded requests again, with the same noise, and says where the answers differ.

Requests go one after another, each under a new request_id, for a server answers a known one from its memory. The
episode ids stay: they decide the slot. What is compared is what clients get, so after the guard on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from reflex.client import ReflexClient
from reflex.errors import ServiceError
from reflex.traces.reader import Entry, Losses, TraceReader
from reflex.traces.schema import PolicyRecord, RequestRecord
from reflex.wire import ActResult
from reflex_analysis.deviation import Deviation, Verdict, judge
from reflex_analysis.replayable import TargetPolicy, image_file, why_not

__all__ = ["Ask", "Replay", "asker", "replay_recording"]

MAX_LISTED: Final = 20
Ask: TypeAlias = Callable[[RequestRecord, Mapping[str, bytes]], ActResult]
"""Sends a recorded request with its images as files; raises `ServiceError` or `TransportError`."""

OTHER_SLOT: Final = "the server answered it from its other slot; replay against a server with one policy"

OTHERWISE: Final = (
    "real-time chunking did otherwise than now; replay whole episodes, against a server with the --rtc of the recording"
)


@dataclass
class Replay:
    """How a replay went so far. `skipped` counts requests that cannot be replayed, by the reason."""

    tolerance: float
    guard_recorded: bool | None = None
    guard_replayed: bool | None = None
    """None where nobody knows: a running server does not tell."""
    replayed: int = 0
    equal: int = 0
    max_abs: float = 0.0
    deviations: list[Deviation] = field(default_factory=list)
    """The first ones; `differing` counts all."""
    failures: dict[str, int] = field(default_factory=dict)
    """Requests that were answered when they were recorded, and got this error now."""
    skipped: dict[str, int] = field(default_factory=dict)
    other_hashes: dict[str, str] = field(default_factory=dict)
    """Recorded policy hash to that of the policy which answered now, where they are not the same."""
    losses: Losses = field(default_factory=Losses)

    @property
    def differing(self) -> int:
        """Requests whose answer was not within the tolerance."""
        return self.replayed - self.equal - sum(self.failures.values())

    @property
    def is_equal(self) -> bool:
        """Whether something was replayed, and all of it came out as recorded."""
        return 0 < self.replayed == self.equal


def replay_recording(
    reader: TraceReader,
    ask: Ask,
    policies: Mapping[str, TargetPolicy],
    *,
    tolerance: float = 0.0,
    limit: int | None = None,
    guard: bool | None = None,
    on_progress: Callable[[Replay], None] = lambda _: None,
) -> Replay:
    """Replay up to `limit` requests through `ask`, whose server's policies are those of `read_target_policies`.

    Equal are chunks of which no value differs by more than `tolerance`, in robot units. Raises `TransportError` when
    the server is gone.
    """
    replay = Replay(tolerance, guard_replayed=guard, losses=reader.losses)
    for entry in reader:
        if limit is not None and replay.replayed >= limit:
            break
        if isinstance(entry.record, RequestRecord):
            _replay_one(replay, entry, entry.record, ask, policies)
            on_progress(replay)
    return replay


def asker(client: ReflexClient) -> Ask:
    """Ask the server of `client`, each time under a request_id of its own."""

    def ask(record: RequestRecord, images: Mapping[str, bytes]) -> ActResult:
        asked = client if record.episode_id is None else client.episode(record.episode_id)
        return asked.act(
            state=record.state, instruction=record.instruction, images=dict(images) or None, seed=record.seed,
            executed_steps=_executed_steps(record), prev_actions=record.prev_actions,
            inference_delay_steps=None if record.rtc is None else record.rtc.delay_steps,
        )  # fmt: skip

    return ask


def _executed_steps(record: RequestRecord) -> int | None:
    """By which a server with --rtc continues what it continued, or nothing where it continued nothing."""
    if record.prev_actions is not None:
        return None
    if record.rtc is not None:
        return record.rtc.executed_steps
    is_forced = record.rtc_reason is not None and record.episode_id is not None and record.answered is not None
    return len(record.answered) if is_forced and record.answered is not None else None


def _is_continued_alike(record: RequestRecord, answer: ActResult) -> bool:
    """Whether real-time chunking did the same thing; where the rest comes from an answer that was not replayed, not."""
    is_applied = bool(answer.get("rtc_applied", False))
    if record.rtc is None or not is_applied:
        return is_applied == (record.rtc is not None)
    return answer.get("rtc_delay_steps") == record.rtc.delay_steps


def _replay_one(
    replay: Replay, entry: Entry, record: RequestRecord, ask: Ask, policies: Mapping[str, TargetPolicy]
) -> None:
    header = entry.header
    recorded = header.policies.get(record.slot)
    reason = why_not(record, recorded, header.policies, policies)
    if reason is not None:
        _bump(replay.skipped, reason)
        return
    try:
        images = {name: image_file(image) for name, image in record.images.items()}
    except ValueError:
        _bump(replay.skipped, "its image data is damaged")
        return
    try:
        answer = ask(record, images)
    except ServiceError as error:
        replay.replayed += 1
        _bump(replay.failures, error.code)
        return
    answered_by = policies.get(str(answer.get("policy_slot", "a")))
    if recorded is not None and answered_by is not None:
        if _is_elsewhere(recorded, answered_by, policies):
            _bump(replay.skipped, OTHER_SLOT)
            return
        if recorded.policy_hash != answered_by.policy_hash:
            replay.other_hashes[recorded.policy_hash] = answered_by.policy_hash
    if not _is_continued_alike(record, answer):
        _bump(replay.skipped, OTHERWISE)
        return
    if replay.guard_recorded is None:
        replay.guard_recorded = bool(header.settings.get("guard", True))
    _count(replay, judge(header, record, answer["actions"], replay.tolerance))


def _is_elsewhere(recorded: PolicyRecord, answered_by: TargetPolicy, policies: Mapping[str, TargetPolicy]) -> bool:
    served = {policy.policy_id for policy in policies.values()}
    return recorded.policy_id in served and recorded.policy_id != answered_by.policy_id


def _count(replay: Replay, found: Verdict) -> None:
    replay.replayed += 1
    replay.max_abs = max(replay.max_abs, found.max_abs)
    if found.deviation is None:
        replay.equal += 1
    elif len(replay.deviations) < MAX_LISTED:
        replay.deviations.append(found.deviation)


def _bump(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1
