"""The demo policy's tokenizer: byte-level BPE, so that no text is unknown, with merges learnt from some instructions.

The merges are learnt here rather than by a trainer, whose order of ties is its own business: the same code gives the
same file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

__all__ = ["PAD", "PAD_ID", "build_tokenizer"]

PAD_ID: Final = 0
PAD: Final = "<pad>"
"""In the vocabulary but no special token: an instruction that spells it out is ordinary text."""

_INSTRUCTIONS: Final = """
pick up the red cup and place it on the blue plate
put the yellow banana into the white bowl next to the sink
open the top drawer of the wooden cabinet slowly
close the middle drawer and move back to the start
push the green block to the left of the black box
pull the handle of the door towards you gently
stack the small cube on top of the large cube
pour the water from the bottle into the glass
turn the knob on the stove to the right
fold the towel in half and put it in the basket
grasp the orange pen with the gripper and lift it
wipe the table with the sponge from left to right
insert the peg into the round hole
hand the screwdriver to the person behind the table
take the lid off the pot and set it down
sort the objects by color and shape
"""
_MERGES: Final = 255


def build_tokenizer() -> str:
    """The content of tokenizer.json; 512 tokens, none of which needs truncation or padding settings."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [word for line in _INSTRUCTIONS.splitlines() for word, _ in splitter.pre_tokenize_str(line)]
    merges = _learn_merges(words, _MERGES)
    pieces = [PAD, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in merges)]
    tokenizer = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer.to_str(pretty=True) + "\n"


def _learn_merges(words: Iterable[str], count: int) -> list[tuple[str, str]]:
    """Byte-pair encoding: merge the most frequent pair, ties by text, up to `count` times."""
    counts = Counter(words)
    spelled = {word: tuple(word) for word in counts}
    merges: list[tuple[str, str]] = []
    while len(merges) < count and (pairs := _pair_counts(spelled, counts)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        spelled = {word: _merge(pieces, best) for word, pieces in spelled.items()}
        merges.append(best)
    return merges


def _pair_counts(spelled: dict[str, tuple[str, ...]], counts: Counter[str]) -> Counter[tuple[str, str]]:
    pairs: Counter[tuple[str, str]] = Counter()
    for word, pieces in spelled.items():
        for pair in pairwise(pieces):
            pairs[pair] += counts[word]
    return pairs


def _merge(pieces: Sequence[str], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return tuple(merged)
