from __future__ import annotations

import pytest

from reflex_frontend.embedded.log import TritonLog

NO_GPU = (
    'E1121 03:42:52.989994 4506 server.cc:241] "CudaDriverHelper has not been initialized."\n'
    'E1121 03:42:54.377319 4506 ensemble_scheduler.cc:1468] "unable to create stream for t: CUDA driver version is '
    'insufficient for CUDA runtime version"\n'
)
SERVING = 'I1121 03:42:54.379729 4506 grpc_server.cc:2558] "Started GRPCInferenceService at 127.0.0.1:18001"\n'
STOPPING = 'I1121 03:42:56.999807 4506 server.cc:336] "All models are stopped, unloading models"\n'
BROKEN = (
    "E1121 03:44:52.872535 5848 model_lifecycle.cc:642] \"failed to load 'broken' version 1: Internal: "
    "TritonModelException: /r/broken/1/model.onnx is missing; export the policy again\\n\\nAt:\\n  /b/model.py(7): "
    'initialize\\n"\n'
)


def _log(text: str) -> TritonLog:
    log = TritonLog()
    log.feed(text.encode())
    return log


def test_the_reason_of_a_model_that_did_not_load_is_found_without_codes_and_traceback() -> None:
    failure = _log(NO_GPU + BROKEN + "error: creating server: Internal - failed to load all models\n").failure()
    assert failure == "model 'broken': /r/broken/1/model.onnx is missing; export the policy again"


def test_what_a_model_runs_from_is_what_it_has_said_last() -> None:
    lines = [f"reflex: a runs on cuda from {form}, as CUDA graphs\n" for form in ("model.cuda.onnx", "model.onnx")]

    assert _log(lines[0]).forms == {"a": "model.cuda.onnx"}
    assert _log("".join(lines)).forms == {"a": "model.onnx"}
    assert _log(lines[0]).replays_graphs


FAILED = "E1121 03:44:52.872535 5848 model_lifecycle.cc:642] \"failed to load '{}' version 1: Internal: {}\"\n"
LOADED = "I1121 03:44:53.872535 5848 model_lifecycle.cc:849] \"successfully loaded '{}'\"\n"


@pytest.mark.parametrize(
    ("models", "failure"),
    [
        (None, "model 'b': device cuda: no"),
        (("a", "c"), "model 'a': the second"),
        (("c",), None),
        (("d",), "model 'd_denoise': device cuda: lost"),
    ],
)
def test_of_the_models_that_count_the_one_that_failed_last_is_told(
    models: tuple[str, ...] | None, failure: str | None
) -> None:
    whys = [("d", "its model d_denoise: device cuda: lost"), ("a", "the first"), ("a", "the second"),
            ("b", "device cuda: no")]  # fmt: skip
    assert _log(SERVING + "".join(FAILED.format(*each) for each in whys)).failure(models) == failure


def test_a_model_that_has_loaded_since_did_not_fail() -> None:
    failed_twice = FAILED.format("b", "no") + FAILED.format("a", "device cuda: no")
    assert _log(failed_twice + LOADED.format("a")).failure() == "model 'b': no"
    assert _log(failed_twice + LOADED.format("a")).failure(("a",)) is None
    assert _log(failed_twice + LOADED.format("a") + FAILED.format("a", "again")).failure() == "model 'a': again"


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ("error: creating server: Internal - failed to load all models", "failed to load all models"),
        (
            "E1121 03:44:55.488390 99 main.cc:245] \"failed to start GRPC service: Unavailable - Socket 'x' in use\"",
            "Socket 'x' in use",
        ),
        (
            "/s: error while loading shared libraries: libstdc++.so.6: cannot open shared object file",
            "libstdc++.so.6: cannot open shared object file",
        ),
        ("error: the process that started Triton is gone", "the process that started Triton is gone"),
    ],
)
def test_other_failures_are_found_too(line: str, failure: str) -> None:
    assert _log(NO_GPU + line + "\n").failure() == failure


def test_a_missing_gpu_is_no_failure_and_not_in_the_tail() -> None:
    log = _log(NO_GPU + SERVING)
    assert log.failure() is None
    assert log.tail() == ()


def test_the_tail_keeps_what_models_print_and_leaves_out_information() -> None:
    assert _log("a model says hello\n" + SERVING + "| table |\n").tail() == ("a model says hello",)


def test_serving_and_drained_are_noticed_however_the_bytes_are_cut() -> None:
    log = TritonLog()
    for byte in (SERVING + STOPPING).encode():
        log.feed(bytes([byte]))
    assert log.serving
    assert log.drained


def test_memory_is_bounded_however_much_is_logged() -> None:
    log = _log("".join(f"line {number}\n" for number in range(5_000)))
    assert log.tail()[-1] == "line 4999"
    assert len(log.tail()) == 12
