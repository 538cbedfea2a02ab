from __future__ import annotations

from pathlib import Path

from reflex.model_repository import CONFIG_FILE
from reflex_export.publishing.ownership import in_the_way, owners


def test_a_policy_that_cannot_be_read_owns_what_is_called_like_its_parts(tmp_path: Path) -> None:
    for name in ("old", "old_encoder", "old_denoise", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "old" / CONFIG_FILE).write_text("{}")
    parts = {"old", "old_preprocess", "old_encoder", "old_denoise"}
    assert owners(tmp_path) == {part: {"old"} for part in parts}
    assert in_the_way(tmp_path, ["old_encoder", "old_preprocess", "other"], ["new"]) == {"old_encoder": {"old"}}
    assert in_the_way(tmp_path, ["old_encoder"], ["old"]) == {}
