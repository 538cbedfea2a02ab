"""`reflex ...`, whose control plane gives credentials for so many seconds as SHORT_CREDENTIALS_S says, and not 120.

How long one lasts is the only thing that is otherwise: a run without heartbeats need not be waited for so long.
"""

from __future__ import annotations

import os
import runpy

from reflex_control.sessions import life

life.CREDENTIAL_MS = int(float(os.environ["SHORT_CREDENTIALS_S"]) * 1000)  # type: ignore[misc]
runpy.run_module("reflex.cli", run_name="__main__")
