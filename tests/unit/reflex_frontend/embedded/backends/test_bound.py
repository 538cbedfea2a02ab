"""Bound runs with real sessions of ONNX Runtime; the memory is this machine's, for the code does not know the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from support.gpus.backend import backend_module, doubling, model_config

bound = backend_module("reflex_bound")


@pytest.fixture
def session(tmp_path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(doubling(tmp_path / "model.onnx")), providers=["CPUExecutionProvider"])


def made(session: onnxruntime.InferenceSession, **config: Any) -> Any:
    return bound.BoundSession(session, model_config(**config), "cpu", captures=True)


def rows(batch: int, value: float = 1.0) -> dict[str, np.ndarray[Any, Any]]:
    return {"x": np.full((batch, 4), value, np.float32)}


def test_a_run_gives_what_the_session_gives_and_an_answer_is_the_callers_own(
    session: onnxruntime.InferenceSession,
) -> None:
    model = made(session)
    first = model.run(["y"], rows(2, 1.0))[0]
    second = model.run(["y"], rows(2, 3.0))[0]
    assert (first == 2.0).all()
    assert (second == 6.0).all()
    assert np.shares_memory(first, second) is False


def test_each_set_of_shapes_has_one_graph_and_is_warmed_up_beforehand(
    session: onnxruntime.InferenceSession,
) -> None:
    model = made(session).warmed_up()
    graphs = {key: each.options.get_run_config_entry("gpu_graph_id") for key, each in model._bound.items()}
    assert graphs == {(("x", batch, 4),): str(batch) for batch in (1, 2, 3, 4)}
    model.run(["y"], rows(3))
    assert len(model._bound) == 4


def test_shapes_beyond_the_most_run_without_a_graph(
    session: onnxruntime.InferenceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bound, "MOST_GRAPHS", 1)
    model = made(session)
    assert (model.run(["y"], rows(1))[0] == 2.0).all()
    assert (model.run(["y"], rows(4))[0] == 2.0).all()
    assert len(model._bound) == 1


def test_what_one_model_leaves_on_the_device_another_one_takes_where_it_is(
    session: onnxruntime.InferenceSession,
) -> None:
    encoder, denoise = made(session), made(session)
    (left,) = encoder.run_on_device(["y"], rows(2, 5.0))
    assert isinstance(left, onnxruntime.OrtValue)
    assert (denoise.run(["y"], {"x": left})[0] == 20.0).all()
    without = bound.BoundSession(session, model_config(), "cpu", captures=False)
    assert (without.run(["y"], {"x": left})[0] == 20.0).all()


def test_an_output_of_any_size_is_never_captured(session: onnxruntime.InferenceSession) -> None:
    model = made(session, dims=(-1,))
    assert model.captures is False
    assert (model.run(["y"], rows(2))[0] == 2.0).all()
