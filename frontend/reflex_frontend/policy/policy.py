"""A policy of a model repository, checked and loaded: everything the frontend needs to serve it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from reflex.embodiments import Embodiment
from reflex.errors import RepositoryError, SetupError
from reflex.model_repository import TRITON_CONFIG_FILE, one_policy_of, policy_folder
from reflex.policy_config import (
    COMPONENT_ROLES,
    CanaryConfig,
    PolicyConfig,
    TensorConfig,
    read_policy_config,
)
from reflex.readiness.servable import (
    EXPORT_ID_PARAMETER,
    embodiment_of,
    require_own_name,
    require_own_sizes,
    require_same_export,
    require_same_inputs,
    several_observations,
)
from reflex_frontend.observation.prompt import PromptEncoder
from reflex_frontend.policy.shipped import shipped_repository
from reflex_frontend.triton.gateway import RawTensor, count_instances
from reflex_frontend.triton.stages import Stages, read_stages

__all__ = ["Canary", "ServedPolicy", "find_repository", "load_policy"]

DATATYPES: Final = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8", "bool": "BOOL", "int32": "INT32"}


@dataclass(frozen=True, slots=True)
class Canary:
    """A stored observation and the answer it had when the policy was exported."""

    inputs: Sequence[RawTensor]
    expected: npt.NDArray[np.float32]
    tolerance: float


@dataclass(frozen=True, slots=True)
class ServedPolicy:
    """One policy, ready for requests."""

    config: PolicyConfig
    embodiment: Embodiment
    prompts: PromptEncoder | None
    """None for a policy that takes no instruction."""
    canary: Canary | None
    max_batch: int
    """Of the denoise model, as `instances` is."""
    instances: int
    """As its config.pbtxt says, 1 where that leaves it to Triton: until Triton itself is asked."""
    adds_state: bool = False
    """Whether the denoise model is given the state: its actions are relative to it then."""
    stages: Stages | None = None
    """Its models one by one; None where they can only be run together."""

    def max_in_flight(self, instances: int) -> int:
        """Two full batches for every instance of the denoise model: one running, one ready to follow."""
        return 2 * instances * self.max_batch


def find_repository(given: Path | None) -> Path:
    """The given folder, or the one that ships with Reflex."""
    if given is not None:
        if not given.is_dir():
            raise SetupError(f"--model-repository {given}: there is no such folder")
        return given.resolve()
    return shipped_repository()


def load_policy(repository: Path, name: str | None, known: Iterable[PromptEncoder] = ()) -> ServedPolicy:
    """Read and cross-check a policy; `RepositoryError` or `SetupError` says why it must not be served.

    An equal tokenizer of `known` is taken over: reading one of 260,000 tokens holds every thread up for half a second.
    """
    policy_dir = policy_folder(repository, name or one_policy_of(repository))
    config = read_policy_config(policy_dir)
    require_own_name(policy_dir, config)
    components = [_component(repository, config, part) for part in COMPONENT_ROLES]
    embodiment = embodiment_of(policy_dir, config)
    require_own_sizes(config)
    ensemble = _model_config(policy_dir / TRITON_CONFIG_FILE)
    require_same_inputs(config.policy_id, _inputs(ensemble), config)
    _refuse_several_observations(config)
    return ServedPolicy(
        config=config,
        embodiment=embodiment,
        prompts=PromptEncoder.load(config.prompt, policy_dir, known) if config.prompt else None,
        canary=_load_canary(policy_dir, config.canary, config) if config.canary else None,
        max_batch=max(1, components[-1].max_batch_size),
        instances=count_instances(components[-1]) or 1,
        adds_state="state" in {tensor.name for tensor in _inputs(components[-1])},
        stages=read_stages(ensemble, dict(zip(config.models[1:], components, strict=True))),
    )


def _component(repository: Path, config: PolicyConfig, part: str) -> Any:  # noqa: ANN401 - generated protobuf
    path = repository / config.component(part) / TRITON_CONFIG_FILE
    model = _model_config(path)
    require_same_export(path.parent.name, model.parameters[EXPORT_ID_PARAMETER].string_value, config)
    return model


def _model_config(path: Path) -> Any:  # noqa: ANN401 - generated protobuf
    model = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), model)
    except OSError as exc:
        raise RepositoryError(f"{path} cannot be read ({exc.strerror}); export the policy again") from exc
    except (text_format.ParseError, UnicodeDecodeError) as exc:
        raise RepositoryError(f"{path} is no Triton model configuration: {exc}; export the policy again") from exc
    return model


def _inputs(model: Any) -> Iterator[TensorConfig]:  # noqa: ANN401 - generated protobuf
    for tensor in model.input:
        datatype = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
        yield TensorConfig(name=tensor.name, datatype=datatype, shape=tuple(tensor.dims))


def _refuse_several_observations(config: PolicyConfig) -> None:
    if refusal := several_observations(config):
        raise RepositoryError(refusal)


def _load_canary(policy_dir: Path, canary: CanaryConfig, config: PolicyConfig) -> Canary:
    path = policy_dir / canary.file
    try:
        # Opened here: of a file that is no archive, numpy would leave it open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            inputs = [_raw_tensor(tensor, arrays[tensor.name]) for tensor in config.inputs]
            expected = np.asarray(arrays["expected.actions"], np.float32).reshape(config.horizon, config.action_dim)
            if not np.isfinite(expected).all():
                raise ValueError("expected.actions is not finite")
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as exc:
        raise RepositoryError(f"{path} is no canary of this policy ({exc}); export the policy again") from exc
    return Canary(inputs, expected, canary.tolerance)


def _raw_tensor(wanted: TensorConfig, array: npt.NDArray[Any]) -> RawTensor:
    datatype = DATATYPES.get(array.dtype.name)
    fits = len(array.shape) == len(wanted.shape) and all(
        want in (-1, have) for want, have in zip(wanted.shape, array.shape, strict=True)
    )
    if datatype != wanted.datatype or not fits:
        raise ValueError(f"{wanted.name} is {array.dtype} {array.shape}")
    return RawTensor(wanted.name, datatype, (1, *array.shape), array.tobytes())
