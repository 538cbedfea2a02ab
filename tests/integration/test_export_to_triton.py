"""From a checkpoint to Triton: what `reflex export` publishes answers raw inputs as the reference did."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from reflex.export_options import ExportOptions
from reflex.numerics import max_abs
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.checking.parity import GATES
from reflex_export.checking.recorded import find_cases, read_case
from reflex_export.exporting.pipeline import ExportReport, export_checkpoint
from reflex_frontend.policy.policy import load_policy
from reflex_frontend.triton.gateway import RawTensor, TritonGateway
from support.bodies import image_b64
from support.checkpoints.golden import golden_case, golden_cases, golden_checkpoint, golden_folder
from support.hostile import PATIENT
from support.motion.recorded import answered
from support.motion.repeated import check_repeats
from support.server import ServerProcess, running_server
from support.waiting import HANGS_S

FAMILIES = ("smolvla", "pi0", "pi05")
DATATYPES = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8", "bool": "BOOL"}


def export(name: str, repository: Path) -> ExportReport:
    options = ExportOptions(repository, name, embodiment="so101", steps=(10, 4), cases=golden_folder(name))
    return export_checkpoint(golden_checkpoint(name), options)


@dataclass(frozen=True)
class Published:
    """An export of a family, and what was said of it."""

    name: str
    repository: Path
    report: ExportReport


@dataclass(frozen=True)
class Exported:
    """A served export."""

    name: str
    repository: Path
    server: ServerProcess

    @property
    def config(self) -> PolicyConfig:
        return read_policy_config(self.repository / self.name)

    @property
    def triton(self) -> str:
        return self.server.triton_address()


@pytest.fixture(scope="module", params=FAMILIES)
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Published:
    repository = tmp_path_factory.mktemp("models")
    return Published(request.param, repository, export(request.param, repository))


@pytest.fixture(scope="module")
def exported(published: Published) -> Iterator[Exported]:
    policy = ("--model-repository", str(published.repository), "--policy", published.name)
    options = (*policy, "--no-guard", "--prefix-cache-mb", "50")
    with running_server(*options) as server:
        yield Exported(published.name, published.repository, server)


def test_triton_answers_every_recorded_case_as_the_reference_did(exported: Exported) -> None:
    checkpoint, config = golden_checkpoint(exported.name), exported.config
    cases = [read_case(path, checkpoint, config.inputs) for path in find_cases(golden_folder(exported.name))]
    cases = [case for case in cases if case.steps == config.denoising_steps]
    assert len(cases) >= 4

    async def differences() -> list[float]:
        gateway = TritonGateway(exported.triton, exported.name)
        try:
            found = []
            for case in cases:
                tensors = [
                    RawTensor(name, DATATYPES[array.dtype.name], array.shape, np.ascontiguousarray(array).tobytes())
                    for name, array in case.inputs.items()
                ]
                answer = await gateway.infer(tensors)
                found.append(max_abs(answer["actions"], case.actions))
            return found
        finally:
            await gateway.close()

    assert max(asyncio.run(differences())) <= GATES["fp32"].max_abs


@pytest.mark.slow
def test_act_continues_every_recorded_chunk_as_the_reference_did(exported: Exported) -> None:
    policy, checkpoint = load_policy(exported.repository, exported.name), golden_checkpoint(exported.name)
    names = [name for name in golden_cases(exported.name) if name.startswith("case_rtc_")]
    cases = [golden_case(exported.name, name) for name in names]
    cases = [case for case in cases if case["num_steps"] == policy.config.denoising_steps]
    assert {str(case["rtc.schedule"]) for case in cases} == {"LINEAR", "ONES", "ZEROS"}

    async def differences() -> list[float]:
        gateway = TritonGateway(exported.triton, exported.name, ("actions", "actions_normalized"))
        try:
            found = [await answered(policy, gateway, case, checkpoint) for case in cases]
        finally:
            await gateway.close()
        assert all(one.answer["rtc_applied"] for one in found)
        pairs = zip(found, cases, strict=True)
        return [max_abs(np.array(one.answer["actions"]), case["actions"][0]) for one, case in pairs]

    assert max(asyncio.run(differences())) <= 1e-4


@pytest.mark.slow
def test_the_frontends_prompt_is_the_recorded_one_to_the_token(exported: Exported) -> None:
    policy = load_policy(exported.repository, exported.name)
    assert policy.prompts is not None
    for path in find_cases(golden_folder(exported.name)):
        case = read_case(path, golden_checkpoint(exported.name), policy.config.inputs)
        with np.load(path) as recorded:
            state = recorded["state_raw"].tolist()
        prompt = policy.prompts.encode(case.instruction, state)
        tokens = np.frombuffer(prompt.tokens, np.int64)[np.frombuffer(prompt.token_mask, np.bool_)]
        assert tuple(tokens.tolist()) == case.tokens, case.name


def test_act_answers_a_chunk_of_the_policys_shape(exported: Exported) -> None:
    config = exported.config
    body = {
        "instruction": "put the cup on the plate",
        "state": [0.1] * config.state_dim,
        "images": {camera.name: image_b64() for camera in config.cameras},
    }
    answer = httpx.post(f"{exported.server.base_url}/act", json=body, timeout=HANGS_S, headers=PATIENT)
    assert answer.status_code == 200, answer.text
    chunk = np.array(answer.json()["actions"])
    assert chunk.shape == (config.horizon, config.action_dim)
    assert np.isfinite(chunk).all()


@pytest.mark.slow
def test_the_same_observation_again_is_answered_from_its_prefix_and_to_the_bit(exported: Exported) -> None:
    check_repeats(exported.server.base_url, load_policy(exported.repository, exported.name))


@pytest.mark.slow
def test_every_step_count_is_a_policy_that_shares_the_encoder(published: Published) -> None:
    report = published.report
    default, fast = report.policies
    assert (default.denoising_steps, fast.denoising_steps) == (10, 4)
    assert fast.component("encoder") == default.component("encoder")
    assert fast.component("denoise") != default.component("denoise")
    assert {policy.parity["verdict"] for policy in report.policies if policy.parity} == {"passed"}
    assert load_policy(published.repository, fast.policy_id).config.policy_hash != default.policy_hash


@pytest.mark.slow
def test_act_policies_refuse_a_picture_of_another_size_with_400_and_the_size_they_take(tmp_path: Path) -> None:
    options = ExportOptions(tmp_path, "act", embodiment="so101", cases=golden_folder("act"))
    config = export_checkpoint(golden_checkpoint("act"), options).policies[0]
    assert config.parity is not None
    assert config.parity["verdict"] == "passed"
    body = {"instruction": "", "state": [0.1] * config.state_dim}
    with running_server("--model-repository", str(tmp_path), "--no-guard", "--prefix-cache-mb", "50") as server:
        images = {camera.name: image_b64() for camera in config.cameras}
        refused = httpx.post(f"{server.base_url}/act", json=body | {"images": images}, timeout=HANGS_S, headers=PATIENT)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_image")
        height, width, _ = config.inputs[0].shape
        assert (refused.json()["height"], refused.json()["width"]) == (height, width)

        images = {camera.name: png_b64(width, height) for camera in config.cameras}
        answer = httpx.post(f"{server.base_url}/act", json=body | {"images": images}, timeout=HANGS_S, headers=PATIENT)
        assert answer.status_code == 200, answer.text
        assert np.array(answer.json()["actions"]).shape == (config.horizon, config.action_dim)
        check_repeats(server.base_url, load_policy(tmp_path, "act"))


def png_b64(width: int, height: int) -> str:
    encoded = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 128, np.uint8)).save(encoded, "PNG")
    return base64.b64encode(encoded.getvalue()).decode()
