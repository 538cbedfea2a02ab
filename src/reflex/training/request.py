"""What a training run is asked to do, and the bounds that hold before anything is queued."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

__all__ = [
    "FAMILIES",
    "MODEL_PREFIX",
    "RANKS",
    "Dtype",
    "Family",
    "LoraOptions",
    "Method",
    "Then",
    "TrainingRequest",
    "family_problems",
    "problems",
]

Family = Literal["act", "diffusion", "smolvla", "pi0", "pi05"]
"""As LeRobot calls its policies (`--policy.type`)."""
Method = Literal["full_finetune", "lora_finetune"]
Dtype = Literal["float32", "bfloat16"]
Then = Literal["export", "register"]
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)
METHODS: Final = get_args(Method)
DTYPES: Final = get_args(Dtype)
THENS: Final[tuple[Then, ...]] = get_args(Then)
RANKS: Final = (4, 8, 16, 32, 64)
MODEL_PREFIX: Final = "model:"

WITHOUT_WARMUP: Final[frozenset[Family]] = frozenset({"act"})
"""LeRobot 0.6.1 trains them at one learning rate: `get_scheduler_preset` is None."""
WITHOUT_LORA: Final[frozenset[Family]] = frozenset({"act", "diffusion"})
"""LeRobot 0.6.1 knows no layers of them: they have no `_get_default_peft_targets`."""

MOST_STEPS: Final = 10_000_000
LARGEST_BATCH: Final = 65_536
LARGEST_SEED: Final = 2**32 - 1
LEAST_SAVE_EVERY: Final = 50
MOST_SAVE_EVERY: Final = 1_000
"""By default: on two cores a small policy takes some minutes for so many steps, which is what a crash may cost."""
MOST_ALPHA: Final = 256
MOST_DROPOUT: Final = 0.5
MOST_LEARNING_RATE: Final = 1.0
MOST_CHARACTERS: Final = 1_024
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
IDENTITY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """The small matrices that are trained in place of the whole model."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """One run. Nothing is checked when it is made: `problems` names every bound that it breaks."""

    dataset_id: str
    base: str
    """A family, which is trained from its own beginning, or `model:` and a folder or hub id, which is fine-tuned."""
    method: Method = "full_finetune"
    steps: int = 20_000
    batch_size: int = 8
    seed: int = 1_000
    save_every: int | None = None
    """Steps from one checkpoint to the next, which is what a crash costs at most; None: by the steps."""
    warmup_steps: int | None = None
    """None: as the family does it."""
    dtype: Dtype = "float32"
    learning_rate: float | None = None
    """None: the family's own."""
    lora: LoraOptions | None = None
    then: tuple[Then, ...] = ()
    """What follows a training that went well."""
    name: str | None = None
    """Of the policy that is exported."""

    @property
    def family(self) -> Family | None:
        """None where a model is fine-tuned, whose files say it."""
        return next((family for family in FAMILIES if family == self.base), None)

    @property
    def model(self) -> str | None:
        """The folder or hub id of what is fine-tuned."""
        return self.base.removeprefix(MODEL_PREFIX) if self.base.startswith(MODEL_PREFIX) else None

    @property
    def saves_every(self) -> int:
        """Steps from one checkpoint to the next, whoever chose them."""
        by_steps = min(max(self.steps // 10, LEAST_SAVE_EVERY), MOST_SAVE_EVERY, max(self.steps, 1))
        return by_steps if self.save_every is None else self.save_every

    @property
    def lora_options(self) -> LoraOptions | None:
        """With their defaults where a LoRA run names none."""
        return (self.lora or LoraOptions()) if self.method == "lora_finetune" else None


def problems(request: TrainingRequest) -> list[str]:
    """Every bound that the request breaks, in words; none of them says that the dataset or the model is there."""
    of_family = family_problems(request, request.family)
    return [*_of_names(request), *_of_numbers(request), *_of_lora(request), *of_family, *_of_what_follows(request)]


def family_problems(request: TrainingRequest, family: Family | None) -> list[str]:
    """What LeRobot cannot do with the family. That of a `model:` only its files say, which a worker reads."""
    found = []
    if family in WITHOUT_WARMUP and request.warmup_steps is not None:
        found.append(f"LeRobot's {family} has no warm-up: leave the warm-up steps out")
    if family in WITHOUT_LORA and request.method == "lora_finetune":
        found.append(f"LeRobot knows no layers of {family} for LoRA: train it with the method full_finetune")
    return found


def _of_names(request: TrainingRequest) -> Iterator[str]:
    if not _matches(IDENTITY, request.dataset_id):
        yield "dataset must be the id of a registered one, as 'reflex datasets register' prints it"
    if not _is_base(request.base):
        yield f"base must be one of {', '.join(FAMILIES)}, or {MODEL_PREFIX} and a folder or hub id"
    yield from _choice("method", request.method, METHODS)
    yield from _choice("dtype", request.dtype, DTYPES)


def _of_numbers(request: TrainingRequest) -> Iterator[str]:
    yield from _whole("steps", request.steps, 1, MOST_STEPS)
    yield from _whole("batch size", request.batch_size, 1, LARGEST_BATCH)
    yield from _whole("seed", request.seed, 0, LARGEST_SEED)
    if _is_whole(request.steps):
        if request.save_every is not None:
            least = max(1, min(LEAST_SAVE_EVERY, request.steps))
            yield from _whole("save frequency", request.save_every, least, request.steps, "the steps")
        if request.warmup_steps is not None:
            yield from _whole("warm-up steps", request.warmup_steps, 0, request.steps // 2, "half of the steps")
    rate = request.learning_rate
    if rate is not None and not (_is_number(rate) and 0 < rate <= MOST_LEARNING_RATE):
        yield f"learning rate must be above 0 and at most {MOST_LEARNING_RATE:g}"


def _of_lora(request: TrainingRequest) -> Iterator[str]:
    if request.method == "lora_finetune" and request.family not in {None, *WITHOUT_LORA}:
        yield f"LoRA adapts what is trained already: base must be {MODEL_PREFIX} and a folder or hub id, not a family"
    lora = request.lora
    if lora is None:
        return
    if request.method != "lora_finetune":
        yield "LoRA options are for the method lora_finetune: leave them out of a full fine-tune"
    if not (_is_whole(lora.rank) and lora.rank in RANKS):
        yield f"LoRA rank must be one of {', '.join(map(str, RANKS))}"
    yield from _whole("LoRA alpha", lora.alpha, 1, MOST_ALPHA)
    if not (_is_number(lora.dropout) and 0 <= lora.dropout <= MOST_DROPOUT):
        yield f"LoRA dropout must be from 0 to {MOST_DROPOUT:g}"


def _of_what_follows(request: TrainingRequest) -> Iterator[str]:
    then = request.then
    if not set(then) <= set(THENS) or len(set(then)) != len(then):
        yield f"then must be some of {', '.join(THENS)}, each once"
    elif "register" in then and "export" not in then:
        yield "then: only what was exported can be registered; say export, too"
    if request.name is not None and not _matches(NAME, request.name):
        yield "name must be up to 64 lower-case letters, digits, _ and -, and begin with a letter or digit"


def _choice(what: str, given: object, choices: tuple[str, ...]) -> Iterator[str]:
    if given not in choices:
        yield f"{what} must be one of {', '.join(choices)}"


def _whole(what: str, given: Any, least: int, most: int, named: str = "") -> Iterator[str]:  # noqa: ANN401 - what a caller gave
    if not (_is_whole(given) and least <= given <= most):
        yield f"{what} must be a whole number from {least} to {most}{f' ({named})' if named else ''}"


def _is_whole(given: Any) -> bool:  # noqa: ANN401 - what a caller gave
    return isinstance(given, int) and not isinstance(given, bool)


def _is_number(given: Any) -> bool:  # noqa: ANN401 - what a caller gave
    return isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given)


def _matches(pattern: re.Pattern[str], given: Any) -> bool:  # noqa: ANN401 - what a caller gave
    return isinstance(given, str) and pattern.fullmatch(given) is not None


def _is_base(given: Any) -> bool:  # noqa: ANN401 - what a caller gave
    if given in FAMILIES:
        return True
    place = given.removeprefix(MODEL_PREFIX) if isinstance(given, str) else ""
    return place != given and 0 < len(place.strip()) <= MOST_CHARACTERS and place.isprintable()
