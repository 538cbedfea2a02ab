from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.checking.parity import PolicyRunner
from reflex_export.commands.demo import export_demo, export_sim_demo
from reflex_export.demo_data.demo_checkpoint import write_demo_checkpoint
from reflex_export.demo_data.tokenizer import build_tokenizer
from reflex_export.graph.graph import Array

Request = dict[str, Array]


@pytest.fixture(scope="session")
def demo_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the code makes; the folder's name goes into the policy, as its source."""
    folder = tmp_path_factory.mktemp("made") / "demo_checkpoint"
    write_demo_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def demo_repository(demo_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("demo_repository")
    export_demo(demo_checkpoint, repository)
    return repository


@pytest.fixture(scope="session")
def sim_demo_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("sim_demo_repository")
    export_sim_demo(repository)
    return repository


@pytest.fixture(scope="session")
def demo(demo_repository: Path) -> PolicyConfig:
    return read_policy_config(demo_repository / "demo")


@pytest.fixture(scope="session")
def runner(demo_repository: Path, demo: PolicyConfig) -> PolicyRunner:
    return PolicyRunner.of(demo_repository, demo)


@pytest.fixture(scope="session")
def make_request(demo: PolicyConfig) -> Callable[..., Request]:
    """A request with a batch axis of one; the same seed is the same image, state and noise."""
    tokenizer = Tokenizer.from_str(build_tokenizer())
    zeros = {
        tensor.name: np.zeros((1, *tensor.shape), np.float32)
        for tensor in demo.inputs
        if tensor.name.startswith(("prev_chunk", "rtc_"))
    }

    def make(seed: int, instruction: str = "pick up the red cup", height: int = 48, width: int = 64) -> Request:
        random = np.random.RandomState(seed)
        ids = tokenizer.encode(f"{instruction}\n").ids[:48]
        return zeros | {
            "image.image": random.randint(0, 256, (1, height, width, 3)).astype(np.uint8),
            "camera_mask": np.array([[True]]),
            "state": (np.array([[0.45, 0.0, 0.4, 3.14, 0, 0]]) + 0.1 * random.standard_normal(6)).astype(np.float32),
            "tokens": np.array([ids + [0] * (48 - len(ids))], np.int64),
            "token_mask": np.arange(48)[None] < len(ids),
            "noise": random.standard_normal((1, demo.horizon, demo.noise_dim)).astype(np.float32),
        }

    return make
