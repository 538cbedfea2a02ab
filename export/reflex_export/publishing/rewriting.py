"""A published policy's record is changed as an export is published: whole or not at all, while nobody else writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from reflex.durable_files import link_file, replace_file
from reflex.model_repository import CONFIG_FILE
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.publishing.transaction import STAGED, publish, scratch_folder

__all__ = ["rewrite_policy"]


def rewrite_policy(
    repository: Path,
    policy: str,
    change: Callable[[PolicyConfig], PolicyConfig],
    name: str,
    on_wait: Callable[[str], object] | None = None,
) -> None:
    """Publish the policy's folder anew with what `change` makes of its record; an error of it leaves all as it was.

    Its hashes cover graphs and weights, which stay. `name` and `on_wait` are those of `lock_repository`.
    """
    with scratch_folder(repository, name, on_wait) as scratch:
        config = change(read_policy_config(repository / policy))
        staged = scratch / STAGED
        shutil.copytree(repository / policy, staged / policy, symlinks=True, copy_function=link_file)
        replace_file(staged / policy / CONFIG_FILE, config.model_dump_json(indent=2).encode() + b"\n")
        publish([policy], staged, repository)
