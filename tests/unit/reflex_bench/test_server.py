"""Starting the server that is measured, of this checkout or of an older one."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex_bench.server import older_nonce_server


def test_a_checkout_in_which_nothing_is_installed_is_refused_with_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"has no \.venv/bin/python.*`make install`"), older_nonce_server(tmp_path):
        pass
