"""From a checkpoint to a Triton model repository: ONNX graphs built directly with onnx-ir, no PyTorch.

`reading` parses a checkpoint, `families` build its graphs, `pipeline` checks and publishes them through `staged` and
`transaction`; `engines` builds TensorRT from what was published.
"""

import os

# The package onnxruntime reports its use to its maker unless this is set before it is imported. Reflex sends nothing.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
