"""What a robot's computer installs: wheels alone, for both processors that robots have, and not more than it must.

It asks the package index: `make runner-install` and `make endurance` run it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from docs.documents import REPOSITORY

pytestmark = pytest.mark.slow

MOST_BYTES = 150_000_000
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
"""What Ubuntu 22.04 and Debian 12 run, as JetPack 6 and Raspberry Pi OS do."""
HEAVY = (
    "torch",
    "nvidia",
    "triton",
    "fastapi",
    "onnx",
    "opencv",
    "mujoco",
    "pyarrow",
    "rerun",
    "lerobot",
    "tokenizers",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", folder, REPOSITORY], check=True)
    [made] = folder.glob("*.whl")
    return made


@pytest.mark.parametrize("extras", ["runner", "runner,mcap,cameras,datasets,sim"])
@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_wheels_alone_are_installed(wheel: Path, tmp_path: Path, machine: str, python: str, extras: str) -> None:
    platforms = [f"--platform={glibc}_{machine}" for glibc in GLIBC]
    report = tmp_path / "report.json"
    subprocess.run(
        [
            *PIP, "install", "--dry-run", "--only-binary=:all:", f"--python-version={python}", *platforms,
            "--ignore-installed", "--target", tmp_path / "none", "--report", report, f"{wheel}[{extras}]",
        ],
        check=True,
    )  # fmt: skip
    wanted = json.loads(report.read_text(encoding="utf-8"))["install"]
    assert len(wanted) > 10
    assert all(each["download_info"]["url"].endswith(".whl") for each in wanted)
    print(f"{machine}, Python {python}, [{extras}]: {len(wanted)} wheels")


def test_the_runner_without_other_extras_is_small_and_starts(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([*PIP, "install", "--only-binary=:all:", "--target", tmp_path, f"{wheel}[runner]"], check=True)
    names = {path.name.lower() for path in tmp_path.iterdir()}
    size_bytes = sum(path.lstat().st_size for path in tmp_path.rglob("*") if path.is_file())
    print(f"installed: {size_bytes / 1e6:.1f} MB")
    assert not [name for name in names if name.startswith(HEAVY)]
    assert size_bytes <= MOST_BYTES
    told = subprocess.check_output(
        [sys.executable, "-S", "-m", "reflex.cli", "connect", "--init", "so101"],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        text=True,
    )
    assert told.strip() == "robot.yaml"
