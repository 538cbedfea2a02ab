"""Which modules get faults planted, which tests must notice, and which faults nobody can notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mutants.mutation import Identity

__all__ = ["EXPLAINED", "TARGETS", "Target"]

UNIT: Final = "tests/unit"
DOCTOR: Final = (
    "examining", "frontend_checks", "policy_checks", "robot_checks", "schema_checks", "sighting", "told",
)  # fmt: skip

HTTP2: Final = "frontend/reflex_frontend/triton/http2"
FRAMING: Final = ("frames", "fields", "status", "stream", "silence")

MOVING: Final = (
    "motion/limits", "motion/freshness", "motion/usable", "motion/command_guard", "motion/chunk_buffer", "motion/seam",
    "motion/joining", "motion/descent", "motion/pilot", "loop/hands", "loop/tally", "loop/control_loop",
    "loop/heartbeats",
)  # fmt: skip
"""Of the robot's side: what decides whether and how an arm moves."""


@dataclass(frozen=True, slots=True)
class Target:
    """A module by its file, and the tests that hold its promises: these alone must notice every fault."""

    path: str
    tests: tuple[str, ...]
    called: str = ""
    """Where two modules have one name."""
    is_drawn: bool = True
    """Whether faults are drawn for it; else only those are planted that `planted` names."""

    @property
    def name(self) -> str:
        """`breaker` of frontend/reflex_frontend/policy/breaker.py."""
        return self.called or self.path.rpartition("/")[2].removesuffix(".py")

    @property
    def module(self) -> str:
        """By which it is imported: the first folder is only where the package lies."""
        return self.path.partition("/")[2].removesuffix(".py").replace("/", ".")


def _tests_of(name: str) -> str:
    folder, _, module = name.rpartition("/")
    return f"{folder}/test_{module}.py"


