"""The bodies of the HTTP contract, field by field: the request of `/act`, its answer, and what `/health` says.

Annotations are evaluated here: `NotRequired` in a string would not count in `__required_keys__`.
"""

from typing import Any, Final, Literal, NotRequired, TypedDict

__all__ = [
    "EMBODIMENT_FIELD",
    "PRECISION_PROOF_FIELD",
    "A2c2Reason",
    "ActBody",
    "ActExecution",
    "ActResult",
    "ActTelemetry",
    "CorrectBody",
    "CorrectResult",
    "GuardViolation",
    "HealthReport",
    "ObserversHealth",
    "PrecisionProof",
    "RtcReason",
    "SessionMode",
    "SlotHealth",
    "SlotName",
    "Timing",
]

SlotName = Literal["a", "b"]
"""Where one of two policies is loaded."""

SessionMode = Literal["dry_run", "apply_actions"]
"""What a session may do with the actions that it gets: look at them, or have its robot move."""

RtcReason = Literal["no_episode", "first_chunk", "policy_changed", "expired", "used_up"]
"""Why an answer does not continue the chunk before."""

A2c2Reason = Literal["latency_low", "other_policy", "untrained"]
"""Why actions were not corrected."""

EMBODIMENT_FIELD: Final = "embodiment_details"
"""Of `/config`, beside the fields of the policy's own file: every field of the `reflex.embodiments.Embodiment`."""


PRECISION_PROOF_FIELD: Final = "precision_proof"
"""Of `/config`: a `PrecisionProof`, where a policy computes otherwise than its checkpoint in FP32; else absent."""


class PrecisionProof(TypedDict):
    """How it is known that a policy's arithmetic is near enough to its checkpoint's."""

    by: Literal["nothing", "simulation", "measurement"]
    """A simulation of FP16 on a CPU, or a measurement on a device that serves."""
    verdict: Literal["passed", "failed", "not checked"]
    max_abs: NotRequired[float | str]
    """The largest difference of a normalised chunk; `nan` or `inf` where it is not finite."""
    gate_max_abs: NotRequired[float]
    """What it had to reach."""
    margin: NotRequired[Literal["kept", "used up"]]
    """Of a simulation: whether an error of twice the size would pass as well."""
    device: NotRequired[str]
    """Where it was measured."""
    provider: NotRequired[Literal["cuda"]]
    """Of ONNX Runtime, by which it was measured there; absent of an engine, and in older records."""
    form: NotRequired[str]
    """The file of the denoise graph that was measured; absent of an engine, and in older records."""
    measured_at: NotRequired[str]
    """ISO 8601, UTC."""
    is_serving_device: NotRequired[bool]
    """Whether that device serves, by that way and from that file; absent where the server does not know what serves.

    Of a simulation: present, and true, where a CPU serves what was simulated.
    """


class ActBody(TypedDict):
    """The body of `POST /act`. Null means absent; a server ignores fields that it does not know."""

    instruction: str
    state: list[float]
    """Robot units, as many as the policy's state_dim."""
    image_b64: NotRequired[str]
    """The policy's first camera: base64 of a JPEG or PNG."""
    image: NotRequired[str | list[Any]]
    """The same, or height x width x 3 integers from 0 to 255."""
    images: NotRequired[dict[str, str]]
    """Base64 by camera name, instead of the two before."""
    episode_id: NotRequired[str]
    request_id: NotRequired[str]
    seed: NotRequired[int]
    executed_steps: NotRequired[int]
    """Of the episode's last answer, how many actions had been executed when this observation was taken."""
    inference_delay_steps: NotRequired[int]
    """How many further ones will be executed before this answer is there."""
    prev_actions: NotRequired[list[list[float]]]
    """[n][action_dim], robot units: what is left of the chunk that is being executed; exclusive with executed_steps."""


class Timing(TypedDict):
    """Where the time of one request went."""

    decode_ms: float
    queue_ms: float
    infer_ms: float
    guard_ms: float


class GuardViolation(TypedDict):
    """One action value that the guard changed, in robot units."""

    step: int
    axis: int
    name: str
    value: float
    limit: float
    kind: str


class ActTelemetry(TypedDict, total=False):
    """What an answer says of the server, where that is configured."""

    robot_id: str
    """Absent when none is configured."""
    policy_slot: SlotName
    """Which of two policies answered; absent with one."""
    routing_degraded: bool
    """With two policies: there was no episode, or its own slot is out and the other one answered."""
    record_seq: int
    """The number under which this request is recorded; absent when nothing is."""
    injected_latency_ms: float
    """How long the answer was held back for a trial, part of `latency_ms`; absent where none is."""
    rtc_applied: bool
    """Whether the chunk continues the one before it; absent without `--rtc`."""
    rtc_delay_steps: int
    """Of the chunk before, how many actions were taken to be executed before this answer is there."""
    rtc_reason: RtcReason
    """Why not, where it does not."""
    a2c2_applied: bool
    """Whether the actions were corrected for latency; absent without `--a2c2-checkpoint`."""
    a2c2_reason: A2c2Reason
    """Why not, where they were not."""
    a2c2_correction_magnitude: float
    """The largest change of an action, as a share of its axis' range; 0 where nothing was corrected."""
    velocity_change: list[float]
    """By which share the policy's velocity changed at each denoising step; absent without `--tell-velocity-change`."""
    cache_hit: bool
    """Whether the model was spared what the episode's last observation had told it; absent without
    `--prefix-cache-mb`."""
    mode: SessionMode
    """Of the session that asked: actions of a `dry_run` must not be executed; absent where no session is needed."""


