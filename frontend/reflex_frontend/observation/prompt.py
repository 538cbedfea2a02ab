"""Instruction text to the two fixed-length token tensors that the encoder takes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from reflex.errors import RepositoryError
from reflex.policy_config import PromptConfig
from reflex.prompts import prompt_text

__all__ = ["Prompt", "PromptEncoder"]

CACHED_PROMPTS: Final = 1_024
"""A robot sends the same instruction for a whole episode."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Raw tensor bytes: `tokens` int64 [max_tokens], `token_mask` bool [max_tokens]."""

    tokens: bytes
    token_mask: bytes


@dataclass
class PromptEncoder:
    """Fills the template, tokenises, truncates and pads as the policy was trained; keeps the last prompts."""

    config: PromptConfig
    tokenizer: Tokenizer
    digest: bytes = b""
    """SHA-256 of the tokenizer's file."""
    _cache: OrderedDict[str, Prompt] = field(default_factory=OrderedDict)

    @classmethod
    def load(cls, config: PromptConfig, policy_dir: Path, known: Iterable[PromptEncoder] = ()) -> PromptEncoder:
        """Read the policy's tokenizer, or take over that of a known encoder when it is the same one."""
        path = policy_dir / config.tokenizer_file
        try:
            content = path.read_bytes()
            digest = hashlib.sha256(content).digest()
            for other in known:
                if other.digest == digest and _truncation(other.config) == _truncation(config):
                    return cls(config, other.tokenizer, digest)
            tokenizer = Tokenizer.from_buffer(content)
        except Exception as exc:
            raise RepositoryError(f"{path} is no tokenizer file: {exc}; export the policy again") from exc
        tokenizer.no_padding()
        tokenizer.enable_truncation(config.max_tokens, direction=config.truncation_side)
        return cls(config, tokenizer, digest)

    def encode(self, instruction: str, state: Sequence[float]) -> Prompt:
        """The tokens of this instruction, and of this state where the policy reads it as text."""
        text = prompt_text(self.config, instruction, state)
        cached = self._cache.get(text)
        if cached is not None:
            self._cache.move_to_end(text)
            return cached
        prompt = self._tokenise(text)
        self._cache[text] = prompt
        if len(self._cache) > CACHED_PROMPTS:
            self._cache.popitem(last=False)
        return prompt

    def _tokenise(self, text: str) -> Prompt:
        ids = self.tokenizer.encode(text).ids
        length = self.config.max_tokens
        tokens = np.full(length, self.config.pad_id, np.int64)
        mask = np.zeros(length, np.bool_)
        where = slice(0, len(ids)) if self.config.padding_side == "right" else slice(length - len(ids), length)
        tokens[where] = ids
        mask[where] = True
        return Prompt(tokens.tobytes(), mask.tobytes())


def _truncation(config: PromptConfig) -> tuple[int, str]:
    """What of a configuration is set in the tokenizer itself."""
    return config.max_tokens, config.truncation_side
