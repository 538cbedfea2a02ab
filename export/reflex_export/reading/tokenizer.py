"""A checkpoint's tokenizer: found, read with its settings, and checked against the embedding that its ids index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tokenizers import Tokenizer

from reflex_export.checkpoint import Text
from reflex_export.configs.family import LONGEST_PROMPT
from reflex_export.errors import CheckpointError, SourceError, TokenizerError
from reflex_export.reading.files import MAX_TOKENIZER_BYTES, is_file, parse_object, read_object, read_text
from reflex_export.reading.processors import Tokenization
from reflex_export.reading.source import Hub, is_hub_id

__all__ = ["TOKENIZER_FILE", "TOKENIZER_FILES", "Vocabulary", "find_tokenizer", "read_text_settings"]

TOKENIZER_FILE: Final = "tokenizer.json"
TOKENIZER_FILES: Final = (TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json")
UNUSED_ROWS: Final = 1_024
"""Embeddings are padded to a multiple of 64 to 1,024 rows; more rows without a token mean another tokenizer."""
_GIVE_THE_RIGHT_ONE: Final = "give the right one as --tokenizer"

Side = Literal["right", "left"]


@dataclass(frozen=True)
class Vocabulary:
    """What the model says about its tokens."""

    rows: int
    """Of the embedding."""
    known_ids: Mapping[str, int]
    """Tokens whose id the model's config fixes."""
    starts_with_bos: bool
    """Whether every prompt begins with the tokenizer's bos_token."""


def find_tokenizer(folder: Path, name: str | None, *, given: Path | None, beside: Sequence[Path], hub: Hub) -> Path:
    """The folder with tokenizer.json: the one given, else in the checkpoint, else in `beside`, else from the hub."""
    if given is not None:
        return _given(given)
    for candidate in (*_inside(folder, name), *beside):
        if is_file(candidate / TOKENIZER_FILE):
            return candidate
    if name is None or not is_hub_id(name):
        raise TokenizerError(
            f"{folder} has no tokenizer/{TOKENIZER_FILE}, and its tokenizer_name {name!r:.200} is no hub id: "
            f"give the folder of the tokenizer that the policy was trained with as --tokenizer"
        )
    return _from_hub(name, hub)


def read_text_settings(folder: Path, tokenization: Tokenization, vocabulary: Vocabulary) -> Text:
    """The tokenizer in `folder` as the policy uses it; `TokenizerError` when it cannot be the policy's."""
    content = read_text(folder / TOKENIZER_FILE, limit=MAX_TOKENIZER_BYTES)
    settings = _settings(folder)
    tokenizer = _parse(content, folder)
    parsed = parse_object(content, str(folder / TOKENIZER_FILE))
    _check_size(_model_tokens(parsed), tokenizer, vocabulary, folder)
    _check_tokens(tokenizer, vocabulary, settings, folder)
    if not 1 <= tokenization.max_tokens <= LONGEST_PROMPT:
        given = f"{tokenization.max_tokens:,}"[:60]
        raise CheckpointError(f"the tokenizer step's max_length must be 1 to {LONGEST_PROMPT:,}, but is {given}")
    return Text(
        tokenizer_json=_without_tokens_past(content, parsed, vocabulary.rows),
        max_tokens=tokenization.max_tokens,
        padding_side=_side(tokenization.padding_side, "padding_side"),
        truncation_side=_side(settings.get("truncation_side") or "right", "truncation_side"),
        pad_id=_pad_id(tokenizer, settings, vocabulary, folder),
    )


def _given(path: Path) -> Path:
    folder = path if path.is_dir() else path.parent
    if not (folder / TOKENIZER_FILE).is_file():
        raise TokenizerError(f"--tokenizer {path} has no {TOKENIZER_FILE}; give the folder that holds it")
    return folder


def _inside(folder: Path, name: str | None) -> Iterator[Path]:
    """`tokenizer/` is what lerobot writes today; a name such as ./vlm is a folder of the checkpoint too."""
    yield folder / "tokenizer"
    if name is not None and not Path(name).is_absolute() and ".." not in Path(name).parts:
        yield folder / name
    yield folder


