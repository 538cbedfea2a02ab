"""From what reflex_config.json says of a policy's origin back to the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Unpack

from reflex.export_options import ReadingOptions
from reflex.policy_config import PolicyConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import CheckpointError, SourceError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.files import at_home, is_folder
from reflex_export.reading.source import is_hub_id

__all__ = ["read_origin"]

_REMEDY: Final = "pass the checkpoint that it was exported from to --source"


def read_origin(
    repository: Path,
    config: PolicyConfig,
    given: str | None = None,
    **reading: Unpack[ReadingOptions],
) -> Checkpoint:
    """The checkpoint that was `given`, or else the recorded one: a folder, or a hub id with its commit.

    A folder is looked for from here and from beside the repository. `SourceError` when it is gone, `CheckpointError`
    when it is another policy's.
    """
    revision = reading.get("revision")
    if given is None and revision is not None:
        raise SourceError(f"--revision {revision} needs --source: {config.policy_id} names its own commit")
    source, commit = (given, revision) if given is not None else _recorded(repository, config)
    stats = reading.get("stats") or _recorded_stats(repository, config)
    placed: ReadingOptions = {**reading, "revision": commit, "stats": stats}
    checkpoint = read_checkpoint(source, **placed)
    _require_same_policy(checkpoint, config)
    return checkpoint


def _recorded(repository: Path, config: PolicyConfig) -> tuple[str, str | None]:
    recorded = config.source
    if not recorded:
        raise SourceError(f"{config.policy_id} does not say which checkpoint it is of; pass that to --source")
    for folder in (at_home(recorded), repository.resolve().parent / recorded):
        if is_folder(folder):
            return str(folder), None
    name, _, commit = recorded.rpartition("@")
    if is_hub_id(name):
        return name, commit
    raise SourceError(
        f"{recorded}, the checkpoint that {config.policy_id} was exported from, is neither here nor beside "
        f"{repository}; pass the folder, or the hub id, to --source"
    )


def _recorded_stats(repository: Path, config: PolicyConfig) -> Path | None:
    """The file or folder that `--stats` named; given as it was, so that an error says what is not there."""
    if config.stats is None:
        return None
    beside = repository.resolve().parent / config.stats
    return beside if beside.exists() and not Path(config.stats).exists() else Path(config.stats)


def _require_same_policy(checkpoint: Checkpoint, config: PolicyConfig) -> None:
    cameras = {camera.name for camera in checkpoint.cameras if not camera.is_empty}
    found = (checkpoint.family, checkpoint.state_dim, checkpoint.action_dim, cameras)
    wanted = (config.family, config.state_dim, config.action_dim, {camera.name for camera in config.cameras})
    if found != wanted:
        raise CheckpointError(
            f"{checkpoint.source} is a {found[0]} with {found[1]} state and {found[2]} action values and cameras "
            f"{sorted(found[3])}, {config.policy_id} a {wanted[0]} with {wanted[1]}, {wanted[2]} and "
            f"{sorted(wanted[3])}; {_REMEDY}"
        )
    if checkpoint.config.n_obs_steps != config.n_obs_steps:
        raise CheckpointError(
            f"{checkpoint.source} takes {checkpoint.config.n_obs_steps} observation steps (n_obs_steps), "
            f"{config.policy_id} takes {config.n_obs_steps}; {_REMEDY}"
        )
