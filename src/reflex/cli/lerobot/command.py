"""`reflex lerobot-policy`: what LeRobot's own programs need to ask a server."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.options import ApiKeyOption, JsonOption, UrlArgument, UrlOption, server_url
from reflex.console import print_json, reported_errors, say

if TYPE_CHECKING:
    from reflex.cli.lerobot.folder import PolicyFolder

__all__ = ["lerobot_policy"]


def lerobot_policy(
    url: UrlArgument = None,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write, for --policy.path of LeRobot.")],
    url_option: UrlOption = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ROBOT", help="The robot's name for the policy's camera NAME; repeat it. By default NAME."
        ),
    ] = None,
    instruction: Annotated[
        str, typer.Option(metavar="TEXT", help="For observations that bring no task of their own.")
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Write over a folder that is there.")] = False,
    deadline_ms: Annotated[
        int, typer.Option(metavar="MS", min=1, help="Total time, waiting for a warming server included.")
    ] = 10_000,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the small folder by which LeRobot's own programs ask a running server for actions.

    It holds no weights and no key. LeRobot needs the package lerobot_policy_reflex beside it.

    Example:

    \b
      reflex lerobot-policy http://127.0.0.1:8000 --out my_policy --camera wrist=gripper_cam
      lerobot-rollout --policy.path=my_policy --robot.type=so101_follower --task="pick up the red cup"
    """
    from reflex.cli.lerobot.folder import policy_folder, write_policy_folder
    from reflex.client import ReflexClient

    renamed = _renamed(camera or [])
    url = server_url(url, url_option)
    with (
        reported_errors(as_json=as_json),
        ReflexClient(url, deadline_s=deadline_ms / 1000, api_key=api_key) as client,
    ):
        folder = policy_folder(client.config(), url, renamed=renamed, instruction=instruction)
        write_policy_folder(folder, out, replace=replace)
    if as_json:
        print_json(_told(folder, out))
    else:
        _say_what_is_next(folder, out)


def _renamed(pairs: list[str]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for pair in pairs:
        name, _, robot = pair.partition("=")
        if not name or not robot:
            raise typer.BadParameter(f"{pair!r} is not NAME=ROBOT, like wrist=gripper_cam", param_hint="--camera")
        if name in renamed:
            raise typer.BadParameter(f"camera {name!r} is given twice", param_hint="--camera")
        renamed[name] = robot
    return renamed


def _told(folder: PolicyFolder, out: Path) -> dict[str, object]:
    return {"folder": str(out), "policy_id": folder.policy_id, "cameras": folder.cameras, "files": sorted(folder.files)}


def _say_what_is_next(folder: PolicyFolder, out: Path) -> None:
    say(f"{out}: asks for actions of {folder.policy_id}; it holds no weights and no key")
    for key, name in folder.cameras.items():
        say(f"  camera {name} gets LeRobot's {key}")
    path = shlex.quote(str(out))
    say(f'next, where LeRobot is: lerobot-rollout --policy.path={path} --robot.type=... --task="..."')
