"""`reflex deploy`: which model may drive robots of which schema, and whether it is ready to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reflex.cli.control.answering import EXIT_NOT_READY, answer, reported, table
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.console import say

if TYPE_CHECKING:
    from reflex.control.objects import Deployment, DoctorReport

__all__ = ["deploy", "run_doctor"]

HELP = "Say which model drives which robots, and whether it may."
COLUMNS = ("id", "name", "modelId", "robotSchemaId", "mode", "ready")

DeploymentArgument = Annotated[str, typer.Argument(metavar="DEPLOYMENT_ID", help="As `reflex deploy list` shows it.")]

deploy = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)


@deploy.callback()
def _deploy() -> None:
    """Say which model drives which robots, and whether it may."""


@deploy.command(short_help="Create a deployment.")
@with_control_options
def create(
    at: ControlOptions,
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="What people call it.")],
    model_id: Annotated[str, typer.Option(metavar="ID", help="The model, as `reflex models list` shows it.")],
    robot_schema_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Only robots of this schema, as `reflex robots schemas` shows it.")
    ] = None,
    act_url: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="A frontend that answers /act; repeat it.")
    ] = None,
    mode: Annotated[
        Literal["dry_run", "apply_actions"],
        typer.Option(metavar="MODE", help="The highest that its sessions may reach: dry_run or apply_actions."),
    ] = "dry_run",
    spec: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON or YAML that is kept with it, for your own use.")
    ] = None,
) -> None:
    """Create a deployment, and print its id.

    Example:

    \b
      reflex deploy create --name kitchen-v3 --model-id model_abc123 --act-url http://127.0.0.1:8000
    """
    from reflex.sdk.files import read_mapping

    with reported(at):
        kept = None if spec is None else read_mapping(spec)
    answer(
        at,
        lambda client: client.create_deployment(
            name=name, model_id=model_id, robot_schema_id=robot_schema_id, runtime=act_url or None, mode=mode, spec=kept
        ),
        lambda made: [made["id"]],
    )


@deploy.command(name="from-spec", short_help="Create what a file describes.")
@with_control_options
def from_spec(
    at: ControlOptions,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="JSON or YAML: name, model_id and the other arguments.")],
) -> None:
    """Create the deployment that a file of JSON or YAML describes, and print its id. A key that is none is an error.

    Its keys are name, model_id, robot_schema_id, runtime, mode and spec.

    Example:

    \b
      reflex deploy from-spec kitchen.yaml
    """
    from reflex.sdk.files import read_deployment_spec

    with reported(at):
        arguments = read_deployment_spec(path)
    answer(at, lambda client: client.create_deployment(**arguments), lambda made: [made["id"]])


@deploy.command(name="list", short_help="Show every deployment.")
@with_control_options
def list_(at: ControlOptions) -> None:
    """Show every deployment: its id, name, model, schema, mode, and whether its doctor found it ready.

    Example:

    \b
      reflex deploy list
    """
    answer(at, lambda client: client.list_deployments(), lambda found: _rows(found["deployments"]))


@deploy.command(short_help="Show one deployment.")
@with_control_options
def get(at: ControlOptions, deployment_id: DeploymentArgument) -> None:
    """Show one deployment, and what its doctor found last.

    Example:

    \b
      reflex deploy get deploy_abc123
    """
    answer(at, lambda client: client.get_deployment(deployment_id), _shown)


@deploy.command(short_help="Check whether it may drive hardware.")
@with_control_options
def doctor(at: ControlOptions, deployment_id: DeploymentArgument) -> None:
    """Check whether a deployment may drive hardware. Each failed check says its fix; exit code 5 when one failed.

    `reflex doctor DEPLOYMENT_ID` is the same.

    Example:

    \b
      reflex deploy doctor deploy_abc123
    """
    run_doctor(at, deployment_id)


def run_doctor(at: ControlOptions, deployment_id: str) -> None:
    """Print the checks, and end with 5 unless all that count have passed."""
    report = answer(at, lambda client: client.run_deployment_doctor(deployment_id), _check_lines)
    if not at.as_json:
        for line in _verdict(report):
            say(line)
    if not report["ready"]:
        raise typer.Exit(EXIT_NOT_READY)


def _verdict(report: DoctorReport) -> Iterable[str]:
    """Last, what is to be done: the checks are many."""
    from reflex.control.errors import failed_checks

    if report["ready"]:
        yield "Deployment ready."
        return
    yield "Deployment not ready for apply_actions:"
    yield from failed_checks(report["checks"])


def _rows(deployments: Iterable[Deployment]) -> Iterable[str]:
    return table(COLUMNS, [{**each, "ready": _readiness(each)} for each in deployments])


def _readiness(deployment: Deployment) -> str:
    report = deployment.get("doctor")
    if report is None:
        return "not checked"
    return "ready" if report["ready"] else "not ready"


def _shown(deployment: Deployment) -> Iterable[str]:
    yield from _rows([deployment])
    report = deployment.get("doctor")
    if report is not None:
        yield from _check_lines(report)


def _check_lines(report: DoctorReport) -> Iterable[str]:
    checks = report["checks"]
    width = max((len(check["id"]) for check in checks), default=0)
    for check in checks:
        yield f"{check['status']:<4}  {check['id']:<{width}}  {check['message']}"
        if check.get("fix"):
            yield f"{'':<{width + 6}}  -> {check['fix']}"
