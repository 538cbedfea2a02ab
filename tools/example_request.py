"""Makes the example of a request again, as the simulator is at its beginning: its picture, and where the arm stands.

python tools/example_request.py examples

Every policy that ships with one camera takes it: 64 x 64 pixels are what the trained one wants, and others scale.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from reflex_runner.simulation.eyes import Eyes, Scene
from reflex_runner.simulation.world import World

SEED: Final = 10_000
"""No demonstration had it."""
SIZE_PX: Final = 64
QUALITY: Final = 90
INSTRUCTION: Final = "pick up the cube"
NOISE_SEED: Final = 7


def main(folder: Path) -> None:
    """Write cube.jpg and act.json."""
    picture, state = beginning()
    jpeg = io.BytesIO()
    Image.fromarray(picture).save(jpeg, "JPEG", quality=QUALITY)
    (folder / "cube.jpg").write_bytes(jpeg.getvalue())
    image = base64.b64encode(jpeg.getvalue()).decode()
    request = {"instruction": INSTRUCTION, "state": state, "seed": NOISE_SEED, "image_b64": image}
    (folder / "act.json").write_text(f"{json.dumps(request, indent=2)}\n", encoding="utf-8")


def beginning() -> tuple[npt.NDArray[np.uint8], list[float]]:
    """What the front camera sees, and where the arm stands, to a tenth of its units."""
    world = World(SEED)
    with Eyes(world.model, SIZE_PX, SIZE_PX, ["front"]) as eyes:
        picture = eyes.look(Scene(world))["front"]
    return picture, [round(float(value), 1) for value in world.state()]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
