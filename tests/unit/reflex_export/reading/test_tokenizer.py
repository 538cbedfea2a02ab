from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, Model, Unigram, WordLevel

from reflex_export.errors import CheckpointError, SourceError, TokenizerError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.tokenizer import _model_tokens
from support.checkpoints.golden import golden_folder
from support.checkpoints.random_checkpoint import write_checkpoint
from support.checkpoints.sizes import PiSizes, SmolVlaSizes
from unit.reflex_export.reading.damage import CopyCheckpoint, EmptyHub, edit_json, edit_step, step_of

PRE = "policy_preprocessor.json"
FILES = ("tokenizer.json", "tokenizer_config.json")


def move_tokenizer(folder: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder / "tokenizer", to)


def test_the_folder_beside_the_config_is_preferred_to_a_hub_id(copy: CopyCheckpoint, hub: EmptyHub) -> None:
    text = read_checkpoint(copy("pi0"), hub=hub).text
    assert text is not None
    assert (text.max_tokens, text.pad_id, text.truncation_side, text.padding_side) == (24, 0, "right", "right")
    assert hub.asked == []


def test_the_artifacts_of_a_current_lerobot_name_the_folder(copy: CopyCheckpoint, hub: EmptyHub) -> None:
    folder = copy("pi0")
    move_tokenizer(folder, folder / "text/vocabulary")

    def as_artifact(pipeline: Any) -> None:
        step = step_of(pipeline, "tokenizer_processor")
        step["artifacts"] = {"tokenizer_name": "text/vocabulary"}

    edit_json(folder / PRE, as_artifact)
    assert read_checkpoint(folder, hub=hub).text is not None


def test_a_vlm_folder_holds_the_tokenizer_too(copy: CopyCheckpoint, hub: EmptyHub) -> None:
    folder = copy("smolvla")
    shutil.rmtree(folder / "tokenizer")
    text = read_checkpoint(folder, hub=hub).text
    assert text is not None
    assert (text.truncation_side, text.pad_id) == ("left", 2)


def test_the_vlm_option_brings_config_and_tokenizer(copy: CopyCheckpoint, tmp_path: Path, hub: EmptyHub) -> None:
    folder = copy("smolvla")
    shutil.rmtree(folder / "tokenizer")
    shutil.move(folder / "vlm", tmp_path / "elsewhere")
    checkpoint = read_checkpoint(folder, vlm=tmp_path / "elsewhere", hub=hub)
    assert checkpoint.vlm_config is not None
    assert checkpoint.vlm_config.scale_factor == 2
    assert checkpoint.text is not None
    assert read_checkpoint(folder, vlm=tmp_path / "elsewhere/config.json", hub=hub) is not None


def test_a_given_tokenizer_wins(copy: CopyCheckpoint, tmp_path: Path, hub: EmptyHub) -> None:
    folder = copy("pi0")
    move_tokenizer(folder, tmp_path / "given")
    assert read_checkpoint(folder, tokenizer=tmp_path / "given", hub=hub).text is not None
    assert read_checkpoint(folder, tokenizer=tmp_path / "given/tokenizer.json", hub=hub).text is not None
    with pytest.raises(TokenizerError, match=r"--tokenizer .* has no tokenizer\.json"):
        read_checkpoint(folder, tokenizer=tmp_path, hub=hub)


def test_a_tokenizer_on_the_hub_that_cannot_be_reached_says_what_to_download(
    copy: CopyCheckpoint, hub: EmptyHub
) -> None:
    folder = copy("pi0")
    shutil.rmtree(folder / "tokenizer")
    with pytest.raises(
        TokenizerError,
        match=r"`hf download google/paligemma-3b-pt-224 tokenizer\.json .*` and give that folder, as --tokenizer",
    ):
        read_checkpoint(folder, hub=hub)
    assert hub.asked == [("google/paligemma-3b-pt-224", None)]


def test_a_vlm_on_the_hub_that_cannot_be_reached_says_what_to_download(copy: CopyCheckpoint, hub: EmptyHub) -> None:
    folder = copy("smolvla")
    shutil.rmtree(folder / "vlm")
    edit_json(folder / "config.json", lambda config: config.update(vlm_model_name="Owner/SmolVLM"))
    with pytest.raises(CheckpointError, match=r"`hf download Owner/SmolVLM config\.json .*as --vlm"):
        read_checkpoint(folder, hub=hub)


