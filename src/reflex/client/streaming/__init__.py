"""`ActionStream`: observations out, chunks in, over one connection that stays open.

Needs the extra `stream`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from reflex.errors import SetupError
from reflex.wording.install import install_line

__all__: list[str] = []

NEEDED: Final = ("websockets",)

if missing := [name for name in NEEDED if find_spec(name) is None]:
    raise SetupError(f"ActionStream needs {' and '.join(missing)}: {install_line('stream')}")
