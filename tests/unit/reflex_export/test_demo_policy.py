from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from reflex_export.chain import PolicyChain
from reflex_export.demo import ACTION_STATISTICS, ARCHITECTURE, STATE_STATISTICS, build_demo
from reflex_export.graph import Array, OnnxModel
from reflex_export.repository import PolicyFiles
from reflex_export.seeded_weights import seeded_weights
from unit.reflex_export.numpy_policy import NumpyPolicy

Request = dict[str, Array]
MakeRequest = Callable[..., Request]

FRANKA_MAX_STEP_RAD = 2.175 / 20
"""The slowest joints' speed at 20 Hz control."""


def act(chain: PolicyChain, request: Request) -> Array:
    actions: Array = chain.run({name: tensor[None] for name, tensor in request.items()})["actions"][0]
    return actions


@pytest.fixture(scope="module")
def reference() -> NumpyPolicy:
    return NumpyPolicy(ARCHITECTURE, seeded_weights(ARCHITECTURE, 0), STATE_STATISTICS, ACTION_STATISTICS)


@pytest.mark.parametrize(
    ("seed", "instruction", "height", "width"),
    [
        (0, "pick up the red cup", 48, 64),
        (1, "", 224, 224),
        (2, "ouvre le tiroir à côté de l'évier " * 4, 37, 512),
        (3, "杯を取って", 1, 1),
    ],
)
def test_graphs_agree_with_an_independent_implementation(
    chain: PolicyChain,
    make_request: MakeRequest,
    reference: NumpyPolicy,
    seed: int,
    instruction: str,
    height: int,
    width: int,
) -> None:
    request = make_request(seed, instruction, height, width)

    assert np.abs(act(chain, request) - reference.act(request)).max() <= 1e-4 * ACTION_STATISTICS.std[0]


def test_absent_camera_agrees_with_an_independent_implementation(
    chain: PolicyChain, make_request: MakeRequest, reference: NumpyPolicy
) -> None:
    request = make_request(4) | {"camera_mask": np.array([False])}

    assert np.abs(act(chain, request) - reference.act(request)).max() <= 1e-4 * ACTION_STATISTICS.std[0]


def test_image_changes_the_answer(chain: PolicyChain, make_request: MakeRequest) -> None:
    request = make_request(0)
    darker = request | {"image.image": request["image.image"] // 2}

    assert np.abs(act(chain, request) - act(chain, darker)).max() > 1e-3


def test_instruction_changes_the_answer(chain: PolicyChain, make_request: MakeRequest) -> None:
    red, blue = make_request(0, "pick up the red cup"), make_request(0, "pick up the blue cup")

    assert np.abs(act(chain, red) - act(chain, blue)).max() > 1e-3


def test_state_changes_the_answer(chain: PolicyChain, make_request: MakeRequest) -> None:
    request = make_request(0)
    raised = request | {"state": request["state"] + np.array([0, 0, 0.1, 0, 0, 0], np.float32)}

    assert np.abs(act(chain, request) - act(chain, raised)).max() > 1e-3


def test_padding_tokens_do_not_change_the_answer(chain: PolicyChain, make_request: MakeRequest) -> None:
    request = make_request(0)
    other_padding = request | {"tokens": np.where(request["token_mask"], request["tokens"], 77)}

    np.testing.assert_array_equal(act(chain, request), act(chain, other_padding))


def test_pixels_of_an_absent_camera_do_not_change_the_answer(chain: PolicyChain, make_request: MakeRequest) -> None:
    request = make_request(0) | {"camera_mask": np.array([False])}
    black = request | {"image.image": np.zeros((1, 1, 3), np.uint8)}

    np.testing.assert_array_equal(act(chain, request), act(chain, black))


def test_batch_answers_each_request_as_if_it_were_alone(chain: PolicyChain, make_request: MakeRequest) -> None:
    requests = [make_request(seed, "open the drawer" * seed) for seed in range(3)]
    requests[1]["camera_mask"] = np.array([False])
    batch = {name: np.stack([request[name] for request in requests]) for name in requests[0]}

    alone = np.stack([act(chain, request) for request in requests])

    np.testing.assert_allclose(chain.run(batch)["actions"], alone, rtol=0, atol=1e-6)


def test_answers_stay_near_the_ready_pose_and_move_as_slowly_as_the_arm(
    chain: PolicyChain, make_request: MakeRequest
) -> None:
    chunks = np.stack([act(chain, make_request(seed, "stack the cubes")) for seed in range(8)])
    jumps = np.abs(np.diff(chunks, axis=1))

    assert np.abs(chunks - np.array(ACTION_STATISTICS.mean)).max() < 0.3
    assert (jumps > FRANKA_MAX_STEP_RAD).mean() < 0.001


def test_unrolled_steps_share_their_weights(models: tuple[OnnxModel, ...]) -> None:
    expert = {name: w for name, w in seeded_weights(ARCHITECTURE, 0).items() if name.startswith("expert.")}
    graph = onnx.load_from_string(models[2].content).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}

    # The time's weights are folded into one bias for each step; beyond the weights there are only a few constants.
    assert stored.keys() >= expert.keys() - {"expert.time_in.time.weight", "expert.time_in.bias"}
    assert sum(array.nbytes for array in stored.values()) < sum(array.nbytes for array in expert.values()) + 4096
    assert "Loop" not in {node.op_type for node in graph.node}


def test_graphs_pass_the_checker_with_shape_inference(models: tuple[OnnxModel, ...]) -> None:
    for model in models:
        onnx.checker.check_model(onnx.load_from_string(model.content), full_check=True)


def test_same_seed_gives_the_same_bytes_and_another_seed_another_policy(demo: PolicyFiles) -> None:
    again, other = build_demo(0), build_demo(1)

    assert [c.files for c in again.components] == [c.files for c in demo.components]
    assert again.config == demo.config
    assert other.config.policy_hash != demo.config.policy_hash
    assert other.config.export_id != demo.config.export_id


def test_policy_says_that_it_is_untrained(demo: PolicyFiles) -> None:
    assert demo.config.trained is False
    assert "UNTRAINED" in demo.config.description
