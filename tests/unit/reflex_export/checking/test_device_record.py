"""What is measured on a device that serves is written into the policy's record, whole, whatever the verdict."""

from __future__ import annotations

import errno
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from reflex.errors import RepositoryError
from reflex.export_options import ExportOptions
from reflex.gpus import Serving
from reflex.model_repository import CONFIG_FILE, MODEL_FILE, model_file
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex.readiness.precision_proof import precision_proof
from reflex_export.checking import verification
from reflex_export.checking.device_record import device_parity, record_measurement, with_measurement
from reflex_export.checking.parity import Parity, gate_of
from reflex_export.checking.serving_device import ServingDevice
from reflex_export.commands import verify as command
from reflex_export.commands.inspect import inspect_command
from reflex_export.commands.verify import proof_sentence, verify_command
from reflex_export.errors import DeviceError
from reflex_export.exporting.pipeline import export_checkpoint
from support.checkpoints.golden import golden_checkpoint, golden_folder
from support.checkpoints.measured import measured_on

CARD = ServingDevice("Card of this test", compute_capability="9.0", driver="580.95.05", runtime={"onnxruntime": "1.31"})
"""ONNX Runtime's own CPU behind a GPU's name: what is written does not depend on what computed it."""
AT = datetime(2026, 11, 28, 16, tzinfo=UTC)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("models")
    options = ExportOptions(
        repository, "arm", "so101", precision="fp16", cases=golden_folder("act"), units_checked=True,
        source=str(golden_folder("act").resolve()),
    )  # fmt: skip
    export_checkpoint(golden_checkpoint("act"), options)
    return repository


@pytest.fixture
def repository(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "serving_device", lambda _name: CARD)
    return Path(shutil.copytree(exported, tmp_path / "models"))


def verified(repository: Path, capsys: pytest.CaptureFixture[str], cases: Path) -> tuple[int, dict[str, Any]]:
    code = verify_command(repository, cases=cases, device="cuda", as_json=True)
    return code, json.loads(capsys.readouterr().out)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CONFIG_FILE
    }


def test_a_policy_that_meets_its_gate_on_a_device_says_so_from_then_on(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, files = read_policy_config(repository / "arm"), files_of(repository)

    code, told = verified(repository, capsys, golden_folder("act"))

    config = read_policy_config(repository / "arm")
    (measured,) = config.device_parity
    assert (code, told["verdict"], told["device"]) == (0, "passed", CARD.name)
    assert (measured.device, measured.compute_capability, measured.driver) == (CARD.name, "9.0", "580.95.05")
    assert (measured.verdict, measured.export_id, measured.max_abs) == ("passed", config.export_id, told["max_abs"])
    assert (measured.provider, measured.form) == ("cuda", MODEL_FILE)
    assert measured.cases.keys() == {"case_0", "case_1"}
    assert max(map(float, measured.cases.values())) == measured.max_abs
    assert "measured on Card of this test, which serves" in told["note"]
    assert config.model_copy(update={"device_parity": ()}) == before
    assert files_of(repository) == files


def test_a_policy_that_misses_is_refused_and_its_record_says_where(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    with np.load(golden_folder("act") / "case_0.npz") as recorded:
        case = {name: recorded[name] for name in recorded.files}
    np.savez(cases / "case_0.npz", **(case | {"actions_norm": case["actions_norm"] + 0.01}))

    code, told = verified(repository, capsys, cases)

    (measured,) = read_policy_config(repository / "arm").device_parity
    assert (code, told["verdict"], measured.verdict) == (1, "failed", "failed")
    assert "missed its gate on Card of this test" in told["note"]
    assert "--precision fp32" in told["note"]


def spoilt(repository: Path) -> None:
    """A weight of the published policy is another one."""
    path = model_file(repository, "arm_denoise")
    graph = onnx.load(path)
    tensor = next(tensor for tensor in graph.graph.initializer if "action_head.weight" in tensor.name)
    array = onnx.numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[0] += 10
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    onnx.save(graph, path)


def out_of_memory(*_: object) -> None:
    raise DeviceError("arm_denoise cannot be loaded on Card of this test (out of memory); see by `nvidia-smi`")


@pytest.mark.parametrize(
    ("failing", "stage", "words"),
    [
        ("tapped", "denoise", "the place inside the component cannot be told, since the policy with taps does not"),
        ("fp32", None, "where the policy parts from its checkpoint cannot be told: "),
    ],
)
def test_a_place_that_cannot_be_looked_for_does_not_lose_what_was_measured(
    repository: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    stage: str | None,
    words: str,
) -> None:
    spoilt(repository)
    monkeypatch.setattr(verification._Models, failing, out_of_memory)

    code, told = verified(repository, capsys, golden_folder("act"))

    (measured,) = read_policy_config(repository / "arm").device_parity
    assert (code, told["verdict"], measured.verdict) == (1, "failed", "failed")
    assert measured.max_abs == told["max_abs"]
    assert (told["first_difference"] or {}).get("stage") == stage
    assert words in told["note"]
    assert "(out of memory); see by `nvidia-smi`" in told["note"]


def test_on_the_processor_nothing_is_written_and_a_simulation_is_called_one(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (exported / "arm" / CONFIG_FILE).read_bytes()

    code = verify_command(exported, cases=golden_folder("act"), as_json=True)

    note = json.loads(capsys.readouterr().out)["note"]
    assert (code, (exported / "arm" / CONFIG_FILE).read_bytes()) == (0, before)
    assert "FP16 only simulated on a CPU" in note
    assert "--policy arm --device cuda" in note


def test_what_cannot_be_written_is_told_beside_its_figures(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise RepositoryError("the model repository cannot be written (Read-only file system); name another")

    monkeypatch.setattr(command, "record_measurement", refuses)
    code, told = verified(repository, capsys, golden_folder("act"))

    assert (code, told["verdict"]) == (1, "passed")
    assert "what was measured was not written: the model repository cannot be written" in told["note"]
    assert not read_policy_config(repository / "arm").device_parity


NO_SPACE = "No space left on device"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.ENOSPC, NO_SPACE), NO_SPACE),
        (OSError(errno.EROFS, "Read-only file system", "/models/arm"), "Read-only file system"),
        (shutil.Error([("/models/arm/a", "/models/b/a", f"[Errno 28] {NO_SPACE}")]), f"[Errno 28] {NO_SPACE}"),
    ],
)
def test_a_disk_that_is_full_does_not_lose_the_verdict(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: OSError, why: str
) -> None:
    def refuses(*_: object) -> None:
        raise error

    monkeypatch.setattr(command, "record_measurement", refuses)
    code, told = verified(repository, capsys, golden_folder("act"))

    assert (code, told["verdict"]) == (1, "passed")
    assert (
        f"what was measured was not written: {repository} cannot be written ({why}); mend that, and verify again"
        in told["note"]
    )


