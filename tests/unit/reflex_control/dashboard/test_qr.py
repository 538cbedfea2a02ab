"""A QR code needs no style and no script of its own, and has words for whoever cannot see it."""

from __future__ import annotations

import re

from reflex_control.dashboard.qr import qr_of


def test_the_drawing_is_shapes_alone_with_a_name() -> None:
    drawn = qr_of("rfx_pair_abc", 'of <arm> "1"')

    assert set(re.findall(r"<(\w+)", drawn)) == {"div", "svg", "path"}
    assert "style=" not in drawn
    assert 'role="img" aria-label="of &lt;arm&gt; &#34;1&#34;"' in drawn
    assert drawn != qr_of("rfx_pair_abd", 'of <arm> "1"')
