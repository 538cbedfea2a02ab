"""The command line's root. Commands import what is heavy when they run, so that `reflex --help` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

import typer

import reflex
from reflex.cli.act import act
from reflex.cli.admin import AdminCommand, replace, slots, split
from reflex.cli.bench.group import bench
from reflex.cli.check import check
from reflex.cli.connect.command import connect
from reflex.cli.control.deploy import deploy
from reflex.cli.control.login import login, logout, whoami
from reflex.cli.control.models import models
from reflex.cli.control.receipts import receipts
from reflex.cli.control.robots import robots
from reflex.cli.control.server import control
from reflex.cli.control.sessions import sessions
from reflex.cli.datasets.group import datasets
from reflex.cli.demo import demo
from reflex.cli.diagnosis.command import diagnose
from reflex.cli.doctor import doctor
from reflex.cli.engines import engines
from reflex.cli.evaluation.command import evaluate
from reflex.cli.export import export, verify
from reflex.cli.init.commands import init
from reflex.cli.inspect import inspect
from reflex.cli.keys.group import keys
from reflex.cli.lerobot.command import lerobot_policy
from reflex.cli.live.commands import status, watch
from reflex.cli.replay import replay
from reflex.cli.root import RootCommand
from reflex.cli.serve import serve
from reflex.cli.so101.group import so101
from reflex.cli.traces import compare, traces
from reflex.cli.train.group import train
from reflex.cli.training.group import training
from reflex.cli.up.command import up
from reflex.console import EXIT_INTERRUPTED

__all__ = ["app", "main"]

SHORT_HELP: Final[Mapping[str, str]] = MappingProxyType(
    {
        "serve": "Serve a policy over HTTP.",
        "up": "Start the server and the control plane together.",
        "act": "Ask a running server for one action chunk.",
        "check": "Check that a running server answers.",
        "connect": "Run a robot from its robot.yaml.",
        "eval": "Measure how often a policy succeeds.",
        "status": "Say how a running server does.",
        "watch": "Watch a running server in the terminal.",
        "doctor": "Check this machine, or a deployment.",
        "demo": "Watch a trained policy; copy what comes with Reflex.",
        "init": "Begin the description of a robot of your own.",
        "export": "Turn a LeRobot checkpoint into a policy to serve.",
        "verify": "Hold an exported policy against its checkpoint.",
        "inspect": "Say what a policy takes, how large and how fast it is.",
        "engines": "Build TensorRT engines of policies, or wait for them.",
        "lerobot-policy": "Write the folder by which LeRobot asks a server.",
        "slots": "Show the policies of a running server.",
        "split": "Share the episodes out anew between two policies.",
        "replace": "Change a policy of a running server, without a pause.",
        "keys": "Make, show and take back API keys.",
        "login": "Log in to a control plane.",
        "logout": "Forget the key of a login.",
        "whoami": "Say whose key is in use.",
        "models": "Register exported policies.",
        "robots": "Register robots, and pair them.",
        "deploy": "Say which model drives which robots, and whether it may.",
        "sessions": "Drive a robot: begin, promote and end sessions.",
        "receipts": "Show, export and check receipts.",
        "control": "Run the control plane, and look after its store.",
        "traces": "Say what a recording of `reflex serve` holds.",
        "compare": "Compare the two policies of a recording.",
        "replay": "Ask recorded requests again, and compare the answers.",
        "bench": "Measure what a running server is good for.",
        "train": "Train small models that help a policy.",
        "training": "Train policies on datasets, by a queue and its workers.",
        "so101": "Find, check, calibrate and rest an SO-101 arm.",
        "datasets": "Look after datasets and recordings of runs.",
        "diagnose": "Say whether data, training or deployment is wrong.",
    }
)
"""Each fits its line of `reflex -h`, in the order in which a newcomer meets them."""


class _InOrder(RootCommand):
    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - Click's, which newer typers bring along
        return sorted(super().list_commands(ctx), key=list(SHORT_HELP).index)


app = typer.Typer(
    cls=_InOrder,
    help="Serve vision-language-action policies to robots, and ask them for actions.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Plain help is one third as long, and "[env: ...]" in it is no markup.
)
for _command in (
    act,
    check,
    compare,
    connect,
    diagnose,
    doctor,
    export,
    inspect,
    login,
    logout,
    replay,
    serve,
    status,
    up,
    verify,
    watch,
    whoami,
):
    app.command(short_help=SHORT_HELP[_command.__name__])(_command)
for _command in (replace, slots, split):
    app.command(cls=AdminCommand, short_help=SHORT_HELP[_command.__name__])(_command)
app.command("eval", short_help=SHORT_HELP["eval"])(evaluate)
app.command("lerobot-policy", short_help=SHORT_HELP["lerobot-policy"])(lerobot_policy)
for _name, _group in (
    ("bench", bench),
    ("control", control),
    ("datasets", datasets),
    ("demo", demo),
    ("deploy", deploy),
    ("engines", engines),
    ("init", init),
    ("keys", keys),
    ("models", models),
    ("receipts", receipts),
    ("robots", robots),
    ("sessions", sessions),
    ("so101", so101),
    ("traces", traces),
    ("train", train),
    ("training", training),
):
    app.add_typer(_group, name=_name, short_help=SHORT_HELP[_name])


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # typer's callback signature
    if wanted:
        typer.echo(reflex.__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Serve vision-language-action policies to robots, and ask them for actions."""
