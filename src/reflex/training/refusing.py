"""The one refusal of a run that is out of bounds, in the same words wherever it is noticed first."""

from __future__ import annotations

from reflex.errors import service_error
from reflex.training.request import TrainingRequest, problems

__all__ = ["require_within_bounds"]


def require_within_bounds(request: TrainingRequest) -> None:
    """`ServiceError` 422 names every bound that is broken."""
    if broken := problems(request):
        words = f"{'; '.join(broken)}; nothing was queued"
        raise service_error("invalid_value", words, context={"problems": broken})