TARGETS: Final = (
    Target("src/reflex/guard.py", (f"{UNIT}/reflex/test_guard.py",)),
    Target("src/reflex/client/call.py", (f"{UNIT}/reflex/client/test_call.py",)),
    Target(
        "frontend/reflex_frontend/policy/admission.py",
        (
            f"{UNIT}/reflex_frontend/policy/test_admission.py",
            f"{UNIT}/reflex_frontend/policy/test_admission_order.py",
        ),
    ),
    Target("frontend/reflex_frontend/policy/breaker.py", (f"{UNIT}/reflex_frontend/policy/test_breaker.py",)),
    Target("frontend/reflex_frontend/policy/plausibility.py", (f"{UNIT}/reflex_frontend/policy/test_plausibility.py",)),
    Target("frontend/reflex_frontend/policy/vitals.py", (f"{UNIT}/reflex_frontend/policy/test_vitals.py",)),
    Target(
        "frontend/reflex_frontend/policy/inference.py",
        (
            f"{UNIT}/reflex_frontend/policy/test_inference.py",
            f"{UNIT}/reflex_frontend/policy/test_silent_model.py",
        ),
    ),
    *(
        Target(f"{HTTP2}/{name}.py", (f"{UNIT}/{_tests_of(f'reflex_frontend/triton/http2/{name}')}",), f"http2_{name}")
        for name in FRAMING
    ),
    Target(
        f"{HTTP2}/connection.py",
        (
            f"{UNIT}/reflex_frontend/triton/http2/test_connection.py",
            f"{UNIT}/reflex_frontend/triton/http2/test_strange_peers.py",
        ),
        "http2_connection",
    ),
    Target("frontend/reflex_frontend/triton/stages.py", (f"{UNIT}/reflex_frontend/triton/test_stages.py",)),
    Target(
        "frontend/reflex_frontend/motion/prefixes.py",
        (
            f"{UNIT}/reflex_frontend/motion/test_prefixes.py",
            f"{UNIT}/reflex_frontend/motion/test_prefix_bounds.py",
        ),
    ),
    Target("frontend/reflex_frontend/exchange/routing.py", (f"{UNIT}/reflex_frontend/exchange/test_routing.py",)),
    Target("frontend/reflex_frontend/exchange/slot_hash.py", (f"{UNIT}/reflex_frontend/exchange/test_slot_hash.py",)),
    Target("frontend/reflex_frontend/observation/request.py", (f"{UNIT}/reflex_frontend/observation/test_request.py",)),
    Target("frontend/reflex_frontend/callers/keys.py", (f"{UNIT}/reflex_frontend/callers/test_keys.py",)),
    Target("frontend/reflex_frontend/act/resent.py", (f"{UNIT}/reflex_frontend/act/test_resent.py",)),
    Target("src/reflex/numerics.py", (f"{UNIT}/reflex/test_numerics.py",)),
    Target("export/reflex_export/checking/parity.py", (f"{UNIT}/reflex_export/checking/test_parity.py",)),
    Target("export/reflex_export/checking/comparison.py", (f"{UNIT}/reflex_export/checking/test_comparison.py",)),
    Target(
        "export/reflex_export/publishing/transaction.py",
        (f"{UNIT}/reflex_export/publishing/test_transaction.py", f"{UNIT}/reflex_export/publishing/test_publish.py"),
    ),
    Target("control/reflex_control/sessions/fitness.py", (f"{UNIT}/reflex_control/sessions/test_fitness.py",)),
    Target("control/reflex_control/sessions/promoting.py", (f"{UNIT}/reflex_control/sessions/test_promoting.py",)),
    *(
        Target(f"control/reflex_control/doctor/{name}.py", (f"{UNIT}/reflex_control/doctor/test_{name}.py",))
        for name in (
            "examining",
            "frontend_checks",
            "policy_checks",
            "robot_checks",
            "schema_checks",
            "sighting",
            "told",
        )
    ),
    Target("src/reflex/outbound/addresses.py", (f"{UNIT}/reflex/outbound/test_addresses.py",)),
    Target("src/reflex/outbound/asking.py", (f"{UNIT}/reflex/outbound/test_asking.py",)),
    *(Target(f"runner/reflex_runner/{name}.py", (f"{UNIT}/reflex_runner/{_tests_of(name)}",)) for name in MOVING),
    # Their threads wait for what a fault keeps from them, each time until the limit.
    Target("runner/reflex_runner/loop/senses.py", (f"{UNIT}/reflex_runner/loop/test_senses.py",), is_drawn=False),
    Target(
        "runner/reflex_runner/loop/inference.py",
        (f"{UNIT}/reflex_runner/loop/test_inference.py",),
        "runner_inference",
        is_drawn=False,
    ),
    Target("runner/reflex_runner/so101/frame.py", (f"{UNIT}/reflex_runner/so101/test_frame.py",)),
    Target("runner/reflex_runner/so101/holding.py", (f"{UNIT}/reflex_runner/so101/test_holding.py",)),
    Target("runner/reflex_runner/so101/units.py", (f"{UNIT}/reflex_runner/so101/test_units.py",)),
)

EXPLAINED: Final[Mapping[Identity, str]] = {
    (
        "frontend/reflex_frontend/callers/keys.py",
        "size",
        "return max(1.0, self.rate_per_s * BURST_S)",
        "return max(1.0, self.rate_per_s / BURST_S)",
    ): "BURST_S is 1 second, by which multiplying and dividing are the same",
    (
        "frontend/reflex_frontend/policy/breaker.py",
        "Breaker",
        "_probe_at: float = 0.0",
        "_probe_at: float = -1.0",
    ): "a breaker that was never open has no probe to wait for, whichever moment of the past it lies at",
    (
        "frontend/reflex_frontend/policy/inference.py",
        "infer",
        "done, _ = await asyncio.wait((call,), timeout=max(0.0, deadline - started))",
        "done, _ = await asyncio.wait((call,), timeout=max(-1.0, deadline - started))",
    ): "asyncio takes a time-out in the past for one that ends now",
}
"""Faults that change nothing anybody could see, and why; the lines as they stand in the file, stripped."""
