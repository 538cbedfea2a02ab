"""LeRobot's own process behind `POST /act` gives the chunks of the server that serves the same checkpoint.

`make lerobot-test` makes the environment that it needs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from reflex.export_options import ExportOptions
from reflex_bench.in_process.measuring import in_process
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.reading import read_checkpoint
from stock_lerobot.stock import StockLeRobot
from support.images import as_base64, encoded, photo
from support.server import running_server
from support.skips import skip_for_want_of
from support.waiting import HANGS_S

EQUAL: Final = 1e-3
"""In degrees, of actions of some forty: both compute in FP32."""
SIZE: Final = (64, 96)
Array = npt.NDArray[Any]


def test_both_answer_the_same_for_jpeg_and_for_raw_pictures(tmp_path: Path) -> None:
    python = os.environ.get("STOCK_LEROBOT_PYTHON")
    if python is None:
        skip_for_want_of("LeRobot")
    own, models = tmp_path / "act", tmp_path / "models"
    StockLeRobot(Path(python), tmp_path / "plugins").run("new_act.py", own, cwd=tmp_path)
    export_checkpoint(read_checkpoint(own), ExportOptions(models, "act", embodiment="so101"))
    pictures = {name: photo(seed, *SIZE) for seed, name in enumerate(("top", "wrist"))}

    def chunk(url: str, kind: str) -> Array:
        images = {name: as_base64(encoded(pixels, kind)) for name, pixels in pictures.items()}
        body = {"instruction": "", "state": [3.0, -20.0, 10.0, 40.0, 0.0, 15.0], "images": images}
        answer = httpx.post(f"{url}/act", json=body, timeout=HANGS_S, trust_env=False)
        assert answer.status_code == 200, answer.text
        return np.array(answer.json()["actions"])

    with (
        running_server("--model-repository", str(models), "--no-guard") as server,
        in_process(Path(python).parents[1], own) as url,
    ):
        for kind in ("JPEG", "PNG"):
            assert chunk(url, kind) == pytest.approx(chunk(server.base_url, kind), abs=EQUAL)
        assert np.abs(chunk(url, "JPEG") - chunk(url, "PNG")).max() > EQUAL, "it looks at the pictures"
