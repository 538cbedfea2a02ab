"""What is wrapped for LoRA."""

from __future__ import annotations

from typing import Any

__all__ = ["PreTrainedPolicy"]


class PreTrainedPolicy:
    """Remembers what PEFT would be told."""

    told: dict[str, Any] | None = None

    def wrap_with_peft(self, peft_config: Any = None, peft_cli_overrides: dict[str, Any] | None = None) -> None:
        PreTrainedPolicy.told = {"config": peft_config, **(peft_cli_overrides or {})}
