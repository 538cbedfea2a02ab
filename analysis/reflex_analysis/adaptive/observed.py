"""Recorded observations, answered by each variant of a policy: served one after the other, from the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from reflex.client import ReflexClient
from reflex.client.embodiment import embodiment_of
from reflex.embodiments import Embodiment
from reflex.errors import ServiceError, SetupError
from reflex.model_repository import some_policies_of
from reflex.policy_config import PolicyConfig, read_policy_config, with_fewer_steps
from reflex.traces.reader import TraceReader
from reflex.traces.schema import RequestRecord
from reflex_analysis.adaptive.curve import Answer, Observed
from reflex_analysis.child_server import served_repository
from reflex_analysis.replayable import NO_IMAGES, image_file

__all__ = ["Recorded", "Tried", "ask_variants", "read_observations", "variants_of"]

DEADLINE_S: Final = 10.0
TELLS: Final = ("--tell-velocity-change",)


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """One observation as it was sent."""

    record: RequestRecord
    episode: tuple[str, str] | None
    """The server's id, and the episode's."""
    images: Mapping[str, bytes]
    seed: int


@dataclass
class Tried:
    """What came of them. `skipped` counts those that could not be used, by the reason."""

    observations: list[Observed] = field(default_factory=list)
    embodiment: Embodiment | None = None
    skipped: dict[str, int] = field(default_factory=dict)


def variants_of(repository: Path, name: str | None) -> list[PolicyConfig]:
    """The policy with all its steps first; `SetupError` where there is nothing to choose from, or several policies."""
    names = some_policies_of(repository) if name is None else [name]
    configs = [read_policy_config(repository / each) for each in names]
    full = max(configs, key=lambda config: config.denoising_steps)
    found = [full, *with_fewer_steps(repository, full)]
    others = {config.policy_id for config in configs} - {config.policy_id for config in found}
    if others:
        raise SetupError(f"{repository} holds several policies: choose with --policy one of {', '.join(names)}")
    if len(found) == 1:
        steps = full.denoising_steps
        raise SetupError(
            f"{full.policy_id} is there with {steps} denoising steps alone, so there is nothing to choose from; export "
            f"it again with --steps {steps} --steps {max(2, steps // 2)}"
        )
    return found


def read_observations(path: Path, limit: int, skipped: dict[str, int]) -> list[Recorded]:
    """The first `limit` that were answered, with their images; the others are counted in `skipped`."""
    found: list[Recorded] = []
    for entry in TraceReader(path):
        if len(found) == limit:
            break
        if not isinstance(entry.record, RequestRecord):
            continue
        usable = _recorded(entry.record, entry.header.server_id)
        if isinstance(usable, str):
            skipped[usable] = skipped.get(usable, 0) + 1
        else:
            found.append(usable)
    return found


def ask_variants(
    repository: Path,
    variants: Sequence[PolicyConfig],
    recorded: Sequence[Recorded],
    tried: Tried,
    on_progress: Callable[[PolicyConfig, int], None] = lambda _config, _count: None,
) -> None:
    """Serve each in turn and ask it everything; what one of them refused is left out."""
    answers: list[dict[int, Answer]] = [{} for _ in recorded]
    for config in variants:
        with (
            served_repository(repository, policy=config.policy_id, guard=False, also=TELLS) as url,
            ReflexClient(url, deadline_s=DEADLINE_S) as client,
        ):
            tried.embodiment = embodiment_of(client.config())
            for number, (one, known) in enumerate(zip(recorded, answers, strict=True)):
                given = _answer(client, one)
                if isinstance(given, str):
                    reason = f"{config.policy_id} refused it with {given}"
                    tried.skipped[reason] = tried.skipped.get(reason, 0) + 1
                else:
                    known[config.denoising_steps] = given
                on_progress(config, number + 1)
    tried.observations += _whole(recorded, answers, len(variants))


def _whole(recorded: Sequence[Recorded], answers: Sequence[Mapping[int, Answer]], variants: int) -> Iterator[Observed]:
    for one, known in zip(recorded, answers, strict=True):
        if len(known) == variants:
            yield Observed(one.episode, known)


def _answer(client: ReflexClient, one: Recorded) -> Answer | str:
    """The code of the refusal where there is one."""
    record = one.record
    try:
        answer = client.act(
            state=record.state, instruction=record.instruction, images=dict(one.images) or None, seed=one.seed
        )
    except ServiceError as error:
        return error.code
    change = answer.get("velocity_change")
    return Answer(np.asarray(answer["actions"], np.float64), None if change is None else tuple(change))


def _recorded(record: RequestRecord, server_id: str) -> Recorded | str:
    """Or why it cannot be used."""
    if record.status != 200:
        return "it was answered with an error"
    if any(image.data is None for image in record.images.values()):
        return NO_IMAGES
    try:
        images = {name: image_file(image) for name, image in record.images.items()}
    except ValueError:
        return "its image data is damaged"
    episode = None if record.episode_id is None else (server_id, record.episode_id)
    return Recorded(record, episode, images, record.record_seq if record.seed is None else record.seed)
