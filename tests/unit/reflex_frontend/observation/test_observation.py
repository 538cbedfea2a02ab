"""Which tensors a request becomes."""

from __future__ import annotations

import numpy as np
import pytest

from reflex.errors import InvalidRequestError
from reflex.policy_config import TensorConfig
from reflex_frontend.observation.observation import NoiseSource, camera_sources, check_state, observation_tensors
from reflex_frontend.observation.prompt import Prompt
from reflex_frontend.observation.request import ActRequest, ImageSource
from support.fakes import policy_config

# RandomState(MT19937(SeedSequence(0))).standard_normal(); a change here changes every seeded answer in the field.
SEED_0 = [-1.8313077688217163, -0.1773543506860733, 0.038279201835393906, -0.4029516279697418]
TWO = policy_config(cameras={"base": True, "wrist": False})


def request(
    state: tuple[float, ...] = (0.1,) * 6,
    image: ImageSource | None = None,
    images: dict[str, ImageSource] | None = None,
) -> ActRequest:
    return ActRequest("pick", state, image, images, None, "id", resendable=False, seed=None)


def test_seeded_noise_is_frozen() -> None:
    noise = np.frombuffer(NoiseSource().draw((4, 7), 0), np.float32)
    assert noise.shape == (28,)
    assert noise[:4].tolist() == SEED_0


def test_a_seed_gives_the_same_noise_whatever_was_drawn_before() -> None:
    source, shape = NoiseSource(), (50, 32)
    first = source.draw(shape, 2**63 - 1)
    source.draw(shape, None)
    assert source.draw(shape, 2**63 - 1) == first
    assert source.draw(shape, 1) != first
    assert source.draw(shape, 2**63 - 1, stream="step_noise") != first


def test_noise_without_a_seed_is_standard_normal_and_never_the_same() -> None:
    source = NoiseSource()
    first, second = (np.frombuffer(source.draw((1_000, 32), None), np.float32) for _ in range(2))
    assert not np.array_equal(first, second)
    assert abs(float(first.mean())) < 0.05
    assert float(first.std()) == pytest.approx(1.0, abs=0.05)


def test_two_servers_do_not_draw_the_same_noise() -> None:
    assert NoiseSource().draw((4, 7), None) != NoiseSource().draw((4, 7), None)


@pytest.mark.parametrize("length", [0, 5, 7])
def test_a_state_of_another_length_is_422_and_says_both_lengths(length: int) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_state(request(state=(0.0,) * length), 6)
    assert (caught.value.code, caught.value.status) == ("state_dim_mismatch", 422)
    assert caught.value.context == {"expected": 6, "received": length}


def test_a_single_image_is_the_first_cameras() -> None:
    assert camera_sources(request(image="abc"), TWO) == {"base": "abc"}


def test_several_images_go_to_the_cameras_of_their_names() -> None:
    assert camera_sources(request(images={"wrist": "w", "base": "b"}), TWO) == {"wrist": "w", "base": "b"}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (request(), "image_required"),
        (request(images={}), "image_required"),
        (request(images={"wrist": "w"}), "missing_camera"),
        (request(images={"base": "b", "rear": "r"}), "unknown_camera"),
    ],
)
def test_images_that_do_not_fit_the_policy_are_422_and_name_its_cameras(given: ActRequest, code: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        camera_sources(given, TWO)
    assert (caught.value.code, caught.value.status) == (code, 422)
    assert "base" in caught.value.message
    assert "rear" not in caught.value.message


@pytest.mark.parametrize(
    ("cameras", "words"), [(("image",), "the camera image"), (("base", "wrist"), "the cameras base, wrist")]
)
def test_one_camera_is_named_in_the_singular(cameras: tuple[str, ...], words: str) -> None:
    config = policy_config(cameras=dict.fromkeys(cameras, True))

    with pytest.raises(InvalidRequestError) as caught:
        camera_sources(request(images={"rear": "r"}), config)
    assert caught.value.message == f"this policy has {words}"


def test_a_policy_without_required_cameras_takes_a_request_without_images() -> None:
    assert camera_sources(request(), policy_config(cameras={"base": False})) == {}


def test_the_tensors_are_those_of_the_contract_each_with_a_batch_of_one() -> None:
    pixels = {"base": np.arange(2 * 5 * 3, dtype=np.uint8).reshape(2, 5, 3)}
    prompt = Prompt(np.arange(6, dtype=np.int64).tobytes(), bytes(6))
    tensors = {tensor.name: tensor for tensor in observation_tensors(TWO, request(), pixels, prompt, NoiseSource())}
    assert list(tensors) == [tensor.name for tensor in TWO.inputs]
    assert {name: (tensor.datatype, tensor.shape) for name, tensor in tensors.items()} == {
        "image.base": ("UINT8", (1, 2, 5, 3)),
        "image.wrist": ("UINT8", (1, 1, 1, 3)),
        "camera_mask": ("BOOL", (1, 2)),
        "state": ("FP32", (1, 6)),
        "tokens": ("INT64", (1, 6)),
        "token_mask": ("BOOL", (1, 6)),
        "noise": ("FP32", (1, 4, 7)),
    }
    assert bytes(tensors["camera_mask"].data) == b"\x01\x00"
    assert bytes(tensors["image.base"].data) == pixels["base"].tobytes()
    sizes = {"UINT8": 1, "BOOL": 1, "FP32": 4, "INT64": 8}
    for tensor in tensors.values():
        assert len(bytes(tensor.data)) == np.prod(tensor.shape) * sizes[tensor.datatype]


def test_noise_that_was_prepared_is_that_of_its_seed() -> None:
    shapes = {"noise": (4, 7), "state": (6,), "step_noise": (3, 4, 7)}
    inputs = [TensorConfig(name=name, datatype="FP32", shape=shape) for name, shape in shapes.items()]
    source = NoiseSource()
    source.prepare(inputs)
    seed = source.next_seed()
    assert source.draw((4, 7), seed) == NoiseSource().draw((4, 7), seed)
    assert source.draw((3, 4, 7), seed, stream="step_noise") == NoiseSource().draw((3, 4, 7), seed, stream="step_noise")
    assert source.draw((4, 7), seed) == NoiseSource().draw((4, 7), seed), "asked again, it is the same"


def test_seeds_that_nobody_prepared_are_new_each_time() -> None:
    source = NoiseSource()
    assert len({source.next_seed() for _ in range(100)}) == 100
