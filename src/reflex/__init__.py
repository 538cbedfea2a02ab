"""Reflex serves vision-language-action policies to robots.

Everything here loads on first use: `import reflex` costs milliseconds and pulls in no numpy, FastAPI, onnx or tensorrt.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reflex.client import ActionStream, AsyncActionStream, AsyncReflexClient, ReflexClient
    from reflex.connector.marks import EpisodeMarks
    from reflex.connector.roles import action, observation
    from reflex.errors import ReflexError
    from reflex.sdk import (
        authorize_session,
        cancel_training_run,
        claim_pairing_token,
        close_session,
        create_deployment,
        create_deployment_from_spec,
        create_key,
        create_pairing_token,
        get_dataset,
        get_deployment,
        get_training_run,
        heartbeat_robot,
        list_datasets,
        list_deployments,
        list_keys,
        list_models,
        list_receipts,
        list_robot_schemas,
        list_robots,
        list_sessions,
        list_training_runs,
        promote_session,
        register_dataset,
        register_model,
        register_robot,
        register_robot_schema,
        revoke_key,
        rotate_key,
        run_deployment_doctor,
        start_training_run,
        training_run_logs,
        validate_dataset,
        wait_for_training_run,
        whoami,
    )
    from reflex.sdk.dataset_folders import convert_dataset, dataset_stats, repair_dataset
    from reflex.sdk.diagnosing import diagnose
    from reflex.sdk.evaluating import evaluate
    from reflex.sdk.running import connect, run_from_config

__all__ = [
    "ActionStream",
    "AsyncActionStream",
    "AsyncReflexClient",
    "EpisodeMarks",
    "ReflexClient",
    "ReflexError",
    "__version__",
    "action",
    "authorize_session",
    "cancel_training_run",
    "claim_pairing_token",
    "close_session",
    "connect",
    "convert_dataset",
    "create_deployment",
    "create_deployment_from_spec",
    "create_key",
    "create_pairing_token",
    "dataset_stats",
    "diagnose",
    "evaluate",
    "get_dataset",
    "get_deployment",
    "get_training_run",
    "heartbeat_robot",
    "list_datasets",
    "list_deployments",
    "list_keys",
    "list_models",
    "list_receipts",
    "list_robot_schemas",
    "list_robots",
    "list_sessions",
    "list_training_runs",
    "observation",
    "promote_session",
    "register_dataset",
    "register_model",
    "register_robot",
    "register_robot_schema",
    "repair_dataset",
    "revoke_key",
    "rotate_key",
    "run_deployment_doctor",
    "run_from_config",
    "start_training_run",
    "training_run_logs",
    "validate_dataset",
    "wait_for_training_run",
    "whoami",
]

__version__ = "0.1.0.dev0"

_HOMES = {
    "ActionStream": "reflex.client",
    "AsyncActionStream": "reflex.client",
    "AsyncReflexClient": "reflex.client",
    "EpisodeMarks": "reflex.connector.marks",
    "ReflexClient": "reflex.client",
    "ReflexError": "reflex.errors",
    "action": "reflex.connector.roles",
    "connect": "reflex.sdk.running",
    "convert_dataset": "reflex.sdk.dataset_folders",
    "dataset_stats": "reflex.sdk.dataset_folders",
    "repair_dataset": "reflex.sdk.dataset_folders",
    "evaluate": "reflex.sdk.evaluating",
    "diagnose": "reflex.sdk.diagnosing",
    "observation": "reflex.connector.roles",
    "run_from_config": "reflex.sdk.running",
}
"""All the others are functions of the control plane, in `reflex.sdk`."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'reflex' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "reflex.sdk")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
