"""What an engine build refuses or fails at.

ReflexError                   reflex.errors
├── SetupError                TensorRT is absent, or there is no GPU for it
│   └── EngineError           a graph, profile or repository from which no engine could be built
│       ├── GraphRefusedError TensorRT's parser cannot take the graph; the message has one line for each node
│       └── PrecisionError    the engine computes in another precision than the policy says
└── ConfigTextError           a config.pbtxt that is no protobuf text; told as an EngineError
"""

from __future__ import annotations

from reflex.errors import ReflexError, SetupError

__all__ = ["ConfigTextError", "EngineError", "GraphRefusedError", "PrecisionError"]


class EngineError(SetupError):
    """No engine was built or published; what was there before is unchanged."""

    code = "engine"


class GraphRefusedError(EngineError):
    """The graph holds something that this version of TensorRT cannot take."""

    code = "graph_refused"


class PrecisionError(EngineError):
    """An FP16 policy whose engine computes in FP32 is several times too slow; the other way round it is less exact."""

    code = "precision"


class ConfigTextError(ReflexError):
    """The text is not protobuf's text format."""

    code = "config_text"
