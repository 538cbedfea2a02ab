"""What `reflex verify` does. Its options are declared in reflex.cli, which calls this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Unpack

from reflex.console import EXIT_FAILED, print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.export_options import ReadingOptions
from reflex.gpus import Serving
from reflex.model_repository import one_policy_of, policy_folder
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex.readiness.precision_proof import precision_proof, proof_in_words, proof_remedy
from reflex.readiness.servable import several_observations
from reflex.wording.nouns import counted
from reflex_export.checking.device_record import device_parity, record_measurement, with_measurement
from reflex_export.checking.servable import require_servable
from reflex_export.checking.serving_device import DeviceName, ServingDevice, serving_device
from reflex_export.checking.verification import Verification, verify_policy
from reflex_export.commands.disk import disk_faults_told, reason_of
from reflex_export.commands.progress_bars import shown_progress
from reflex_export.commands.source_record import read_origin
from reflex_export.progress import Progress, Stage

__all__ = ["parity_sentence", "proof_sentence", "verify_command"]

ARITHMETIC_WORDS: Final[Mapping[str, str]] = {
    "fp32": "; computed in FP32",
    "fp16": "; computed in FP16",
    "fp16_mlp": "; computed in FP16, attention in FP32",
}
UNWRITTEN: Final = "what was measured was not written"
ENGINE_NOTE: Final = "its ONNX was run; the engine that serves it was not"


def verify_command(
    repository: Path,
    *,
    policy: str | None = None,
    source: str | None = None,
    cases: Path | None = None,
    device: DeviceName = "cpu",
    as_json: bool = False,
    **reading: Unpack[ReadingOptions],
) -> int:
    """Hold a policy (None: the only one) of a repository against its checkpoint; the exit code, 1 when it misses.

    What was measured on a GPU is written into the policy's record, whatever the verdict.
    """
    with reported_errors(as_json=as_json), disk_faults_told(repository), shown_progress() as progress:
        where = serving_device(device)  # before a checkpoint of gigabytes is read
        name = policy or one_policy_of(repository)
        config = read_policy_config(policy_folder(repository, name))
        require_servable(repository, name, config)
        progress(Stage("reading the checkpoint"))
        checkpoint = read_origin(repository, config, source, **reading)
        verified = verify_policy(repository, config, checkpoint, cases, progress, where)
        config, unwritten = _recorded(repository, config, verified, where, progress)
    serving = None if where.is_processor else Serving(where.name, "cuda", verified.form)
    engine_note = ENGINE_NOTE if config.engine != "onnx" else ""
    notes = [verified.note, engine_note, several_observations(config), proof_sentence(config, serving), unwritten]
    note = "; ".join(filter(None, notes))
    if as_json:
        print_json({**verified.record(), "device": where.name, "note": note})
    else:
        for line in _lines(config, verified, note):
            say(line)
    return EXIT_FAILED if verified.parity.verdict != "passed" or unwritten else 0


def _recorded(
    repository: Path, config: PolicyConfig, verified: Verification, where: ServingDevice, progress: Progress
) -> tuple[PolicyConfig, str]:
    """The policy's record as it is now, and why what was measured is not in it."""
    if where.is_processor or not verified.parity.cases:
        return config, ""
    measured = device_parity(verified.parity, where, config, datetime.now(UTC), form=verified.form)
    try:
        record_measurement(
            repository, config.policy_id, measured, lambda holder: progress(Stage(f"waiting for {holder}"))
        )
    except SetupError as exc:
        return config, f"{UNWRITTEN}: {exc}"
    except OSError as exc:  # a full disk above all
        return config, f"{UNWRITTEN}: {repository} cannot be written ({reason_of(exc)}); mend that, and verify again"
    return with_measurement(config, measured), ""


def proof_sentence(config: PolicyConfig, serving: Serving | None = None) -> str:
    """How its precision is known, and what to do about that; empty where there is nothing to say."""
    proof = precision_proof(config, serving)
    if proof is None:
        return ""
    return "; ".join(filter(None, (proof_in_words(proof), proof_remedy(config, proof, serving))))


def parity_sentence(policy: str, parity: Mapping[str, float | str]) -> str:
    """A parity record in words."""
    number = int(parity.get("left_out", 0))
    left_out = f" ({number} left out: recorded with another step count)" if number else ""
    if "max_abs" not in parity:
        return f"{policy}: its numbers were not compared; pass recorded cases of its step count with --cases{left_out}"
    used = ARITHMETIC_WORDS.get(str(parity.get("arithmetic")), "")
    used += f" ({parity['passed_over']})" if "passed_over" in parity else ""
    return (
        f"{policy}: parity {parity['verdict']} against {parity['against']}: max-abs {float(parity['max_abs']):.2e}, "
        f"cosine {float(parity['cosine']):.7f} over {counted(round(float(parity['cases'])), 'case')}{left_out}, "
        f"the worst {parity['worst']}{used}"
    )


def _lines(config: PolicyConfig, verified: Verification, note: str) -> Iterator[str]:
    arithmetic = {"arithmetic": str((config.parity or {}).get("arithmetic"))}
    yield parity_sentence(config.policy_id, verified.parity.record() | arithmetic)
    if verified.first_difference is not None:
        yield f"first difference: {verified.first_difference}"
    elif verified.parity.against != "recorded cases":
        yield "first difference: none; every tensor between the components is within its bound"
    if note:
        yield f"note: {note}"
