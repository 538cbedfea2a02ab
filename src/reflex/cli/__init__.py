"""The `reflex` command: `reflex act`, `reflex serve`, `reflex doctor`.

A command parses, calls one function, prints. Results go to stdout, text for people to stderr; `--json` prints exactly
one JSON value. Exit codes: 0 ok, 1 refused or failed, 2 wrong usage, 130 interrupted.
"""

from reflex.cli.main import app, main

__all__ = ["app", "main"]
