"""The command line and the environment of the tritonserver process. Pure, so that a test can read them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reflex_frontend.embedded.device import HIDDEN
from reflex_frontend.embedded.locate import Installation
from reflex_frontend.embedded.options import EmbeddedOptions
from reflex_frontend.embedded.run_folder import PORT, RunFolder

__all__ = ["Run", "server_arguments", "server_environment", "trampoline"]

LAUNCH: Final = Path(__file__).parent / "launch.py"
STUB_START_S: Final = 120
"""For the process of a model to come up; Triton's own 30 s are too few on a machine whose cores are all busy."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one tritonserver process needs to know besides the caller's options."""

    installation: Installation
    backends: Path
    repository: Path
    region_prefix: str
    threads: int
    device: Mapping[str, str] = field(default_factory=lambda: dict(HIDDEN))
    """What the models are told of the device, and who sees it."""


def trampoline(run: Run, folder: RunFolder, arguments: list[str]) -> list[str]:
    """The command that binds `arguments` to the life of this process; see launch.py."""
    return [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), run.region_prefix, str(folder.path), *arguments]


def server_arguments(run: Run, folder: RunFolder, options: EmbeddedOptions, models: Sequence[str]) -> list[str]:
    """gRPC on a socket in `folder` only; ready means that every wanted model is; one that cannot load ends it."""
    return [
        str(run.installation.server),
        f"--model-repository={run.repository}",
        f"--backend-directory={run.backends}",
        # Explicit: a broken model elsewhere in the repository does not matter. Components come with their ensemble.
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in models),
        # Completing a config means a throw-away stub per model: 1.2 s of the start. Ours are complete as exported.
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        # With several policies one that cannot load must not take the others with it.
        # While `auto` may still take another device, the failure of one must be seen.
        f"--exit-on-error={str(options.device.may_step_down or not options.tolerates_broken_models).lower()}",
        f"--exit-timeout-secs={options.exit_timeout_s}",
        f"--backend-config=python,shm-region-prefix-name={run.region_prefix}",
        f"--backend-config=python,stub-timeout-seconds={STUB_START_S}",
        "--allow-http=false",
        "--allow-metrics=false",
        # No secret is needed, and none could be given: everybody on this machine can read a command line.
        f"--grpc-address={folder.listens_at}",
        f"--grpc-port={PORT}",
        # A client may ping as often as it likes: on one machine that is how it notices a dead server.
        "--grpc-keepalive-permit-without-calls=true",
        "--grpc-http2-max-ping-strikes=0",
        "--pinned-memory-pool-byte-size=0",
        f"--log-verbose={options.log_verbosity}",
    ]


def server_environment(run: Run, inherited: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment, without what would change the stubs' Python, and with what they need."""
    # PYTHONPATH and PYTHONHOME of, say, a ROS shell would bring the stubs another numpy than the environment's.
    kept = {name: value for name, value in inherited.items() if not name.startswith("PYTHON")}
    return kept | {
        "LD_LIBRARY_PATH": _joined(run.installation.libraries, run.installation.libpython.parent,
                                   kept.get("LD_LIBRARY_PATH")),
        "PATH": _joined(run.installation.python_bin, kept.get("PATH", os.defpath)),
        "OMP_NUM_THREADS": str(run.threads),
        "OPENBLAS_NUM_THREADS": "1",  # numpy only copies here; its pool would cost a thread per core and stub
        "PYTHONUNBUFFERED": "1",  # a model's prints reach the log before a crash does
        "ORT_DISABLE_TELEMETRY": "1",  # the package onnxruntime reports its use to its maker, and waits to, at its end
        "REFLEX_ONNX_THREADS": str(run.threads),
        **run.device,
    }  # fmt: skip


def _joined(*folders: Path | str | None) -> str:
    return ":".join(str(folder) for folder in folders if folder)