@pytest.mark.parametrize("name", ["./vlm", "../vlm", "/home/u/vlm", ".", "vlm", "x" * 300])
def test_a_vlm_folder_that_is_not_there_is_asked_for(copy: CopyCheckpoint, hub: EmptyHub, name: str) -> None:
    folder = copy("smolvla")
    shutil.move(folder / "vlm", folder.parent / "vlm")
    edit_json(folder / "config.json", lambda config: config.update(vlm_model_name=name))
    with pytest.raises(SourceError, match=r"give the folder with the VLM's config.json as --vlm"):
        read_checkpoint(folder, hub=hub)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["../tokenizer", "/home/u/tokenizer", "vocabulary", "x" * 300])
def test_a_tokenizer_outside_the_checkpoint_is_never_read(copy: CopyCheckpoint, hub: EmptyHub, name: str) -> None:
    folder = copy("pi0")
    move_tokenizer(folder, folder.parent / "tokenizer")
    edit_step(folder / PRE, "tokenizer_processor", tokenizer_name=name)
    with pytest.raises(TokenizerError, match="is no hub id: give the folder of the tokenizer"):
        read_checkpoint(folder, hub=hub)
    assert hub.asked == []


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", PiSizes(vocabulary=250))
    with pytest.raises(TokenizerError, match=r"not the tokenizer.*288 tokens, the embedding 250 rows"):
        read_checkpoint(folder)


def test_a_tokenizer_with_far_fewer_tokens_than_the_embedding_is_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", PiSizes(vocabulary=1_500))
    with pytest.raises(TokenizerError, match="only 288 tokens for 1,500 rows"):
        read_checkpoint(folder)


@pytest.mark.parametrize("rows", [288, 320, 1_200])
def test_rows_that_only_pad_the_embedding_are_accepted(tmp_path: Path, rows: int) -> None:
    assert read_checkpoint(write_checkpoint(tmp_path / "checkpoint", PiSizes(vocabulary=rows))).text is not None


def test_a_tokenizer_of_another_model_with_a_fitting_size_is_refused(copy: CopyCheckpoint) -> None:
    with pytest.raises(TokenizerError, match="<image> has the id None, the model's config says 4"):
        read_checkpoint(copy("smolvla"), tokenizer=golden_folder("pi0/tokenizer"))


def test_a_tokenizer_without_the_bos_that_pi_begins_with_is_refused(copy: CopyCheckpoint) -> None:
    with pytest.raises(TokenizerError, match="puts no bos_token before a prompt"):
        read_checkpoint(copy("pi05"), tokenizer=golden_folder("smolvla/tokenizer"))


