from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tokenizers import Tokenizer

from reflex_export.chain import PolicyChain
from reflex_export.demo import build_demo, build_models
from reflex_export.graph import Array, OnnxModel
from reflex_export.repository import PolicyFiles

Request = dict[str, Array]


@pytest.fixture(scope="session")
def demo() -> PolicyFiles:
    return build_demo(0)


@pytest.fixture(scope="session")
def models() -> tuple[OnnxModel, OnnxModel, OnnxModel]:
    return build_models(0)


@pytest.fixture(scope="session")
def chain(models: tuple[OnnxModel, ...]) -> PolicyChain:
    return PolicyChain(models)


@pytest.fixture(scope="session")
def make_request(demo: PolicyFiles) -> Callable[..., Request]:
    """A request without its batch axis; the same seed is the same image, state and noise."""
    tokenizer = Tokenizer.from_str(demo.tokenizer)

    def make(seed: int, instruction: str = "pick up the red cup", height: int = 48, width: int = 64) -> Request:
        random = np.random.RandomState(seed)
        ids = tokenizer.encode(f"{instruction}\n").ids[:48]
        return {
            "image.image": random.randint(0, 256, (height, width, 3)).astype(np.uint8),
            "camera_mask": np.array([True]),
            "state": (np.array([0.45, 0.0, 0.4, 3.14, 0.0, 0.0]) + 0.1 * random.standard_normal(6)).astype(np.float32),
            "tokens": np.array(ids + [0] * (48 - len(ids)), np.int64),
            "token_mask": np.arange(48) < len(ids),
            "noise": random.standard_normal((50, 7)).astype(np.float32),
        }

    return make
