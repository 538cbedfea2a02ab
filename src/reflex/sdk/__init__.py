"""The control plane as functions: each has a command of `reflex` beside it, and returns the plain JSON of the wire.

    import reflex

    deployment = reflex.create_deployment(name="kitchen-policy-v3", model_id="model_abc123")
    print(reflex.run_deployment_doctor(deployment["id"])["ready"])

Every function takes `api_key` and `convex_url` (or `backend_url`, which is the same thing). What is not given comes
from REFLEX_API_KEY and REFLEX_CONVEX_URL, then from what `reflex login` stored. Errors are in `reflex.control.errors`.
"""

from reflex.sdk.datasets import get_dataset, list_datasets, register_dataset, validate_dataset
from reflex.sdk.deployments import (
    create_deployment,
    create_deployment_from_spec,
    get_deployment,
    list_deployments,
    run_deployment_doctor,
)
from reflex.sdk.records import (
    create_key,
    list_keys,
    list_models,
    list_receipts,
    register_model,
    revoke_key,
    rotate_key,
    whoami,
)
from reflex.sdk.robots import (
    claim_pairing_token,
    create_pairing_token,
    heartbeat_robot,
    list_robot_schemas,
    list_robots,
    register_robot,
    register_robot_schema,
)
from reflex.sdk.sessions import authorize_session, close_session, list_sessions, promote_session
from reflex.sdk.training import (
    cancel_training_run,
    get_training_run,
    list_training_runs,
    start_training_run,
    training_run_logs,
    wait_for_training_run,
)

__all__ = [
    "authorize_session",
    "cancel_training_run",
    "claim_pairing_token",
    "close_session",
    "create_deployment",
    "create_deployment_from_spec",
    "create_key",
    "create_pairing_token",
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
    "promote_session",
    "register_dataset",
    "register_model",
    "register_robot",
    "register_robot_schema",
    "revoke_key",
    "rotate_key",
    "run_deployment_doctor",
    "start_training_run",
    "training_run_logs",
    "validate_dataset",
    "wait_for_training_run",
    "whoami",
]
