"""`reflex up`: the server, the control plane and something to try them with, until Ctrl-C."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.cli.up.programs import Programs, is_well, reflex_command, saying_whole_lines, together
from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.serving.listener import listen

if TYPE_CHECKING:
    from reflex.cli.up.demo import Demo
    from reflex.cli.up.place import Place

__all__ = ["up"]

LOOPBACK: Final = "127.0.0.1"
EXTRAS: Final = ("serve", "embedded", "control")


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    data: Path
    port: int
    control_port: int
    model_repository: Path | None
    policy: str | None
    asks_for_sessions: bool

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def control_url(self) -> str:
        return f"http://{LOOPBACK}:{self.control_port}"

    def serve_arguments(self) -> list[str]:
        """What the server is told."""
        own = {"--model-repository": self.model_repository, "--policy": self.policy}
        given = [word for option, value in own.items() if value is not None for word in (option, str(value))]
        sessions = ["--sessions-from", self.control_url] if self.asks_for_sessions else []
        return ["serve", "--host", LOOPBACK, "--port", str(self.port), *given, *sessions]


@dataclass(frozen=True)
class Started:
    """All that runs, and what is registered of it."""

    plan: Plan
    place: Place
    demo: Demo | None

    def as_json(self) -> dict[str, str | None]:
        return {
            "url": self.plan.url,
            "controlUrl": self.plan.control_url,
            "adminKeyFile": str(self.place.admin_key),
            "deploymentId": None if self.demo is None else self.demo.deployment_id,
            "robotId": None if self.demo is None else self.demo.robot_id,
        }

    def next_steps(self) -> Iterator[str]:
        """For whoever sits at the terminal."""
        plan, key_file = self.plan, shlex.quote(str(self.place.admin_key))
        yield ""
        yield f"all is up. In a browser: {plan.control_url}, the control plane, and {plan.url}, the server"
        yield "next, in another terminal:"
        yield f"  reflex login --backend-url {plan.control_url} --api-key - < {key_file}"
        if self.demo is None:
            yield f"  reflex models register {shlex.quote(str(plan.model_repository))}"
            return
        credential = ""
        if plan.asks_for_sessions:
            yield (
                f"  reflex sessions authorize --deployment-id {self.demo.deployment_id} --robot-id {self.demo.robot_id}"
            )
            credential = " --api-key THE_CREDENTIAL"
        yield f'  reflex act "pick up the red cup" --state 0.1,0.2,0.3,0,0,0 --url {plan.url}{credential}'


def up(
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Folder of the control plane's store and keys. Default: reflex/up in your data folder."
        ),
    ] = None,
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="Of the server.")] = 8000,
    control_port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="Of the control plane.")] = 8100,
    model_repository: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Serve policies of this folder, and not the demo policy.")
    ] = None,
    policy: Annotated[str | None, typer.Option(metavar="NAME", help="Which of them.")] = None,
    sessions: Annotated[
        bool, typer.Option("--sessions/--no-sessions", help="Whether /act asks for a session of the control plane.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Start the server and the control plane together on this machine, with the demo policy and a simulated arm.

    Their logs come out on stderr. Ctrl-C ends all, and so does the end of one. What is kept lies in one folder.

    Example:

    \b
      reflex up --data ./reflex-data
    """
    from reflex.cli.up.place import default_folder

    load_extra("reflex_control.serve", *EXTRAS, as_json=as_json, what="reflex up")
    with reported_errors(as_json=as_json):
        folder = (default_folder() if data is None else data).absolute()
        plan = Plan(folder, port, control_port, model_repository, policy, sessions)
        _check_ports(plan)
        try:
            with together(saying_whole_lines()) as programs:
                _tell(_start(plan, programs), programs, as_json=as_json)
                programs.watch()
        except KeyboardInterrupt:
            say("all is ended")


def _check_ports(plan: Plan) -> None:
    if plan.port == plan.control_port:
        raise SetupError("--port and --control-port are the same; the two servers need one each")
    for port, option in ((plan.port, "--port"), (plan.control_port, "--control-port")):
        try:
            listen(LOOPBACK, port).close()
        except SetupError as exc:
            raise SetupError(str(exc).replace("--port", option)) from exc


def _start(plan: Plan, programs: Programs) -> Started:
    from reflex.cli.up.place import Place

    place = Place(plan.data)
    place.make()
    arguments = ["--data", str(place.store), "--host", LOOPBACK, "--port", str(plan.control_port), "--text-logs"]
    programs.start("control", reflex_command("control", "serve", "--no-first-key", *arguments))
    programs.wait_for(lambda: is_well(plan.control_url))
    key = {"REFLEX_CONTROL_KEY": place.key_of_frontend(plan.control_url)} if plan.asks_for_sessions else {}
    programs.start("server", reflex_command(*plan.serve_arguments()), key)
    programs.wait_for(lambda: is_well(plan.url))
    return Started(plan, place, _demo(plan, place) if plan.model_repository is None else None)


def _demo(plan: Plan, place: Place) -> Demo:
    from reflex.cli.up.demo import register_demo
    from reflex.control import ControlClient
    from reflex_frontend.policy.shipped import shipped_repository

    with ControlClient(plan.control_url, api_key=place.admin()) as client:
        return register_demo(client, shipped_repository(), plan.url)


def _tell(started: Started, programs: Programs, *, as_json: bool) -> None:
    if as_json:
        print_json(started.as_json())
        return
    for line in started.next_steps():
        programs.say(line)