def _from_hub(name: str, hub: Hub) -> Path:
    try:
        fetched = hub.fetch(name, None, TOKENIZER_FILES)
    except SourceError as exc:
        raise TokenizerError(f"the policy's tokenizer is that of {name}: {exc}, as --tokenizer") from exc
    if not (fetched / TOKENIZER_FILE).is_file():
        raise TokenizerError(f"{name} has no {TOKENIZER_FILE}; give a folder with one as --tokenizer")
    return fetched


def _settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json over special_tokens_map.json; either may be absent."""
    paths = [folder / name for name in reversed(TOKENIZER_FILES[1:])]
    return {key: value for path in paths if path.is_file() for key, value in read_object(path).items()}


def _parse(content: str, folder: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(content)
    except Exception as exc:  # the Rust library raises bare Exception for every damage
        raise TokenizerError(f"{folder / TOKENIZER_FILE} is no tokenizer ({exc}); fetch it again") from exc


def _model_tokens(parsed: Mapping[str, Any]) -> int:
    """One past the largest id without added tokens. `Tokenizer.get_vocab` would copy all of them to tell."""
    pieces = parsed["model"]["vocab"]
    return max(pieces.values(), default=-1) + 1 if isinstance(pieces, dict) else len(pieces)


def _check_size(model_tokens: int, tokenizer: Tokenizer, vocabulary: Vocabulary, folder: Path) -> None:
    what = _wrong_one(folder)
    if model_tokens > vocabulary.rows:
        raise TokenizerError(
            f"{what}: it has {model_tokens:,} tokens, the embedding {vocabulary.rows:,} rows; {_GIVE_THE_RIGHT_ONE}"
        )
    whole = max(model_tokens, max(tokenizer.get_added_tokens_decoder(), default=-1) + 1)
    if vocabulary.rows - whole > max(UNUSED_ROWS, vocabulary.rows // 10):
        raise TokenizerError(
            f"{what}: it has only {whole:,} tokens for {vocabulary.rows:,} rows; {_GIVE_THE_RIGHT_ONE}"
        )


def _check_tokens(tokenizer: Tokenizer, vocabulary: Vocabulary, settings: Mapping[str, Any], folder: Path) -> None:
    what, remedy = _wrong_one(folder), _GIVE_THE_RIGHT_ONE
    for token, known in vocabulary.known_ids.items():
        if tokenizer.token_to_id(token) != known:
            found = tokenizer.token_to_id(token)
            raise TokenizerError(f"{what}: {token} has the id {found}, the model's config says {known}; {remedy}")
    if vocabulary.starts_with_bos and tokenizer.encode("a").ids[:1] != [_id_of(tokenizer, settings, "bos_token")]:
        raise TokenizerError(f"{what}: it puts no bos_token before a prompt; {remedy}")


def _wrong_one(folder: Path) -> str:
    return f"{folder / TOKENIZER_FILE} is not the tokenizer that the policy was trained with"


def _pad_id(tokenizer: Tokenizer, settings: Mapping[str, Any], vocabulary: Vocabulary, folder: Path) -> int:
    found = _id_of(tokenizer, settings, "pad_token")
    if found is None:
        raise TokenizerError(
            f"{folder} names no pad_token of its vocabulary in tokenizer_config.json or special_tokens_map.json; "
            "fetch those files too"
        )
    if found >= vocabulary.rows:
        raise TokenizerError(
            f"{_wrong_one(folder)}: its pad_token has the id {found:,}, the embedding {vocabulary.rows:,} rows; "
            f"{_GIVE_THE_RIGHT_ONE}"
        )
    return found


def _id_of(tokenizer: Tokenizer, settings: Mapping[str, Any], role: str) -> int | None:
    token = settings.get(role)
    if isinstance(token, dict):
        token = token.get("content")
    return tokenizer.token_to_id(token) if isinstance(token, str) else None


def _side(value: object, name: str) -> Side:
    if value not in ("right", "left"):
        raise CheckpointError(f"the tokenizer's {name} must be right or left, but is {value!r:.60}")
    return value


def _without_tokens_past(content: str, parsed: Mapping[str, Any], rows: int) -> str:
    """The same tokenizer without added tokens that the embedding has no row for.

    PaliGemma's `<image>` is one: an instruction that spells it out would index past the embedding. Without it, the
    text is tokenised like any other.
    """
    added = parsed.get("added_tokens") or []
    kept = [token for token in added if token["id"] < rows]
    return content if len(kept) == len(added) else json.dumps({**parsed, "added_tokens": kept}, ensure_ascii=False)