class ActExecution(TypedDict, total=False):
    """What an answer says of how it is to be executed, where the policy records it."""

    n_action_steps: int
    """How many of the actions to execute before the next request, as the policy was evaluated."""


class ActResult(ActExecution, ActTelemetry):
    """A 200 of `POST /act`. Newer servers may send further fields; they stay in the mapping."""

    actions: list[list[float]]
    """[num_actions][action_dim], finite, robot units."""
    request_id: str
    num_actions: int
    action_dim: int
    latency_ms: float
    """Receipt of the request to its response, in the server."""
    hz: float
    denoising_steps: int
    inference_mode: str
    guard_clamped: bool
    guard_violations: list[GuardViolation]
    model_version: NotRequired[str]
    """The policy that answered: its name and the first digits of the hash of its weights."""
    timing: NotRequired[Timing]


class CorrectBody(TypedDict):
    """The body of `POST /act/correct`. Null means absent; a server ignores fields that it does not know."""

    state: list[float]
    """The newest one, robot units."""
    actions: list[list[float]]
    """[n][action_dim], robot units: what is left of the chunk, from the action on that is due now."""
    position: NotRequired[int]
    """Which action of the chunk the first one is; absent: they are the chunk's last ones."""
    episode_id: NotRequired[str]
    request_id: NotRequired[str]


class CorrectResult(TypedDict):
    """A 200 of `POST /act/correct`; fields as in `ActResult`."""

    actions: list[list[float]]
    num_actions: int
    action_dim: int
    latency_ms: float
    guard_clamped: bool
    guard_violations: list[GuardViolation]
    request_id: str
    model_version: str
    a2c2_applied: bool
    a2c2_reason: NotRequired[A2c2Reason]
    a2c2_correction_magnitude: float
    robot_id: NotRequired[str]
    policy_slot: NotRequired[SlotName]
    routing_degraded: NotRequired[bool]
    mode: NotRequired[SessionMode]


class SlotHealth(TypedDict):
    """One of several policies of a server."""

    status: str
    model_version: str
    policy_hash: NotRequired[str]
    """Of the weights and graphs, as in `/config`; absent from a shadow."""
    reason: NotRequired[str]
    slo_violated: NotRequired[bool]
    """Whether the slot misses the latency objective; absent without one."""


class ObserversHealth(TypedDict, total=False):
    """What looks on while robots are answered; it never makes an instance unready."""

    shadow: SlotHealth
    recording: str
    """Why nothing is being recorded; absent while all is well."""
    keys: str
    """Why the file of keys was not read again; absent while all is well."""
    sessions: str
    """Why a session that ended may still be answered; absent while all is well."""


class HealthReport(ObserversHealth):
    """`GET /health`; `reason` is there when the server is not ready."""

    status: str
    """`warming`, `ready` or `degraded`."""
    model_loaded: NotRequired[bool]
    model_version: NotRequired[str | None]
    policy_hash: NotRequired[str]
    """Of the weights and graphs, whole; as `policy_hash` in `/config`."""
    guard_active: NotRequired[bool]
    """Whether actions are held to the embodiment's limits."""
    time: NotRequired[str]
    """Of this answer by the server's clock, which says when a session's credential ends: ISO 8601, UTC."""
    inference_mode: NotRequired[str | None]
    uptime_seconds: NotRequired[float]
    robot_id: NotRequired[str | None]
    cuda_graphs_active: NotRequired[bool]
    device: NotRequired[str]
    """What the embedded Triton computes on: `cpu`, `cuda` or `trt-rtx`; absent where Triton runs elsewhere."""
    gpu: NotRequired[str]
    """The card's name; absent without one."""
    device_passed_over: NotRequired[list[str]]
    """A sentence for each better device that `--device auto` could not take; absent where there is none."""
    reason: NotRequired[str]
    slo_violated: NotRequired[bool]
    """Whether the latency objective is missed, by one of two policies at least; absent without one."""
    injected_latency_ms: NotRequired[float]
    """How long every answer is held back for a trial; absent where none is."""
    slots: NotRequired[dict[SlotName, SlotHealth]]
    """Each of two policies; one that is ready is enough."""
