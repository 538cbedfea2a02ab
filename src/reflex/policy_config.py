"""`reflex_config.json`: the contract between export and frontend, one file per policy.

Parsed once, strictly, at the start of a server; a file of another schema version, or one that contradicts itself, is a
`RepositoryError` and nothing is served.

Tensors of the ensemble `<policy>` (dims without the batch axis):

    image.<camera>     UINT8  [-1, -1, 3]           raw pixels, height x width x RGB, any size
    camera_mask        BOOL   [cameras]             False: that camera's image is absent and its pixels are ignored
    state              FP32   [state_dim]           robot units
    tokens             INT64  [max_tokens]          these two only where there is a `prompt`
    token_mask         BOOL   [max_tokens]
    noise              FP32   [horizon, noise_dim]  standard normal
    step_noise         FP32   [steps, horizon, dim] standard normal, for samplers that add noise at each step
    prev_chunk         FP32   [horizon, noise_dim]  real-time chunking: the normalised rest of the chunk before
    rtc_weights        FP32   [horizon]             all zero: nothing changes
    rtc_max_guidance   FP32   [1]
    actions (out)      FP32   [horizon, action_dim] robot units
    velocity_change    FP32   [denoising_steps]     (out) flow matching: how much the velocity changed at each step

A policy takes `image.*` of all its cameras, and of the others what its graphs use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from reflex.device_parity import DeviceParityConfig
from reflex.errors import RepositoryError
from reflex.model_repository import CONFIG_FILE, policies_of, what_it_is_instead

__all__ = [
    "COMPONENT_ROLES",
    "SCHEMA_VERSION",
    "ActionSpaceConfig",
    "CameraConfig",
    "CanaryConfig",
    "MergedAdapterConfig",
    "NormalizationConfig",
    "OpenpiConfig",
    "PolicyConfig",
    "PromptConfig",
    "StateBinsConfig",
    "TensorConfig",
    "read_policy_config",
    "with_fewer_steps",
]

SCHEMA_VERSION: Final = 1
COMPONENT_ROLES: Final = ("preprocess", "encoder", "denoise")
"""What the models of an ensemble do, in the order in which they run."""
MAX_PROMPT_CHARACTERS: Final = 512
"""Of an instruction, as in `reflex.wire`."""
OTHER_INPUTS: Final = frozenset(
    {"camera_mask", "state", "tokens", "token_mask", "noise", "step_noise"}
    | {"prev_chunk", "rtc_weights", "rtc_max_guidance"}
)

Positive = Annotated[int, Field(ge=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NormalizationMode = Literal["IDENTITY", "MEAN_STD", "MIN_MAX", "QUANTILES", "QUANTILE10"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CameraConfig(_Strict):
    """One camera, in the order in which the policy was trained."""

    name: Annotated[str, Field(min_length=1)]
    required: bool


class StateBinsConfig(_Strict):
    """How a state is written into a prompt (pi0.5): normalised in float32, then one bin number per entry.

    normalised = 2 (state - low) / (high - low) - 1 with a zero range counted as `eps`, or (state - mean) / (std + eps).
    """

    mode: NormalizationMode
    low: tuple[float, ...] = ()
    """The lower statistic, or the mean."""
    high: tuple[float, ...] = ()
    """The upper statistic, or the standard deviation."""
    eps: float
    bins: Positive = 256
    """Over -1..1: below is bin -1, above the last one."""


class PromptConfig(_Strict):
    """How an instruction becomes `tokens` and `token_mask`."""

    style: Literal["template", "newline", "state_bins"] = "template"
    """newline: ends with exactly the newline that it may already have. state_bins: see `template`, and the instruction
    stripped, its underscores and newlines as blanks."""
    template: str = "{instruction}"
    """`{instruction}`, and `{state}` for state_bins, are replaced; nothing else is."""
    max_tokens: Positive
    tokenizer_file: str = "tokenizer.json"
    padding_side: Literal["right", "left"] = "right"
    truncation_side: Literal["right", "left"] = "right"
    pad_id: Annotated[int, Field(ge=0)] = 0
    state_bins: StateBinsConfig | None = None

    @model_validator(mode="after")
    def _bins_belong_to_their_style(self) -> PromptConfig:
        if (self.style == "state_bins") != (self.state_bins is not None):
            raise ValueError("state_bins is there exactly when the style is state_bins")
        return self


class TensorConfig(_Strict):
    """One input or output of the ensemble. `shape` has no batch axis; -1 is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class NormalizationConfig(_Strict):
    """How one input or output is normalised inside the graphs."""

    feature: str
    """By its name in the checkpoint: `observation.state`, `action`, `observation.images.<camera>`."""
    mode: NormalizationMode
    statistics: tuple[str, ...] = ()
    """Those that the mode computes with; empty for IDENTITY."""
    origin: str = ""
    """The file they are from; empty for IDENTITY."""
    never_moved: tuple[int, ...] = ()
    """Entries of a state or an action that had one value in all of training: any other is unknown to the policy."""


