"""What the models took on a GPU, by batch: three cameras, FP16, ten denoising steps, ONNX Runtime CUDA on one H200."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final

__all__ = ["MEASURED", "ModelTimes"]


@dataclass(frozen=True, slots=True)
class ModelTimes:
    """Milliseconds. The encoder is bound by arithmetic: a batch takes as long as its observations one by one."""

    encoder_ms: float
    denoise_ms: Mapping[int, float]
    """By batch, as measured; between them it is a line."""

    @property
    def max_batch(self) -> int:
        return max(self.denoise_ms)

    def denoising_ms(self, batch: int) -> float:
        """Of 1 to `max_batch` observations at once."""
        for low, high in pairwise(sorted(self.denoise_ms)):
            if low <= batch <= high:
                below, above = self.denoise_ms[low], self.denoise_ms[high]
                return below + (above - below) * (batch - low) / (high - low)
        raise ValueError(f"a batch of {batch} was not measured: 1 to {self.max_batch} were")

    def whole_ms(self, batch: int) -> float:
        """Encoder and denoise of a batch, one after the other on one GPU."""
        return batch * self.encoder_ms + self.denoising_ms(batch)

    def most_per_s(self, batch: int) -> float:
        """Chunks that a GPU can give in batches of this size."""
        return 1000 * batch / self.whole_ms(batch)


MEASURED: Final[Mapping[str, ModelTimes]] = MappingProxyType(
    {
        "pi0": ModelTimes(15.9, MappingProxyType({1: 28.2, 4: 37.9, 8: 47.4})),
        "smolvla": ModelTimes(8.9, MappingProxyType({1: 19.2, 4: 22.4, 8: 26.3})),
    }
)
