"""A QR code as a drawing in the page: nothing else has to be loaded, and no style of its own."""

from __future__ import annotations

import segno
from markupsafe import Markup

__all__ = ["qr_of"]


def qr_of(text: str, label: str) -> Markup:
    """An SVG element of `text`, called `label` for whoever cannot see it."""
    drawn = segno.make(text, error="m", micro=False).svg_inline(
        border=2, omitsize=True, svgclass="qr", lineclass=None, svgid=None, light="#ffffff", dark="#000000"
    )
    return Markup('<div class="qr-plate" role="img" aria-label="{}">{}</div>').format(label, Markup(drawn))  # noqa: S704
