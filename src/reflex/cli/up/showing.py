"""`reflex demo run`: a trained policy, its server, the simulated arm and a page to watch it on, until Ctrl-C."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.cli.up.programs import Programs, is_well, reflex_command, saying_whole_lines, together
from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.model_repository import policies_of, policy_folder
from reflex.serving.listener import listen

if TYPE_CHECKING:
    from reflex.policy_config import PolicyConfig

__all__ = ["robot_file", "run"]

LOOPBACK: Final = "127.0.0.1"
POLICY: Final = "pick_up_the_cube"
INSTRUCTION: Final = "pick up the cube"
HELD_OUT: Final = 10_000
"""The first seed that no demonstration had."""
EPISODES: Final = 1000
MOST_STEPS: Final = 300
SIZE_PX: Final = 96
"""Of pictures for a policy that takes any."""
EXTRAS: Final = ("serve", "embedded", "runner", "sim")
ROBOT: Final = "robot"
IMAGE: Final = "image."


@dataclass(frozen=True)
class Shown:
    """What is served, and where."""

    repository: Path
    policy: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def folder(self) -> Path:
        """Of the policy; `SetupError` names those that are there."""
        folder = policy_folder(self.repository, self.policy)
        if not folder.is_dir():
            names = ", ".join(policies_of(self.repository)) or "none"
            where = f"; {POLICY} is in model_repository/ of a clone of Reflex" if self.policy == POLICY else ""
            raise SetupError(f"{self.repository} holds no {self.policy}: choose with --policy one of {names}{where}")
        return folder

    def serve_arguments(self) -> list[str]:
        repository = str(self.repository)
        return ["serve", "--host", LOOPBACK, "--port", str(self.port), "--model-repository", repository,
                "--policy", self.policy]  # fmt: skip


def run(
    *,
    policy: Annotated[str, typer.Option(metavar="NAME", help="Which policy; one for the simulated arm.")] = POLICY,
    model_repository: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where it lies. Default: the one that comes with Reflex.")
    ] = None,
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="Of the server.")] = 8000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=10**9, help="Where the first cube lies.")] = HELD_OUT,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="So many cubes.")] = EPISODES,
    as_json: JsonOption = False,
) -> None:
    """Watch a trained policy pick up the cube: server, runner, simulated arm and page in one command.

    The page's address stands in the lines of the robot. One cube after the other, each lying elsewhere, until Ctrl-C,
    which ends all; no control plane is asked, nothing is recorded.

    Example:

    \b
      reflex demo run --seed 10042
    """
    for module in ("reflex_frontend.serve", "reflex_runner.running.episodes", "mujoco"):
        load_extra(module, *EXTRAS, as_json=as_json, what="reflex demo run")
    with reported_errors(as_json=as_json):
        shown = Shown(_repository(model_repository), policy, port)
        try:
            code = _show(shown, seed, episodes)
        except KeyboardInterrupt:
            say("all is ended")
            return
    if as_json:
        print_json({"policy": policy, "episodes": episodes, "code": code})
    raise typer.Exit(code)


def robot_file(config: PolicyConfig, url: str, seed: int) -> str:
    """The `robot.yaml` of the simulated arm with the cameras, and pictures of the size, that the policy takes."""
    cameras = {each.name: "wrist" if "wrist" in each.name.lower() else "front" for each in config.cameras}
    height, width = next(
        (each.shape[:2] for each in config.inputs if each.name.startswith(IMAGE) and min(each.shape[:2]) > 0),
        (SIZE_PX, SIZE_PX),
    )
    told: dict[str, Any] = {
        "session": {"mode": "apply_actions", "instruction": INSTRUCTION, "max_steps": MOST_STEPS},
        "target": {"kind": "act", "url": url},
        "hardware": {"kind": "sim", "seed": seed, "width": width, "height": height, "cameras": cameras},
    }
    return f"{json.dumps(told, indent=1)}\n"


def _show(shown: Shown, seed: int, episodes: int) -> int:
    """The exit code of the robot's run."""
    from reflex.policy_config import read_policy_config

    config = read_policy_config(shown.folder())
    listen(LOOPBACK, shown.port).close()
    with tempfile.TemporaryDirectory(prefix="reflex-demo-") as folder, together(saying_whole_lines()) as programs:
        file = Path(folder) / "robot.yaml"
        file.write_text(robot_file(config, shown.url, seed), encoding="utf-8")
        return _play(programs, shown, file, episodes)


def _play(programs: Programs, shown: Shown, file: Path, episodes: int) -> int:
    programs.start("server", reflex_command(*shown.serve_arguments()))
    programs.wait_for(lambda: is_well(shown.url))
    connect = ("connect", "--config", str(file), "--view", "--no-record", "--episodes", str(episodes))
    programs.start(ROBOT, reflex_command(*connect))
    return programs.outlast(ROBOT)


def _repository(given: Path | None) -> Path:
    if given is not None:
        return given.absolute()
    from reflex_frontend.policy.shipped import shipped_repository

    return shipped_repository()
