"""Options that several commands have, said in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["ApiKeyOption"]

ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        envvar="REFLEX_API_KEY",
        show_envvar=False,
        metavar="KEY",
        help="For a server that asks for one; better in the environment, where others do not see it. "
        "[env: REFLEX_API_KEY]",
    ),
]
