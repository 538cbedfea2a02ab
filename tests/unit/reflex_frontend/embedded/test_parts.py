from __future__ import annotations

from pathlib import Path

from reflex_bench.nonce_policy import write_nonce_policy
from reflex_frontend.embedded.parts import parts_of


def test_an_ensemble_brings_its_models_and_those_of_the_ensembles_among_them(tmp_path: Path) -> None:
    write_nonce_policy(tmp_path, "pick")
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "config.pbtxt").write_text("""
        # step [{ model_name: "not_this" }]
        ensemble_scheduling { step [{ model_name: 'pick' }, { model_name: "outer" }] }
    """)
    parts = {"pick_preprocess", "pick_encoder", "pick_denoise"}
    assert parts_of(tmp_path, ["pick", "pick_denoise", "outer"]) == {
        "pick": parts, "pick_denoise": frozenset(), "outer": parts | {"pick"},
    }  # fmt: skip


def test_a_config_that_cannot_be_read_brings_nothing(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.pbtxt").write_bytes(b"\xff")
    assert parts_of(tmp_path, ["gone", "odd"]) == {"gone": frozenset(), "odd": frozenset()}