def test_added_tokens_past_the_embedding_become_ordinary_text(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer/tokenizer.json"))
    plain = tokenizer.encode("<image> pick").ids
    missing = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    rows = {"id": 384, "content": "<image>", **missing}
    edit_json(folder / "tokenizer/tokenizer.json", lambda parsed: parsed["added_tokens"].append(rows))
    padding = [{"id": 288 + i, "content": f"<unused{i}>", **missing} for i in range(96)]
    edit_json(folder / "tokenizer/tokenizer.json", lambda parsed: parsed["added_tokens"].extend(padding))
    edit_json(folder / "tokenizer/tokenizer.json", lambda parsed: parsed["added_tokens"].sort(key=lambda t: t["id"]))
    assert max(Tokenizer.from_file(str(folder / "tokenizer/tokenizer.json")).encode("<image> pick").ids) == 384
    text = read_checkpoint(folder).text
    assert text is not None
    assert Tokenizer.from_str(text.tokenizer_json).encode("<image> pick").ids == plain
    assert Tokenizer.from_str(text.tokenizer_json).encode("<unused95>").ids[-1] == 383


@pytest.mark.parametrize("content", ["", "{}", "null", '{"model": 3}', '{"version": "1.0", "added_tokens": [{}]}'])
def test_a_damaged_tokenizer_is_refused(copy: CopyCheckpoint, content: str) -> None:
    folder = copy("pi0")
    (folder / "tokenizer/tokenizer.json").write_text(content)
    with pytest.raises(TokenizerError, match="is no tokenizer"):
        read_checkpoint(folder)


def test_a_pad_token_may_be_an_object_or_lie_in_the_special_tokens_map(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    settings = folder / "tokenizer/tokenizer_config.json"
    edit_json(settings, lambda parsed: parsed.update(pad_token={"content": "<|im_end|>"}))
    with_object = read_checkpoint(folder).text
    edit_json(settings, lambda parsed: parsed.pop("pad_token"))
    (folder / "tokenizer/special_tokens_map.json").write_text(json.dumps({"pad_token": "<|im_end|>"}))
    with_map = read_checkpoint(folder).text
    assert with_object is not None
    assert with_object == with_map
    assert with_object.pad_id == 2


@pytest.mark.parametrize("token", [None, "<nowhere>", 3])
def test_a_tokenizer_without_a_pad_token_is_refused(copy: CopyCheckpoint, token: object) -> None:
    folder = copy("smolvla")
    edit_json(folder / "tokenizer/tokenizer_config.json", lambda parsed: parsed.update(pad_token=token))
    with pytest.raises(TokenizerError, match="names no pad_token"):
        read_checkpoint(folder)


def test_a_pad_token_without_a_row_of_the_embedding_is_refused(copy: CopyCheckpoint) -> None:
    """Every prompt that is shorter than the longest would index past it."""
    folder = copy("pi0")
    told = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    names = [*(f"<unused{number}>" for number in range(96)), "[PAD]"]
    added = [{"id": 288 + number, "content": name, **told} for number, name in enumerate(names)]
    edit_json(folder / "tokenizer/tokenizer.json", lambda parsed: parsed["added_tokens"].extend(added))
    edit_json(folder / "tokenizer/tokenizer_config.json", lambda parsed: parsed.update(pad_token="[PAD]"))
    with pytest.raises(TokenizerError, match=r"its pad_token has the id \d+, the embedding \d+ rows"):
        read_checkpoint(folder)


@pytest.mark.parametrize("length", [0, -1, 16_385, 10**9, 10**30])
def test_a_prompt_of_a_length_that_no_policy_has_is_refused(copy: CopyCheckpoint, length: int) -> None:
    folder = copy("pi0")
    edit_step(folder / PRE, "tokenizer_processor", max_length=length)
    with pytest.raises(CheckpointError, match="max_length must be 1 to 16,384, but is"):
        read_checkpoint(folder)


def test_a_name_with_half_a_character_is_refused(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")
    edit_json(folder / "tokenizer/tokenizer_config.json", lambda parsed: parsed.update(pad_token="\ud800"))
    with pytest.raises(CheckpointError, match="half a character"):
        read_checkpoint(folder)
    edit_json(folder / "tokenizer/tokenizer_config.json", lambda parsed: parsed.update(pad_token="\U0001f916"))
    with pytest.raises(TokenizerError, match="names no pad_token"):
        read_checkpoint(folder)


@pytest.mark.parametrize(("file", "key"), [("tokenizer", "truncation_side"), ("step", "padding_side")])
def test_a_side_that_is_none_is_refused(copy: CopyCheckpoint, file: str, key: str) -> None:
    folder = copy("smolvla")
    if file == "tokenizer":
        edit_json(folder / "tokenizer/tokenizer_config.json", lambda parsed: parsed.update({key: "middle"}))
    else:
        edit_step(folder / PRE, "tokenizer_processor", **{key: "middle"})
    with pytest.raises(CheckpointError, match=f"{key} must be right or left"):
        read_checkpoint(folder)


def test_the_random_checkpoints_have_golden_tokenizers(tmp_path: Path) -> None:
    text = read_checkpoint(write_checkpoint(tmp_path / "checkpoint", SmolVlaSizes(max_tokens=7))).text
    assert text is not None
    assert text.max_tokens == 7
    assert text.tokenizer_json == (golden_folder("smolvla") / "tokenizer/tokenizer.json").read_text()


@pytest.mark.parametrize(
    "model", [WordLevel({"a": 0, "b": 7}, "a"), Unigram([("a", 0.0), ("b", -1.0)]), BPE({"a": 3}, [])]
)
def test_the_size_read_from_the_file_is_that_of_the_vocabulary(model: Model) -> None:
    tokenizer = Tokenizer(model)
    tokenizer.add_tokens(["added"])

    ids = tokenizer.get_vocab(with_added_tokens=False).values()
    assert _model_tokens(json.loads(tokenizer.to_str())) == max(ids) + 1
