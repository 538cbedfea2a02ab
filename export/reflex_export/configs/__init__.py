"""config.json as typed values: one frozen class for each family, which declares every option that a graph reads.

An option has a type, a range and, where lerobot's own files leave it out, a default. What only training reads is
declared in `training`; any other key is refused, since it may change what the policy computes (docs/adr/0015).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reflex_export.configs.act import ActConfig
from reflex_export.configs.diffusion import DiffusionConfig
from reflex_export.configs.family import Family, FamilyConfig
from reflex_export.configs.keys import parse
from reflex_export.configs.pi import Pi0Config, Pi05Config
from reflex_export.configs.smolvla import SmolVlaConfig
from reflex_export.configs.training import without_training

__all__ = ["CONFIG_OF", "Family", "FamilyConfig", "parse_config"]

CONFIG_OF: Final[Mapping[Family, type[FamilyConfig]]] = {
    "act": ActConfig,
    "diffusion": DiffusionConfig,
    "smolvla": SmolVlaConfig,
    "pi0": Pi0Config,
    "pi05": Pi05Config,
}


def parse_config(family: Family, written: Mapping[str, Any]) -> FamilyConfig:
    """The options of config.json; `CheckpointError` names the first that is absent, wrong or unknown."""
    return parse(CONFIG_OF[family], without_training(written), "config.json", f"a {family} policy")
