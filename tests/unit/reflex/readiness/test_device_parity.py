"""A measurement on a device is part of a policy's record, and of no other export's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from reflex.device_parity import DeviceParityConfig, with_newest
from reflex.policy_config import PolicyConfig
from support.checkpoints.measured import measured_on
from support.fakes import policy_config


def test_a_record_that_was_measured_is_written_and_read_again() -> None:
    config = policy_config(device_parity=(measured_on("NVIDIA H200"),))

    assert PolicyConfig.model_validate_json(config.model_dump_json()) == config


def test_a_record_without_a_measurement_does_not_speak_of_one() -> None:
    assert "device_parity" not in policy_config().model_dump(mode="json")
    assert "device_parity" not in json.loads(policy_config().model_dump_json(indent=2))


def test_a_measurement_of_another_export_contradicts_the_record() -> None:
    with pytest.raises(ValidationError, match="device_parity is of another export"):
        policy_config(device_parity=(measured_on("NVIDIA H200", export_id="another-export"),))


@pytest.mark.parametrize(
    "fields",
    [
        {"device": ""},
        {"provider": "cpu"},
        {"form": ""},
        {"compute_capability": "nine"},
        {"measured_at": "yesterday"},
        {"verdict": "not checked"},
        {"max_abs": "much"},
        {"surprise": 1},
    ],
)
def test_what_is_no_measurement_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DeviceParityConfig(**(measured_on("NVIDIA H200").model_dump() | fields))


def test_a_record_from_before_ways_and_forms_were_told_is_read_and_replaced() -> None:
    told = measured_on("NVIDIA H200", provider="cuda", form="model.onnx")
    before = DeviceParityConfig(**told.model_dump(exclude={"provider", "form"}))
    other = told.model_copy(update={"form": "model.cuda.onnx"})

    assert (before.provider, before.form) == (None, None)
    assert with_newest((other, before), told) == (other, told)
    assert with_newest((other, told), told) == (other, told)


def test_what_was_held_against_something_else_stays() -> None:
    strong = measured_on("NVIDIA H200", verdict="failed", against="recorded cases", max_abs=6e-3)
    weak = measured_on("NVIDIA H200", max_abs=1e-3)

    both = with_newest((strong,), weak)
    again = strong.model_copy(update={"verdict": "passed", "max_abs": 2e-3})

    assert both == (strong, weak)
    assert with_newest(both, again) == (weak, again)


def test_a_figure_that_is_not_finite_is_kept_as_its_word() -> None:
    assert measured_on("NVIDIA H200", verdict="failed", max_abs="nan").max_abs == "nan"
