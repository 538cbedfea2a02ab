"""The group `reflex train`."""

from __future__ import annotations

import typer

from reflex.cli.train.a2c2 import a2c2

__all__ = ["train"]

train = typer.Typer(
    help="Train small models that help a policy, from its recordings.", no_args_is_help=True, rich_markup_mode=None
)
train.command(short_help="A head that corrects what latency made stale.")(a2c2)


@train.callback()
def _root() -> None:
    """Train small models that help a policy, from its recordings."""
