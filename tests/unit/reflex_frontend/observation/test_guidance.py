"""The inputs of real-time chunking as raw bytes: padded to the policy's width, zeros where there is nothing."""

from __future__ import annotations

import numpy as np

from reflex.policy_config import TensorConfig
from reflex_frontend.observation.guidance import Guidance
from reflex_frontend.observation.observation import NoiseSource, observation_tensors
from reflex_frontend.observation.prompt import Prompt
from reflex_frontend.observation.request import ActRequest
from support.motion.continuing import NOISE_DIM, continuing_config, guidance_of

REQUEST = ActRequest("pick", (0.1,) * 6, None, None, None, "id", resendable=False, seed=None)
PROMPT = Prompt(bytes(48), bytes(6))
PIXELS = {"base": np.zeros((2, 2, 3), np.uint8)}
LEFT = np.arange(14, dtype=np.float32).reshape(2, 7) + 1
WEIGHTS = np.array([1, 0.5, 0, 0], np.float32)


def test_the_rest_of_a_chunk_is_padded_with_zeros_to_horizon_and_width() -> None:
    guidance = Guidance(LEFT, WEIGHTS, 7.5)
    tensors = observation_tensors(continuing_config(), REQUEST, PIXELS, PROMPT, NoiseSource(), guidance)
    previous, weights, bound = guidance_of(tensors)

    assert previous.shape == (4, NOISE_DIM)
    assert (previous[:2, :7] == LEFT).all()
    assert previous[2:].any() == previous[:, 7:].any() == np.False_
    assert (weights.tolist(), bound) == ([1, 0.5, 0, 0], 7.5)


def test_without_it_all_of_them_are_zero() -> None:
    tensors = observation_tensors(continuing_config(), REQUEST, PIXELS, PROMPT, NoiseSource())
    previous, weights, bound = guidance_of(tensors)
    assert not previous.any()
    assert not weights.any()
    assert not bound


def test_a_bound_fills_its_tensor() -> None:
    found = Guidance(LEFT, WEIGHTS, 2.5).tensor(TensorConfig(name="rtc_max_guidance", datatype="FP32", shape=(1,)))
    assert np.frombuffer(found, np.float32).tolist() == [2.5]
