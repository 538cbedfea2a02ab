from __future__ import annotations

from pathlib import Path

import pytest

from reflex.wording.guides import TITLES, Guide, guide
from reflex.wording.origin import Origin

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(("page", "title"), TITLES.items())
def test_every_title_is_that_of_the_page(page: Guide, title: str) -> None:
    assert (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").splitlines()[0] == f"# {title}"


def test_in_a_checkout_a_page_is_a_file_that_one_can_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert guide("export", "openpi") == "docs/export.md#openpi"

    monkeypatch.chdir(tmp_path)
    assert guide("export", "openpi") == f"{ROOT}/docs/export.md#openpi"
    assert Path(guide("embodiments")).is_file()


@pytest.mark.parametrize(
    "origin", [Origin(), Origin(Path("/nowhere/reflex_act-1-py3-none-any.whl")), Origin(url="git+https://a.example/r")]
)
def test_without_one_a_page_has_its_title_and_no_path(origin: Origin) -> None:
    assert guide("embodiments", origin=origin) == 'the page "Embodiments" of Reflex\'s documentation'
    assert guide("export", "openpi", origin=origin) == (
        'the page "From a LeRobot checkpoint to /act" of Reflex\'s documentation (its section "openpi")'
    )