class ActionSpaceConfig(_Strict):
    """How an axis of `actions_normalized` becomes robot units: times scale, plus offset, plus the state if relative.

    An axis whose scale is 0 had one value in all of training, so that nothing can be told of its normalised value from
    robot units; it is `still` then.
    """

    scale: tuple[Finite, ...]
    offset: tuple[Finite, ...]
    still: tuple[Finite, ...]
    """Normalised; 0 for every axis that moved."""
    relative: tuple[bool, ...]
    """True: the action is a difference to the state that the request brought."""


class MergedAdapterConfig(_Strict):
    """An adapter that the export merged into its base model."""

    kind: Literal["lora", "dora"]
    rank: Positive
    """Of all layers but those that a pattern of the adapter names."""
    alpha: float
    rank_stabilized: bool = False
    base: Annotated[str, Field(min_length=1)]
    """The base model: hub id with `@commit`, or its folder's name."""
    base_hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Of a folder: over its weights' files, one after the other by name."""


class CanaryConfig(_Strict):
    """A stored observation and its answer (`<file>` is an .npz of the input tensors and `expected.actions`)."""

    file: str = "canary.npz"
    tolerance: Annotated[float, Field(gt=0)]
    """Largest absolute difference from `expected.actions` that still counts as healthy, in robot units."""


class OpenpiConfig(_Strict):
    """Which keys of an openpi client's observation are what; `a/b` is b inside of a. What is not said goes by name."""

    images: dict[str, str | None] = {}
    """Camera by key; null for an image that clients send and this policy does not look at."""
    state: tuple[str, ...] = ()
    """Keys whose numbers, one after the other, are the state."""
    prompt: str | None = None
    default_prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)] | None = None
    """For observations without one; None: they are refused, where the policy takes an instruction."""


