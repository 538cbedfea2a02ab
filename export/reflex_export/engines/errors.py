"""What an engine build refuses or fails at.

SetupError                reflex.errors; TensorRT is absent, or there is no GPU for it
└── EngineError           a graph, profile or repository from which no engine could be built
    ├── GraphRefusedError TensorRT's parser cannot take the graph; the message has one line for each node
    └── PrecisionError    the engine computes in another precision than the policy says
"""

from __future__ import annotations

from reflex.errors import SetupError

__all__ = ["EngineError", "GraphRefusedError", "PrecisionError"]


class EngineError(SetupError):
    """No engine was built or published; what was there before is unchanged."""


class GraphRefusedError(EngineError):
    """The graph holds something that this version of TensorRT cannot take."""


class PrecisionError(EngineError):
    """An FP16 policy whose engine computes in FP32 is several times too slow; the other way round it is less exact."""
