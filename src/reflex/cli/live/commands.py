"""`reflex status` and `reflex watch`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from reflex.cli.act import JsonOption
from reflex.cli.options import ApiKeyOption, UrlArgument, UrlOption, server_url
from reflex.console import EXIT_FAILED, EXIT_INTERRUPTED, columns, error_as_json, print_json, reported_errors
from reflex.errors import ReflexError
from reflex.printable import printable

if TYPE_CHECKING:
    from reflex.cli.live.counts import Counts
    from reflex.client import ReflexClient

__all__ = ["status", "watch"]

DEADLINE_S: Final = 5.0
CLEAR: Final = "\x1b[{lines}A\x1b[J"
"""Back to where the page began, and nothing below."""

EveryOption = Annotated[float, typer.Option(metavar="S", min=0.1, help="Seconds between two looks.")]
AskOption = Annotated[
    bool,
    typer.Option("--ask", help="Ask for a chunk at each look too, as `reflex check` does, and plot it axis by axis."),
]
LinesOption = Annotated[bool, typer.Option("--json", help="Print one JSON value a line, for each look.")]
OnceOption = Annotated[bool, typer.Option("--once", help="Look once.")]


def status(
    url: UrlArgument = None,
    *,
    url_option: UrlOption = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say on one page how a running server does: health, policies, robot, latency, errors, guard.

    Exit code 1 unless it is ready.

    Example:

    \b
      reflex status http://127.0.0.1:9000
    """
    from reflex.cli.live.report import look_at, rows_of
    from reflex.client import ReflexClient

    url = server_url(url, url_option)
    with reported_errors(as_json=as_json), ReflexClient(url, deadline_s=DEADLINE_S, api_key=api_key) as client:
        report = look_at(client)
        if as_json:
            print_json({"url": url, **report.as_json()})
        else:
            _print([f"{url}", *_lines(rows_of(report))])
    if not report.is_ready:
        raise typer.Exit(EXIT_FAILED)


def watch(
    url: UrlArgument = None,
    *,
    url_option: UrlOption = None,
    every: EveryOption = 2.0,
    ask: AskOption = False,
    once: OnceOption = False,
    api_key: ApiKeyOption = None,
    as_json: LinesOption = False,
) -> None:
    """Watch a running server in the terminal: the page of `reflex status`, renewed until Ctrl-C.

    Example:

    \b
      reflex watch http://127.0.0.1:9000 --every 1
    """
    from reflex.client import ReflexClient

    url = server_url(url, url_option)
    with reported_errors(as_json=as_json), ReflexClient(url, deadline_s=DEADLINE_S, api_key=api_key) as client:
        show = _looks_as_json(client, url, asks=ask) if as_json else _pages(client, url, asks=ask)
        try:
            answered = next(show)
            while not once:
                time.sleep(every)
                answered = next(show)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
    if not answered:
        raise typer.Exit(EXIT_FAILED)


def _pages(client: ReflexClient, url: str, *, asks: bool) -> Iterator[bool]:
    """Print a page over the one before, each time; whether the server answered."""
    before: Counts | None = None
    drawn = 0
    while True:
        lines, before = _page(client, url, before, asks=asks)
        _print(lines, over=drawn)
        drawn = len(lines)
        yield before is not None


def _looks_as_json(client: ReflexClient, url: str, *, asks: bool) -> Iterator[bool]:
    """Print a line with one JSON value, each time: as of `reflex status --json`, or an error."""
    from reflex.cli.live.report import look_at
    from reflex.client.check import check_server

    while True:
        try:
            found: dict[str, Any] = {"url": url, **look_at(client).as_json()}
            if asks:
                found["answer"] = check_server(client).answer
        except ReflexError as exc:
            print_json({**error_as_json(exc), "url": url})
            yield False
        else:
            print_json(found)
            yield True


def _page(client: ReflexClient, url: str, before: Counts | None, *, asks: bool) -> tuple[list[str], Counts | None]:
    """The page, and what it counted; a server that does not answer is a sentence, and may come back."""
    from reflex.cli.live.report import look_at, rows_of

    try:
        report = look_at(client)
        recent = None if before is None else report.counts.since(before)
        lines = [f"{url}  (Ctrl-C ends)", *_lines(rows_of(report, recent))]
        return [*lines, *(_chunk(client) if asks else ())], report.counts
    except ReflexError as exc:
        return [f"{url}  (Ctrl-C ends)", f"no answer: {exc}"], None


def _chunk(client: ReflexClient) -> list[str]:
    from reflex.cli.plot import axis_labels, chunk_lines
    from reflex.client.check import check_server

    answer = check_server(client).answer
    labels = axis_labels(client.embodiment(), len(answer["actions"][0]))
    return ["", *chunk_lines(answer["actions"], labels, columns())]


def _lines(rows: Iterable[tuple[str, str]]) -> list[str]:
    found = list(rows)
    width = max(len(title) for title, _ in found)
    return [f"{title:<{width}}  {text}" for title, text in found]


def _print(lines: list[str], *, over: int = 0) -> None:
    """Cut to the terminal's width, so that a page is as many lines as were printed; `over` the page before."""
    import sys

    width = columns()
    if over and sys.stdout.isatty():
        typer.echo(CLEAR.format(lines=over), nl=False)
    for line in map(printable, lines):
        typer.echo(line if len(line) <= width or not sys.stdout.isatty() else f"{line[: width - 1]}…")
