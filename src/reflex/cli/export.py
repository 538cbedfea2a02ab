"""`reflex export` and `reflex verify`: from a checkpoint to a model repository."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Unpack, get_args, get_origin, get_type_hints

import typer

from reflex.cli.extras import load_extra
from reflex.cli.interrupted import ended_by_interruption
from reflex.cli.options import JsonOption, with_parameters
from reflex.export_options import ExportOption, ExportOptions, ReadingOptions

__all__ = ["export", "verify", "with_reading_options"]

Source = Annotated[
    str,
    typer.Argument(metavar="CHECKPOINT", help="A folder, or a Hugging Face id like lerobot/smolvla_base."),
]
Repository = Annotated[
    Path, typer.Argument(metavar="REPOSITORY", help="The model repository.", exists=True, file_okay=False)
]

DEFAULTS: Final = {field.name: field.default for field in fields(ExportOptions)}
OPTIONS: Final[Mapping[str, tuple[Any, ExportOption]]] = {
    name: get_args(hint)
    for name, hint in get_type_hints(ExportOptions, include_extras=True).items()
    if get_origin(hint) is Annotated
}
"""Type and words of each, by the field's name."""
METAVARS: Final[Mapping[Any, str]] = MappingProxyType({Path: "PATH", int: "N", str: "NAME"})


def _shown(name: str) -> Any:  # noqa: ANN401  # as typer.Option returns it
    option = OPTIONS[name][1]
    metavar = option.metavar or _metavar(OPTIONS[name][0])
    return typer.Option(*option.flags, metavar=metavar, help=option.help, min=option.least, max=option.most)


def _metavar(kind: Any) -> str | None:  # noqa: ANN401  # a type
    """What stands for a value of this type, or of what holds several of it; None for an option without a value."""
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    of_one = (_metavar(part) for part in get_args(kind))
    return METAVARS.get(kind) or next(filter(None, of_one), None)


def _is_repeated(name: str) -> bool:
    return get_origin(OPTIONS[name][0]) in (tuple, frozenset)


def _annotation(name: str) -> Any:  # noqa: ANN401  # a type that is made here
    kind = OPTIONS[name][0]
    return Annotated[list[get_args(kind)[0]] | None if _is_repeated(name) else kind, _shown(name)]  # type: ignore[misc]


ANNOTATIONS: Final = {"source": Source} | {name: _annotation(name) for name in OPTIONS} | {"as_json": JsonOption}
GIVEN: Final = {name: None if _is_repeated(name) else DEFAULTS[name] for name in OPTIONS} | {"as_json": False}
"""What each is when it is not given; a source must be."""


def _options_of(given: Mapping[str, Any]) -> ExportOptions:
    """What was given; of something that was repeated, each once and in order."""
    return ExportOptions(
        **{
            name: get_origin(OPTIONS[name][0])(dict.fromkeys(value or ())) if _is_repeated(name) else value
            for name, value in given.items()
        }
    )


@with_parameters(ANNOTATIONS, GIVEN)
def export(source: str, *, as_json: bool, **given: object) -> None:
    """Turn a LeRobot checkpoint into a policy of a model repository. Needs no PyTorch.

    SmolVLA, pi0, pi0.5, ACT and Diffusion Policy. What is not supported is refused by name; a failure or Ctrl-C leaves
    the repository as it was.

    Example:

    \b
      reflex export lerobot/smolvla_base --repository models --name pick_cup --embodiment so101
    """
    options = _options_of(given)
    with ended_by_interruption(options.repository, as_json=as_json):
        exporter = load_extra("reflex_export.commands.export", "export", as_json=as_json)
        code: int = exporter.export_command(source, options, as_json=as_json)
    raise typer.Exit(code)


def with_reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of export that say how a checkpoint is read, before its own keywords."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ANNOTATIONS[name])
        for name in ReadingOptions.__annotations__
    ]
    keywords = [one for one in own if one.kind is inspect.Parameter.KEYWORD_ONLY]
    others = [one for one in own if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    parameters = [*others, *added, *keywords]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


@with_reading_options
def verify(
    repository: Repository,
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="The policy to check, when the repository holds several.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="CHECKPOINT", help="The checkpoint that it was exported from. Default: the one it names."),
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A folder of recorded cases (case_*.npz). Default: generated ones."),
    ] = None,
    device: Annotated[
        Literal["cpu", "cuda"],
        typer.Option(
            metavar="cpu|cuda", help="Where it runs. What is measured on a GPU is written into the policy's record."
        ),
    ] = "cpu",
    *,
    as_json: JsonOption = False,
    **reading: Unpack[ReadingOptions],
) -> None:
    """Hold a policy of a repository against its checkpoint, and say where they part; fails when it misses its gate.

    FP16 is only known on the device that serves: measure it there.

    Example:

    \b
      reflex verify models --policy pick_cup
      reflex verify models --policy pick_cup_fp16 --device cuda
    """
    with ended_by_interruption(repository, as_json=as_json):
        verifier = load_extra("reflex_export.commands.verify", "export", as_json=as_json)
        code: int = verifier.verify_command(
            repository, policy=policy, source=source, cases=cases, device=device, as_json=as_json, **reading
        )
    raise typer.Exit(code)
