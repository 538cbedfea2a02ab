"""`reflex eval`: the same seeds of a simulated robot, played by a policy, and by another, and by half-blind ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reflex.cli.evaluation.told import lines_of, say_progress
from reflex.cli.extras import load_extra
from reflex.cli.options import ApiKeyOption, JsonOption
from reflex.console import EXIT_FAILED, EXIT_INTERRUPTED, print_json, reported_errors, say, show
from reflex.errors import SetupError

if TYPE_CHECKING:
    from reflex_runner.evaluation import EvaluationReport

__all__ = ["evaluate"]

Kind = Literal["act", "stream", "openpi", "expert"]
Url = Annotated[
    str | None, typer.Option(metavar="URL", help="The server of the policy; by default http://localhost:8000.")
]
Against = Annotated[
    str | None, typer.Option(metavar="URL", help="A second server, which plays the same seeds: compared pair by pair.")
]
Episodes = Annotated[int | None, typer.Option(metavar="N", help="How many; by default 200, or all of --seeds.")]
Seeds = Annotated[
    str,
    typer.Option(
        metavar="SEEDS", help="FIRST:END, of which END is not played. Keep them apart from those of the training."
    ),
]
Instruction = Annotated[str | None, typer.Option(metavar="TEXT", help="What the policy is told to do.")]
Ablate = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHAT",
        help="Play the seeds again without image, state or instruction; image=other, state=other: with those that "
        "another episode began with; instruction=TEXT: with another. May be given several times.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A robot.yaml whose robot can be reset; by default the simulated arm."),
]
HowAsked = Annotated[Kind | None, typer.Option(metavar="KIND", help="act, stream, openpi or expert; by default act.")]
Raw = Annotated[bool, typer.Option("--raw/--jpeg", help="Send pictures as they are, to the bit, or as JPEG.")]
StepsPerChunk = Annotated[
    int, typer.Option(metavar="N", min=1, max=1000, help="So many actions of each chunk are followed.")
]
MaxSteps = Annotated[
    int | None, typer.Option(metavar="N", min=1, max=100_000, help="Of an episode; by default 300, ten seconds.")
]
PicturePx = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=16, max=960, help="Of the simulated arm's pictures; by default as the policy wants, else 96."
    ),
]
AtLeast = Annotated[
    float | None, typer.Option(metavar="RATE", min=0.0, max=1.0, help="Exit code 1 when the success rate is below it.")
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", file_okay=False, help="An empty folder for episodes, films of failures, and result."),
]
Html = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Also write a report: one page that needs nothing else."),
]
Films = Annotated[int, typer.Option(metavar="N", min=0, max=1000, help="Of failures, in --out.")]
DEFAULT_EPISODES = 200


def evaluate(
    *,
    url: Url = None,
    episodes: Episodes = None,
    seeds: Seeds = "10000:",
    instruction: Instruction = None,
    against: Against = None,
    ablate: Ablate = None,
    config: Config = None,
    kind: HowAsked = None,
    raw: Raw = False,
    steps_per_chunk: StepsPerChunk = 8,
    max_steps: MaxSteps = None,
    picture_px: PicturePx = None,
    at_least: AtLeast = None,
    out: Out = None,
    html: Html = None,
    films: Films = 20,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how often a policy succeeds: whole episodes in the simulator, through the server and the robot's loop.

    Each seed is one beginning, the same for every policy. The rate is told with Wilson's interval of 95 %, a difference
    with Newcombe's for pairs. Ctrl-C ends it with what was played so far, and exit code 130; 1 after an error, and
    when the rate is below --at-least.

    Example:

    \b
      reflex eval --url http://127.0.0.1:8000 --episodes 200 --seeds 10000:10200
      reflex eval --url http://127.0.0.1:8000 --against http://127.0.0.1:9000
      reflex eval --ablate image --ablate state --ablate instruction --out evaluation
      reflex eval --episodes 50 --at-least 0.9 --html report.html
    """
    load_extra("reflex_runner.evaluation", "runner", "sim", as_json=as_json)
    from reflex.sdk.evaluating import evaluate as evaluated

    with reported_errors(as_json=as_json):
        report = evaluated(
            url,
            seeds=_seeds_of(seeds, episodes),
            against=against,
            instruction=instruction,
            ablate=ablate or (),
            config=config,
            kind=kind,
            raw=raw,
            steps_per_chunk=steps_per_chunk,
            max_steps=max_steps,
            picture_px=picture_px,
            out=out,
            films=films,
            api_key=api_key,
            progress=say_progress,
        )
        if html is not None:
            _write_page(html, report)  # type: ignore[arg-type]  # the SDK's word for the same
    _tell(report, at_least, as_json=as_json)  # type: ignore[arg-type]


def _seeds_of(told: str, episodes: int | None) -> range:
    from reflex_runner.evaluation.settings import seeds_of

    found = re.fullmatch(r"(\d{1,12}):?(\d{1,12})?", told)
    if found is None:
        raise SetupError(f"--seeds: {told!r} are no seeds; write them like 10000:10200")
    return seeds_of(int(found[1]), None if found[2] is None else int(found[2]), episodes, DEFAULT_EPISODES)


def _write_page(file: Path, report: EvaluationReport) -> None:
    from reflex_runner.evaluation.page import render_page

    try:
        file.write_text(render_page(report), encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"the report cannot be written to {file} ({exc.strerror}); give another --html") from exc


def _tell(report: EvaluationReport, at_least: float | None, *, as_json: bool) -> None:
    if as_json:
        print_json(report.as_json())
    else:
        for line in lines_of(report):
            show(line)
    if report.is_interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if report.errors:
        raise typer.Exit(EXIT_FAILED)
    if at_least is not None and report.evaluation.rate < at_least:
        say(f"reflex: the success rate is below --at-least {at_least:g}")
        raise typer.Exit(EXIT_FAILED)