def test_a_disk_that_is_full_where_the_place_is_looked_for_does_not_lose_what_was_measured(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOSPC, NO_SPACE)

    spoilt(repository)
    monkeypatch.setattr(verification._Models, "fp32", refuses)
    code, told = verified(repository, capsys, golden_folder("act"))

    (measured,) = read_policy_config(repository / "arm").device_parity
    assert (code, told["verdict"], measured.verdict) == (1, "failed", "failed")
    assert NO_SPACE in told["note"]


def test_a_policy_that_was_exported_again_meanwhile_keeps_its_record(repository: Path) -> None:
    config = read_policy_config(repository / "arm")
    parity = Parity(gate_of("fp16"), "recorded cases", 1.0, 1e-3, "case_0", cases=1, each={"case_0": 1e-3})
    measured = device_parity(parity, CARD, config, AT)
    newer = config.model_copy(update={"export_id": "another-export"})
    (repository / "arm" / CONFIG_FILE).write_text(newer.model_dump_json())

    with pytest.raises(RepositoryError, match="exported again while it was measured"):
        record_measurement(repository, "arm", measured)

    assert read_policy_config(repository / "arm") == newer
    assert not list(repository.glob(".reflex-export*"))


def test_a_device_is_kept_once_with_its_newest_figures_and_others_stay(repository: Path) -> None:
    config = read_policy_config(repository / "arm")

    def kept(several: PolicyConfig, device: str, max_abs: float) -> PolicyConfig:
        return with_measurement(several, measured_on(device, export_id=config.export_id, max_abs=max_abs))

    found = kept(kept(kept(config, "A", 1e-3), "B", 2e-3), "A", 3e-3)

    assert [(one.device, one.max_abs) for one in found.device_parity] == [("B", 2e-3), ("A", 3e-3)]
    proof = precision_proof(found, Serving("A", "cuda"))
    assert proof is not None
    assert proof["max_abs"] == 3e-3


def test_a_figure_that_is_no_number_is_kept_as_its_word(repository: Path) -> None:
    config = read_policy_config(repository / "arm")
    parity = Parity(gate_of("fp16"), "recorded cases")
    parity.compare("case_0", np.array([np.nan], np.float32), np.zeros(1, np.float32))

    measured = device_parity(parity, CARD, config, AT)

    assert (measured.verdict, measured.max_abs, measured.cases) == ("failed", "nan", {"case_0": "nan"})
    assert measured.measured_at == "2026-11-28T16:00:00Z"


def test_inspect_and_export_say_how_the_precision_is_known(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspect_command(str(repository))
    simulated = capsys.readouterr().out
    verified(repository, capsys, golden_folder("act"))
    inspect_command(str(repository))
    measured = capsys.readouterr().out
    inspect_command(str(repository), as_json=True)

    assert "precision         FP16 only simulated on a CPU: " in simulated
    assert "precision         measured on Card of this test: " in measured
    assert json.loads(capsys.readouterr().out)["precision_proof"]["device"] == CARD.name
    assert "`reflex verify REPOSITORY --policy arm --device cuda`" in proof_sentence(
        read_policy_config(repository / "arm").model_copy(update={"device_parity": ()})
    )
