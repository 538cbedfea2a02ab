"""Files of `robot.yaml` to begin with, by the kind of robot."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from reflex.errors import SetupError

__all__ = ["TEMPLATES", "template", "write_template"]

TEMPLATES: Final = ("sim", "so101", "subprocess")


def template(kind: str) -> str:
    """The text of the one for `kind`."""
    if kind not in TEMPLATES:
        raise SetupError(f"there is no template for {kind!r}; take one of {', '.join(TEMPLATES)}")
    return (resources.files(__package__) / "template_files" / f"{kind}.yaml").read_text(encoding="utf-8")


def write_template(kind: str, path: Path) -> None:
    """Write it, where no file is yet: somebody's settings are never overwritten."""
    text = template(kind)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as exc:
        raise SetupError(f"{path} is there already; give another name with --config, or take it away") from exc
    except (OSError, ValueError) as exc:
        raise SetupError(f"{path} cannot be written: {getattr(exc, 'strerror', None) or exc}") from exc
