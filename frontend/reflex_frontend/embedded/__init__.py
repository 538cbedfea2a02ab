"""The embedded Triton: a `tritonserver` child process, found, started, watched, restarted and cleaned up after.

```python
triton = EmbeddedTriton(EmbeddedOptions(model_repository=Path("model_repository"), models=("demo",)))
await triton.start()  # returns once the process runs; ask gRPC at `triton.grpc_address` whether it is ready
...
await triton.stop()
```

How it works and what it promises: docs/embedded-triton.md.
"""

from __future__ import annotations

from reflex_frontend.embedded.locate import Installation, locate
from reflex_frontend.embedded.options import EmbeddedOptions, TritonEvent
from reflex_frontend.embedded.server import EmbeddedTriton

__all__ = ["EmbeddedOptions", "EmbeddedTriton", "Installation", "TritonEvent", "locate"]
