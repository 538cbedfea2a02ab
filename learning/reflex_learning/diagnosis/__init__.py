"""Is it the data, the training or the deployment? Recorded episodes, answered by the policy that is served."""

from __future__ import annotations
