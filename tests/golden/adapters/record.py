"""Records what PEFT merges; run where `torch`, `peft` and `safetensors` are installed: python record.py

Each folder gets the adapter as PEFT saved it, and the tensors that PEFT's merge_and_unload changed. The base models are
the recorded tiny checkpoints, rebuilt as modules of their tensors' names and shapes, and a few small layers.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
SEED = 20261127
EXPERT = "vlm_with_expert.lm_expert"
GEMMA = "paligemma_with_expert.gemma_expert.model.layers.0.self_attn"

ADAPTERS: dict[str, dict[str, Any]] = {
    "smolvla": {
        "r": 2,
        "lora_alpha": 6,
        "use_rslora": True,
        "rank_pattern": {"v_proj": 3},
        "alpha_pattern": {r"^model\.state_proj": 5},
        "target_modules": rf"model\.({EXPERT}\.layers\.1\.self_attn\.v_proj|state_proj)",
        "modules_to_save": [f"{EXPERT}.norm"],
        "bias": "lora_only",
    },
    "pi0": {
        "r": 2,
        "lora_alpha": 3,
        "alpha_pattern": {"k_proj": 1},
        "target_modules": [f"{GEMMA}.k_proj", f"{GEMMA}.v_proj", "state_proj"],
    },
    "layers/lora": {
        "r": 2,
        "lora_alpha": 3,
        "target_modules": ["linear", "image", "sound", "embed_tokens"],
        "bias": "all",
    },
    "layers/dora": {"r": 2, "lora_alpha": 3, "target_modules": ["linear", "image", "embed_tokens"], "use_dora": True},
    "layers/flags": {
        "r": 3,
        "lora_alpha": 5,
        "target_modules": "all-linear",
        "lora_bias": True,
        "fan_in_fan_out": True,
    },
}
WORN = "layers/worn"
"""An adapter that was never merged: the state of the whole wrapped policy."""


def module_of(name: str, tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The layer whose weight has that shape."""
    weight, bias = tensors["weight"], tensors.get("bias")
    module: torch.nn.Module
    if weight.ndim == 1:
        module = torch.nn.Module()
        module.weight = torch.nn.Parameter(weight)
    elif weight.ndim == 4:
        module = torch.nn.Conv2d(weight.shape[1], weight.shape[0], tuple(weight.shape[2:]), bias=bias is not None)
    elif weight.ndim == 3:
        module = torch.nn.Conv1d(weight.shape[1], weight.shape[0], weight.shape[2], bias=bias is not None)
    elif "embed" in name:
        module = torch.nn.Embedding(*weight.shape)
    else:
        module = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    module.load_state_dict({key: tensor.clone() for key, tensor in tensors.items()}, strict=weight.ndim > 1)
    return module


def policy_of(tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A module whose state has these names and values."""
    grouped: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        grouped.setdefault(module, {})[leaf] = tensor
    root = torch.nn.Module()
    root.config = {"model_type": "custom"}
    for name, found in grouped.items():
        parent, parts = root, name.split(".")
        for part in parts[:-1]:
            if not hasattr(parent, part):
                parent.add_module(part, torch.nn.Module())
            parent = getattr(parent, part)
        parent.add_module(parts[-1], module_of(name, found))
    return root


def layers() -> dict[str, torch.Tensor]:
    shapes = {"linear": (6, 4), "image": (5, 3, 2, 2), "sound": (4, 3, 3), "embed_tokens": (7, 4), "head": (4, 6)}
    weights = {f"model.{name}.weight": torch.randn(shape) for name, shape in shapes.items()}
    return weights | {
        f"model.{name}.bias": torch.randn(shapes[name][0]) for name in ("linear", "image", "sound", "head")
    }


def train(model: torch.nn.Module) -> None:
    """As if: every tensor that would be trained moves."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1) if "lora_" in name else parameter.data.add_(
                0.1 * torch.randn_like(parameter)
            )
        if "magnitude" in name:
            parameter.data.abs_().add_(0.5)


def record(name: str, base: dict[str, torch.Tensor], settings: dict[str, Any]) -> None:
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    model = get_peft_model(policy_of(base), LoraConfig(**settings))
    train(model)
    if name == WORN:
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "model.safetensors")
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        config = json.loads((Path(saved) / "adapter_config.json").read_text())
        config["target_modules"] = sorted(t) if isinstance(t := config["target_modules"], list) else t
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        if name != WORN:
            save_file(load_file(Path(saved) / "adapter_model.safetensors"), folder / "adapter_model.safetensors")
    merged = model.merge_and_unload().state_dict()
    changed = {key: value.contiguous() for key, value in merged.items() if not torch.equal(value, base[key])}
    save_file(changed, folder / "merged.safetensors")
    print(name, len(changed), "tensors changed")


def main() -> None:
    torch.manual_seed(SEED)
    small = layers()
    save_file(small, HERE / "layers" / "base.safetensors")
    for name, settings in ADAPTERS.items():
        base = small if name.startswith("layers") else load_file(HERE.parent / name / "model.safetensors")
        record(name, base, settings)
    worn = {"r": 2, "lora_alpha": 8, "target_modules": ["linear", "embed_tokens"], "modules_to_save": ["head"]}
    record(WORN, small, worn)


if __name__ == "__main__":
    main()
