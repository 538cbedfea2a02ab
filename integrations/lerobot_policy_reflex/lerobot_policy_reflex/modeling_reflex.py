"""The policy itself, as LeRobot calls it: tensors in, a chunk or its next action out."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from torch import Tensor

from lerobot_policy_reflex.asking import Asker
from lerobot_policy_reflex.configuration_reflex import NOTHING_TO_TRAIN, ReflexConfig
from lerobot_policy_reflex.fitting import Expected, require_fitting
from lerobot_policy_reflex.keys import key_source
from lerobot_policy_reflex.observing import STATE, TASK, Sending
from reflex.client import ReflexClient
from reflex.errors import SetupError

__all__ = ["ReflexPolicy"]


class ReflexPolicy(PreTrainedPolicy):  # type: ignore[misc]  # LeRobot is not installed where types are checked
    """Asks the server of its configuration. It has no weights, and takes part in no training."""

    config_class = ReflexConfig
    name = "reflex"

    def __init__(self, config: ReflexConfig, **_kwargs: object) -> None:
        super().__init__(config)
        config.validate_features()
        self.config: ReflexConfig = config
        self._client = ReflexClient(config.url, deadline_s=config.timeout_s, api_key=key_source(config.api_key_file))
        self._sending = Sending(config.cameras, config.instruction, config.image_encoding, config.jpeg_quality)
        self._asker = Asker(self._client, self._sending, action_dim=config.action_feature.shape[0], seed=config.seed)
        self._queue: deque[Tensor] = deque()

    @classmethod
    def _load_as_safetensor(cls, model: ReflexPolicy, _file: str, _location: str, _strict: bool) -> ReflexPolicy:  # noqa: FBT001 - LeRobot's
        """Where other policies read weights, this one asks whether the server has the policy that is meant."""
        require_fitting(model._client, model._expected())
        return model

    def _expected(self) -> Expected:
        names = [name for key in self.config.image_features if (name := self._sending.camera(key)) is not None]
        return Expected(
            state_dim=self.config.robot_state_feature.shape[0],
            action_dim=self.config.action_feature.shape[0],
            cameras=names,
        )

    def supports_rtc(self) -> bool:
        return self.config.rtc

    def reset(self) -> None:
        """A new episode begins."""
        self._queue.clear()
        self._asker.begin()

    def predict_action_chunk(
        self,
        batch: Mapping[str, Any],
        noise: Tensor | None = None,
        *,
        inference_delay: int | None = None,
        prev_chunk_left_over: Tensor | None = None,
        execution_horizon: int | None = None,
    ) -> Tensor:
        """[rows, steps, axes] in robot units. The left-over is in robot units too: it is this policy's own output."""
        if noise is not None:
            raise SetupError("the server draws the noise; give --policy.seed for the same noise in each run")
        chunk = self._asker.chunk(
            _arrays(batch, self._sending),
            left_over=_left_over(prev_chunk_left_over, execution_horizon),
            delay_steps=inference_delay or 0,
        )
        return torch.from_numpy(chunk).to(self.config.device)

    def select_action(self, batch: Mapping[str, Any], noise: Tensor | None = None) -> Tensor:
        """[rows, axes]: the next action of the chunk that is being executed, or the first of a new one."""
        if not self._queue:
            chunk = self.predict_action_chunk(batch, noise)
            self._queue.extend(chunk.transpose(0, 1)[: self.config.n_action_steps])
        return self._queue.popleft()

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any] | None]:  # noqa: ARG002 - LeRobot's
        """Always `SetupError`."""
        raise SetupError(NOTHING_TO_TRAIN)

    def get_optim_params(self) -> dict[str, Any]:
        """Always `SetupError`."""
        raise SetupError(NOTHING_TO_TRAIN)


def _arrays(batch: Mapping[str, Any], sending: Sending) -> dict[str, Any]:
    """What is sent of a batch, in numpy's arrays."""
    wanted = {key: value for key, value in batch.items() if key == STATE or sending.camera(key) is not None}
    arrays: dict[str, Any] = {key: value.detach().cpu().numpy() for key, value in wanted.items()}
    return arrays | ({TASK: batch[TASK]} if TASK in batch else {})


def _left_over(left_over: Tensor | None, execution_horizon: int | None) -> np.ndarray[Any, Any] | None:
    """Of the horizon that LeRobot means: the server holds a new chunk to no more than it is sent."""
    if left_over is None:
        return None
    steps: np.ndarray[Any, Any] = left_over.detach().cpu().numpy()
    return steps if execution_horizon is None else steps[..., :execution_horizon, :]
