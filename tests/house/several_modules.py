"""Tests that mirror no module; see tests/house/mirror.py."""

from __future__ import annotations

from typing import Final

__all__ = ["SEVERAL_MODULES"]

SEVERAL_MODULES: Final = (
    "tests/unit/reflex/client/test_sockets.py",
    "tests/unit/reflex_runner/loop/test_jitter.py",
    "tests/unit/reflex_runner/loop/test_histories.py",
    "tests/unit/lerobot_policy_reflex/test_package.py",
    "tests/unit/reflex/cli/test_documented.py",
    "tests/unit/reflex/cli/test_helps.py",
    "tests/unit/reflex/client/test_correct.py",
    "tests/unit/reflex/client/test_documented.py",
    "tests/unit/reflex/test_embodiments.py",
    "tests/unit/reflex/test_error_tree.py",
    "tests/unit/reflex/test_lines_to_type.py",
    "tests/unit/reflex_control/store/test_lent_store.py",
    "tests/unit/reflex_frontend/motion/test_adaptive_slots.py",
    "tests/unit/reflex_frontend/motion/test_prefix_bounds.py",
    "tests/unit/reflex_frontend/motion/test_adaptive_slots.py",
    "tests/unit/reflex_frontend/motion/test_rtc_episodes.py",
    "tests/unit/reflex_frontend/motion/test_rtc_goldens.py",
    "tests/unit/reflex_frontend/motion/test_rtc_slots.py",
    "tests/unit/reflex_frontend/http/test_half_close.py",
    "tests/unit/reflex_frontend/http/test_keep_alive.py",
    "tests/unit/reflex_frontend/http/test_packed_act.py",
    "tests/unit/reflex/sdk/test_signatures.py",
    "tests/unit/reflex/test_import_cost.py",
    "tests/unit/reflex/traces/test_documented.py",
    "tests/unit/reflex_analysis/test_replay_rtc.py",
    "tests/unit/reflex_runner/connectors/commands/test_protocol_schema.py",
    "tests/unit/reflex_runner/connectors/test_command_runs.py",
    "tests/unit/reflex_runner/connectors/test_contract.py",
    "tests/unit/reflex_runner/connectors/test_documented.py",
    "tests/unit/reflex_export/checking/test_observation_steps.py",
    "tests/unit/reflex_export/configs/test_every_key.py",
    "tests/unit/reflex_export/families/test_full_size.py",
    "tests/unit/reflex_export/families/test_spoilt_recordings.py",
    "tests/unit/reflex_export/publishing/test_publish.py",
    "tests/unit/reflex_export/reading/test_any_json.py",
    "tests/unit/reflex_export/reading/test_nothing_ignored.py",
    "tests/unit/reflex_export/test_no_telemetry.py",
    "tests/unit/reflex_bench/fleet/test_order_and_batches.py",
    "tests/unit/reflex_frontend/act/test_act_injected.py",
    "tests/unit/reflex_frontend/act/test_act_objective.py",
    "tests/unit/reflex_frontend/act/test_act_refusals.py",
    "tests/unit/reflex_frontend/act/test_act_resent.py",
    "tests/unit/reflex_frontend/observing/recording/test_episode_files.py",
    "tests/unit/reflex_frontend/policy/test_admission_order.py",
    "tests/unit/reflex_frontend/policy/test_silent_model.py",
    "tests/unit/reflex_frontend/rollout/test_unloading.py",
    "tests/unit/reflex_frontend/streams/test_act_stream_callers.py",
)
"""Tests of a promise that several modules keep together."""
