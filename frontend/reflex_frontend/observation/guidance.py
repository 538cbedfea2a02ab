"""What real-time chunking gives a model besides the observation: the rest of the chunk before, and how firm it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reflex.policy_config import TensorConfig

__all__ = ["Guidance"]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Guidance:
    """The inputs of one inference; nothing in it may be changed afterwards."""

    previous: Array
    """[steps left, action_dim], normalised, from the moment of the observation on."""
    weights: Array
    """[horizon], from 1 (as it was planned) to 0 (free)."""
    max_weight: float

    def tensor(self, tensor: TensorConfig) -> bytes:
        """The raw bytes of `prev_chunk`, `rtc_weights` or `rtc_max_guidance`."""
        match tensor.name:
            case "prev_chunk":
                padded = np.zeros(tensor.shape, np.float32)
                padded[: self.previous.shape[0], : self.previous.shape[1]] = self.previous
                return padded.tobytes()
            case "rtc_weights":
                return self.weights.tobytes()
            case _:
                return np.full(tensor.shape, self.max_weight, np.float32).tobytes()
