"""The command line of LeRobot 0.6.1's trainer, as strict as that: unknown arguments and bad values end with 2."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

__all__ = ["POLICIES", "parse"]

POLICIES: Final = ("act", "diffusion", "smolvla", "pi0", "pi05")
LEARNING_RATE: Final = "policy.optimizer_lr"
SCHEDULE: Final = ("policy.scheduler_warmup_steps", "policy.scheduler_decay_steps")


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _nothing(text: str) -> None:
    """`null`, the only value that a test gives."""
    return {"null": None}[text]


TYPES: Final[dict[str, Callable[[str], Any]]] = {
    "config_path": str, "resume": _truth, "output_dir": str, "job_name": str, "seed": int, "num_workers": int,
    "batch_size": int, "steps": int, "env_eval_freq": int, "log_freq": int, "save_freq": int,
    "dataloader_multiprocessing_context": str, "wandb.enable": _truth, "dataset.repo_id": str, "dataset.root": str,
    "policy.type": str, "policy.path": str, "policy.device": str, "policy.push_to_hub": _truth,
    "policy.use_amp": _truth, LEARNING_RATE: float,
    "dataset.episodes": json.loads, "peft.method_type": str, "peft.r": int, "peft.lora_alpha": int,
}  # fmt: skip
OF_POLICIES: Final[dict[str, dict[str, Callable[[str], Any]]]] = {
    "act": {
        "policy.pretrained_backbone_weights": _nothing, "policy.optimizer_lr_backbone": float,
        "policy.use_vae": _truth, "policy.dropout": float,
        **{f"policy.{name}": int for name in ("dim_model", "n_heads", "dim_feedforward", "n_encoder_layers",
                                              "n_decoder_layers", "chunk_size", "n_action_steps")},
    },
    "diffusion": {"policy.pretrained_backbone_weights": _nothing, SCHEDULE[0]: int},
    **{
        name: {**dict.fromkeys(SCHEDULE, int), "policy.scheduler_decay_lr": float,
               "policy.input_features": _nothing, "policy.output_features": _nothing}
        for name in ("smolvla", "pi0", "pi05")
    },
}  # fmt: skip
for _name in ("pi0", "pi05"):
    OF_POLICIES[_name]["policy.dtype"] = str
DEFAULTS: Final = {
    "resume": False, "num_workers": 4, "batch_size": 8, "steps": 100_000, "save_freq": 20_000, "log_freq": 200,
    "seed": 1000, "policy.push_to_hub": True,
}  # fmt: skip


def parse(argv: list[str]) -> dict[str, Any]:
    """Every argument by its name; those of a resumed run lie over what its checkpoint says."""
    given = {name: text for name, _, text in (each.removeprefix("--").partition("=") for each in argv)}
    saved = json.loads(Path(given["config_path"]).read_text()) if "config_path" in given else {}
    kind = given.get("policy.type") or saved.get("policy.type") or _type_of(given.get("policy.path", ""))
    parser = argparse.ArgumentParser("lerobot-train", allow_abbrev=False)
    for name, read in {**TYPES, **OF_POLICIES.get(kind, {})}.items():
        parser.add_argument(f"--{name}", type=read, default=argparse.SUPPRESS)
    if kind not in POLICIES:
        parser.error(f"Couldn't find a choice class for {kind!r}")
    read_now = vars(parser.parse_args(argv))
    return {**DEFAULTS, **saved, **read_now, "policy.type": kind}


def _type_of(model: str) -> str:
    config = Path(model) / "config.json"
    return json.loads(config.read_text())["type"] if config.is_file() else ""