class PolicyConfig(_Strict):
    """What a policy is and what it takes. Field by field in docs/model-repository.md."""

    schema_version: Literal[1]
    policy_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    policy_hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    """Over the weights and graphs of every component, not over any path."""
    export_id: Annotated[str, Field(min_length=8)]
    """Every component's config.pbtxt carries the same one as parameter `reflex_export_id`."""
    family: str
    trained: bool
    description: str = ""
    embodiment: str
    cameras: Annotated[tuple[CameraConfig, ...], Field(min_length=1)]
    state_dim: Positive
    action_dim: Positive
    noise_dim: Positive
    horizon: Positive
    n_action_steps: Positive | None = None
    """Of a chunk's actions, how many the policy was evaluated with before the next chunk; None: not recorded."""
    denoising_steps: Positive
    prompt: PromptConfig | None
    """None for a policy that takes no instruction."""
    precision: Literal["fp32", "fp16", "bf16"]
    engine: Literal["onnx", "tensorrt", "tensorrt-rtx"]
    inference_mode: Literal["onnx_trt_fp16", "onnx_cuda", "onnx_cpu", "decomposed", "monolithic"]
    components: dict[str, str] = {}
    """Model name by role (preprocess, encoder, denoise), where it is not `<policy_id>_<role>`."""
    source: str | None = None
    """The checkpoint: hub id or folder name, with `@revision` when it has one."""
    adapter: MergedAdapterConfig | None = None
    """None for a policy that was whole, and in what was exported before it was recorded."""
    stats: str | None = None
    """What the export's `--stats` named."""
    normalization: tuple[NormalizationConfig, ...] = ()
    """Of every input and output; empty in what was exported before it was recorded."""
    action_space: ActionSpaceConfig | None = None
    """None in what was exported before it was recorded."""
    rtc_training_max_delay: Annotated[int, Field(ge=0)] = 0
    """Up to so many actions were given in training for real-time chunking; 0: none, or not recorded."""
    warnings: tuple[str, ...] = ()
    """What the export warned of: statistics that are odd on this robot, or were let through by a person."""
    inputs: tuple[TensorConfig, ...]
    outputs: tuple[TensorConfig, ...]
    openpi: OpenpiConfig | None = None
    """None: keys are found by their names alone."""
    canary: CanaryConfig | None = None
    parity: dict[str, float | str] | None = None
    device_parity: tuple[DeviceParityConfig, ...] = ()
    """What was measured on devices that serve, the newest last; left out of the file where nothing was."""
    versions: dict[str, str] = {}

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        fields: dict[str, object] = write(self)
        if not fields.get("device_parity"):
            fields.pop("device_parity", None)
        return fields

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> PolicyConfig:
        names = [camera.name for camera in self.cameras]
        if len(set(names)) != len(names):
            raise ValueError("two cameras have the same name")
        given = {tensor.name for tensor in self.inputs}
        images = {f"image.{name}" for name in names}
        if not images <= given or not given - images <= OTHER_INPUTS:
            raise ValueError(f"inputs must be {sorted(images)} and some of {sorted(OTHER_INPUTS)}")
        if (self.prompt is not None) != ("tokens" in given):
            raise ValueError("a prompt and the input `tokens` go together")
        if "actions" not in {tensor.name for tensor in self.outputs}:
            raise ValueError("outputs must contain `actions`")
        if self.action_space is not None and _lengths(self.action_space) != {self.action_dim}:
            raise ValueError(f"action_space must say of each of the {self.action_dim} axes")
        if self.openpi is not None and not {*self.openpi.images.values()} - {None} <= {*names}:
            raise ValueError(f"openpi.images must map to cameras, which are {names}")
        if any(measured.export_id != self.export_id for measured in self.device_parity):
            raise ValueError("device_parity is of another export")
        if self.n_action_steps is not None and self.n_action_steps > self.horizon:
            raise ValueError(f"n_action_steps is {self.n_action_steps}, more than the horizon, {self.horizon}")
        return self

    def component(self, role: str) -> str:
        """The model that plays `role` in this policy's ensemble."""
        return self.components.get(role, f"{self.policy_id}_{role}")

    @property
    def n_obs_steps(self) -> int:
        """How many observations an inference takes: the last ones, the newest last."""
        return self.history[0] if self.history else 1

    @property
    def history(self) -> tuple[int, ...]:
        """The axis that images and state have in front for several observations; none for one."""
        return next(tensor.shape[:-3] for tensor in self.inputs if tensor.name.startswith("image."))

    @property
    def models(self) -> tuple[str, ...]:
        """The ensemble and its components in the order in which they run, by the names that they have on Triton."""
        return (self.policy_id, *(self.component(role) for role in COMPONENT_ROLES))

    @property
    def model_version(self) -> str:
        """`<policy>@<first 12 digits of its hash>`."""
        return f"{self.policy_id}@{self.policy_hash.removeprefix('sha256:')[:12]}"


def _lengths(space: ActionSpaceConfig) -> set[int]:
    return {len(space.scale), len(space.offset), len(space.still), len(space.relative)}


def read_policy_config(policy_dir: Path) -> PolicyConfig:
    """Read and check `<policy_dir>/reflex_config.json`; `RepositoryError` says what is wrong with which field."""
    path = policy_dir / CONFIG_FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError as exc:
        raise _no_policy(policy_dir) from exc
    except OSError as exc:
        raise RepositoryError(
            f"{path} cannot be read ({exc.strerror}); a policy is made by `reflex export` or `make demo-policy`"
        ) from exc
    try:
        return PolicyConfig.model_validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RepositoryError(f"{path}: {where}: {first['msg']}; export the policy again with this version") from exc


def with_fewer_steps(repository: Path, config: PolicyConfig) -> list[PolicyConfig]:
    """The policies of the same export that differ in denoising steps alone and have fewer, the most first."""
    others = [read_policy_config(repository / name) for name in policies_of(repository)]
    same = [other for other in others if other.component("encoder") == config.component("encoder")]
    fewer = [other for other in same if other.denoising_steps < config.denoising_steps]
    return sorted(fewer, key=lambda other: other.denoising_steps, reverse=True)


def _no_policy(policy_dir: Path) -> RepositoryError:
    others = ", ".join(policies_of(policy_dir.parent))
    instead = what_it_is_instead(policy_dir.parent)
    if instead is not None:
        return RepositoryError(instead)
    if not others:
        return RepositoryError(
            f"{policy_dir} holds no policy ({CONFIG_FILE} is missing); one is made by `reflex export` or "
            "`make demo-policy`"
        )
    return RepositoryError(
        f"{policy_dir.parent} has no policy {policy_dir.name}: it has {others}; choose one of them, or make it with "
        "`reflex export`"
    )
