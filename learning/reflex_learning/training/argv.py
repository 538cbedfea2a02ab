"""A training request as arguments of LeRobot 0.6's trainer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from reflex.training.request import FAMILIES, Family, LoraOptions, TrainingRequest, family_problems
from reflex_learning.errors import TrainingError
from reflex_learning.training.settings import TrainerSettings

__all__ = ["family_of", "is_offline", "resume_arguments", "start_arguments"]

WITH_DTYPE: Final = frozenset({"pi0", "pi05"})
"""Compute in the type that they are told; the others in autocast."""
OF_IMAGENET: Final = frozenset({"act", "diffusion"})
"""Begin with a picture encoder that is downloaded, unless told not to."""
SELF_CONTAINED: Final = frozenset({"act", "diffusion"})
"""Need no tokenizer and no vision-language model, which lie on the hub."""
DECAYS_TO: Final = 0.1
LOGS: Final = 200
"""Lines of numbers in a run, about."""
MOST_STEPS_A_LOG: Final = 50
LARGEST_CONFIG: Final = 4 << 20


def start_arguments(request: TrainingRequest, dataset: str, output: Path, settings: TrainerSettings) -> list[str]:
    """Of a run from its first step; `output` must not be there yet."""
    family = family_of(request)
    if broken := family_problems(request, family):
        raise TrainingError("; ".join(broken))
    arguments = [
        *_dataset(dataset),
        *_policy(request, family),
        f"--policy.device={settings.device}",
        "--policy.push_to_hub=false",
        *_learning(request, family),
        f"--batch_size={request.batch_size}",
        f"--steps={request.steps}",
        f"--save_freq={request.saves_every}",
        f"--log_freq={_log_every(request.steps)}",
        *_loading(settings),
        f"--seed={request.seed}",
        f"--output_dir={output}",
        f"--job_name={request.name or 'policy'}",
        "--env_eval_freq=0",
        "--wandb.enable=false",
        *settings.more,
    ]
    return arguments if request.lora_options is None else [*arguments, *_lora(request.lora_options)]


def resume_arguments(request: TrainingRequest, dataset: str, output: Path, settings: TrainerSettings) -> list[str]:
    """Of a run that goes on at its last checkpoint; where dataset and run lie may have changed since."""
    config = output / "checkpoints" / "last" / "pretrained_model" / "train_config.json"
    return [
        f"--config_path={config}",
        "--resume=true",
        *_dataset(dataset),
        f"--policy.device={settings.device}",
        f"--steps={request.steps}",
        *_loading(settings),
        f"--output_dir={output}",
    ]


def family_of(request: TrainingRequest) -> Family | None:
    """Of what is trained; None for a model on the hub, whose files only the trainer reads."""
    if request.family is not None:
        return request.family
    config = Path(request.model or "") / "config.json"
    if not config.is_file():
        return None
    said = _type_in(config)
    found = next((family for family in FAMILIES if family == said), None)
    if found is None:
        raise TrainingError(f"{config} is of the policy {said!r:.60}; trained are {', '.join(FAMILIES)}")
    return found


def is_offline(request: TrainingRequest, dataset: str) -> bool:
    """Whether nothing of the run lies on the hub: then it must not be asked, not even for what is missing."""
    has_model = request.family is not None or Path(request.model or "").is_dir()
    return Path(dataset).is_dir() and has_model and family_of(request) in SELF_CONTAINED


def _type_in(config: Path) -> object:
    try:
        with config.open("rb") as file:
            found = json.loads(file.read(LARGEST_CONFIG))
    except (OSError, ValueError, RecursionError) as exc:
        raise TrainingError(f"{config} cannot be read as JSON: {exc}; name the folder of a LeRobot checkpoint") from exc
    return found.get("type") if isinstance(found, Mapping) else None


def _dataset(dataset: str) -> Iterator[str]:
    """A folder needs an owner and a name all the same, of which nothing comes."""
    if Path(dataset).is_dir():
        yield "--dataset.repo_id=local/dataset"
        yield f"--dataset.root={Path(dataset).resolve()}"
    elif dataset.startswith(("/", ".", "~")):
        raise TrainingError(f"the dataset {dataset} is no folder of this worker; make it readable here under that path")
    else:
        yield f"--dataset.repo_id={dataset}"


def _policy(request: TrainingRequest, family: Family | None) -> Iterator[str]:
    """Cameras, state and actions are those of the dataset, also where a model was trained on others."""
    if request.model is None:
        yield f"--policy.type={request.base}"
        if family in OF_IMAGENET:
            yield "--policy.pretrained_backbone_weights=null"
    else:
        yield f"--policy.path={request.model}"
        if family not in SELF_CONTAINED:
            yield "--policy.input_features=null"
            yield "--policy.output_features=null"
    if family in WITH_DTYPE:
        yield f"--policy.dtype={request.dtype}"
    elif request.dtype == "bfloat16":
        yield "--policy.use_amp=true"


def _learning(request: TrainingRequest, family: Family | None) -> Iterator[str]:
    rate = request.learning_rate
    if rate is not None:
        yield f"--policy.optimizer_lr={rate!r}"
        if family == "act":
            yield f"--policy.optimizer_lr_backbone={rate!r}"
        elif family != "diffusion":
            yield f"--policy.scheduler_decay_lr={rate * DECAYS_TO!r}"
    if request.warmup_steps is not None:
        yield f"--policy.scheduler_warmup_steps={request.warmup_steps}"
        if family != "diffusion":
            yield f"--policy.scheduler_decay_steps={request.steps}"


def _lora(lora: LoraOptions) -> Iterator[str]:
    """LeRobot has no option for dropout: `launcher` adds it."""
    yield "--peft.method_type=LORA"
    yield f"--peft.r={lora.rank}"
    yield f"--peft.lora_alpha={lora.alpha}"


def _loading(settings: TrainerSettings) -> Iterator[str]:
    """A process that is spawned would import PyTorch once more."""
    yield f"--num_workers={settings.loaders}"
    yield "--dataloader_multiprocessing_context=fork"


def _log_every(steps: int) -> int:
    return max(1, min(MOST_STEPS_A_LOG, steps // LOGS))
