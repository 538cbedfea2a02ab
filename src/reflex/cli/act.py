"""`reflex act`: one observation to a running server, and its chunk readably."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.options import ApiKeyOption
from reflex.console import columns, print_json, reported_errors, say, show
from reflex.errors import ReflexError
from reflex.printable import printable
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex.client import ReflexClient
    from reflex.embodiments import Embodiment
    from reflex.wire import ActResult

__all__ = ["act"]

Instruction = Annotated[
    str, typer.Argument(metavar="INSTRUCTION", help='What the robot shall do, like "pick up the red cup".')
]
ImageOption = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="JPEG or PNG for the policy's first camera.", exists=True, dir_okay=False),
]
CameraOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", help="JPEG or PNG for a camera by name; repeat it. Not together with --image."),
]
StateOption = Annotated[
    str | None,
    typer.Option(metavar="X,Y,...", help="The robot's state in robot units, as many numbers as the policy takes."),
]
UrlOption = Annotated[str, typer.Option(metavar="URL", help="The server.")]
EpisodeOption = Annotated[str | None, typer.Option(metavar="ID", help="Ask as part of this episode.")]
SeedOption = Annotated[int | None, typer.Option(metavar="N", help="The same seed and observation give the same chunk.")]
DeadlineOption = Annotated[
    int, typer.Option(metavar="MS", min=1, help="Total time for the answer, waiting for a warming server included.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the server's answer as one JSON object.")]


def act(
    instruction: Instruction,
    *,
    image: ImageOption = None,
    camera: CameraOption = None,
    state: StateOption = None,
    url: UrlOption = "http://localhost:8000",
    episode: EpisodeOption = None,
    seed: SeedOption = None,
    deadline_ms: DeadlineOption = 5_000,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a running server for one action chunk and plot it, one line per action axis.

    Example:

    \b
      reflex act "pick up the red cup" --image base.jpg --state 0,0,0,0,0,0
    """
    from reflex.client import ReflexClient

    _refuse_address(instruction)
    cameras = _cameras(camera or [])
    if image is not None and cameras:
        raise typer.BadParameter("give --image for the first camera, or --camera for each by name, not both")
    values = None if state is None else _numbers(state)
    with (
        reported_errors(as_json=as_json),
        ReflexClient(url, deadline_s=deadline_ms / 1000, api_key=api_key) as client,
    ):
        if values is None:
            raise typer.BadParameter(_wanted_state(client), param_hint="--state")
        asked = client if episode is None else client.episode(episode)
        result = asked.act(state=values, instruction=instruction, image=image, images=cameras or None, seed=seed)
        if as_json:
            print_json(result)
        else:
            _plot(result, _embodiment(client))


def _refuse_address(instruction: str) -> None:
    """Other commands take the server where this one takes what the robot shall do."""
    if instruction.startswith(("http://", "https://")) and " " not in instruction:
        raise typer.BadParameter(f"{instruction} is no instruction; give the server's address with --url")


def _plot(result: ActResult, embodiment: Embodiment | None) -> None:
    from reflex.cli.plot import axis_labels, chunk_lines, summary_lines

    actions = result["actions"]
    labels = axis_labels(embodiment, len(actions[0]))
    for line in chunk_lines(actions, labels, columns()):
        show(line)
    for line in summary_lines(result):
        say(line)


def _embodiment(client: ReflexClient) -> Embodiment | None:
    """None when the server does not say: the chunk is there all the same."""
    try:
        return client.embodiment()
    except ReflexError:
        return None


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as exc:
        raise typer.BadParameter(f"{text!r} is not a list like 0.1,0.2,0.3", param_hint="--state") from exc


def _cameras(pairs: list[str]) -> dict[str, Path]:
    cameras = {}
    for pair in pairs:
        name, _, path = pair.partition("=")
        if not name or not path:
            raise typer.BadParameter(f"{pair!r} is not NAME=PATH, like wrist=wrist.jpg", param_hint="--camera")
        if name in cameras:
            raise typer.BadParameter(f"camera {name!r} is given twice", param_hint="--camera")
        cameras[name] = Path(path)
    return cameras


def _wanted_state(client: ReflexClient) -> str:
    config = client.config()
    if "policy_id" not in config:  # two policies, by slot: they take the same state
        config = next((each for each in config.values() if isinstance(each, dict)), config)
    count = config.get("state_dim")
    if not isinstance(count, int):
        return "none is given: the robot's state in robot units, numbers separated by commas"
    zeros = ",".join(["0"] * count)
    policy = f"{config.get('policy_id', 'this policy')} on {config.get('embodiment', 'its robot')}"
    return f"none is given; {printable(policy)} takes {counted(count, 'number')} in robot units, like --state {zeros}"
