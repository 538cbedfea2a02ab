"""Bound runs with real sessions of ONNX Runtime; the memory is this machine's, for the code does not know the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from support.gpus.backend import backend_module, doubling, model_config

bound = backend_module("reflex_bound")
ensemble = backend_module("reflex_ensemble")


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
    model = made(session)
    monkeypatch.setattr(bound, "MOST_GRAPHS", 1)
    assert (model.run(["y"], rows(1))[0] == 2.0).all()
    assert (model.run(["y"], rows(4))[0] == 2.0).all()
    assert len(model._bound) == 1


def test_what_one_model_leaves_on_the_device_another_one_takes_where_it_is(
    session: onnxruntime.InferenceSession,
) -> None:
    encoder, denoise = made(session), made(session)
    (left,) = encoder.run(["y"], rows(2, 5.0), stay=["y"])
    assert isinstance(left, onnxruntime.OrtValue)
    assert (denoise.run(["y"], {"x": left})[0] == 20.0).all()
    without = bound.BoundSession(session, model_config(), "cpu", captures=False)
    assert (without.run(["y"], {"x": left})[0] == 20.0).all()


def noting(session: onnxruntime.InferenceSession, seen: list[type]) -> Any:
    """A step's session that notes what it is given."""
    model = made(session)
    run = model.run

    def noted(names: Any, feed: dict[str, Any], stay: Any = ()) -> Any:
        seen.append(type(feed["x"]))
        return run(names, feed, stay)

    model.run = noted
    return model


@pytest.mark.parametrize(("requests", "kind"), [(1, onnxruntime.OrtValue), (2, np.ndarray)])
def test_in_an_ensemble_a_lone_requests_tensors_stay_on_the_device_between_its_models(
    session: onnxruntime.InferenceSession, requests: int, kind: type
) -> None:
    seen: list[type] = []
    steps = tuple(
        ensemble.Step(name, noting(session, seen), {"x": before}, {"y": after}, batches=True, most_rows=4)
        for name, before, after in (("encoder", "x", "prefix"), ("denoise", "prefix", "actions"))
    )
    whole = ensemble.Ensemble("policy", steps)
    results = whole.run_all([rows(1, float(n + 1)) for n in range(requests)], frozenset({"actions"}), lambda _: False)
    assert [result["actions"].tolist() for result in results] == [[[4.0 * (n + 1)] * 4] for n in range(requests)]
    assert seen == [np.ndarray, kind]


def test_what_is_read_on_the_processor_or_by_the_caller_does_not_stay(session: onnxruntime.InferenceSession) -> None:
    on_device, plain = made(session), session
    kinds = (("encoder", on_device), ("other", plain), ("denoise", on_device))
    names = iter(["x", "prefix", "kept", "actions"])
    before = next(names)
    steps = []
    for name, each in kinds:
        after = next(names)
        steps.append(ensemble.Step(name, each, {"x": before}, {"y": after}, batches=True, most_rows=4))
        before = after
    (result,) = ensemble.Ensemble("policy", tuple(steps)).run_all(
        [rows(1)], frozenset({"actions", "kept"}), lambda _: False
    )
    assert result["actions"].tolist() == [[8.0] * 4]
    assert result["kept"].tolist() == [[4.0] * 4]


def test_an_output_of_any_size_is_never_captured(session: onnxruntime.InferenceSession) -> None:
    model = made(session, dims=(-1,))
    assert model.captures is False
    assert (model.run(["y"], rows(2))[0] == 2.0).all()


def test_an_output_that_nobody_takes_may_be_of_any_type(tmp_path: Path) -> None:
    model = onnx.load(doubling(tmp_path / "model.onnx"))
    model.graph.node.append(onnx.helper.make_node("Cast", ["y"], ["text"], to=onnx.TensorProto.STRING))
    model.graph.output.append(onnx.helper.make_tensor_value_info("text", onnx.TensorProto.STRING, ["batch", 4]))
    onnx.save(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert (made(session).run(["y"], rows(2))[0] == 2.0).all()
