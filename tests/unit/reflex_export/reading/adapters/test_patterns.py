from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex_export.errors import CheckpointError, UnsupportedOptionError
from reflex_export.reading.adapters.patterns import MAX_EXPRESSION_LENGTH, compile_pattern

NAMES = (
    "",
    "q_proj",
    "my_q_proj",
    "model.state_proj",
    "model.vlm_with_expert.lm_expert.layers.11.self_attn.v_proj",
    "model.vlm_with_expert.vlm.model.text_model.layers.1.self_attn.q_proj",
    "model.paligemma_with_expert.gemma_expert.model.layers.2.self_attn.q_proj",
)
LEROBOT = r"(model\.vlm_with_expert\.lm_expert\..*\.(q|v)_proj|model\.(state_proj|action_in_proj|action_out_proj))"
PI = r"(.*\.gemma_expert\..*\.self_attn\.(q|v)_proj|model\.(state_proj|action_in_proj))"
OF_TRAINERS = (
    LEROBOT,
    PI,
    r".*language_model.*\.(q_proj|k_proj)",
    r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:k_proj|q_proj).*?)|(?:model\.layers\.[\d]{1,}\.(?:q_proj))",
    r"^model\.state_proj",
    r"layers\.\d+\.self_attn\.[qv]_proj",
    r"layers\.1{2}\.self_attn\.v_proj$",
    r"(layers\.1)?\.?\w*",
    r"((a|v)_pr)+oj|.{1,3}",
    "v_proj",
)


@pytest.mark.parametrize("expression", OF_TRAINERS)
def test_what_trainers_write_means_what_it_means_to_peft(expression: str) -> None:
    pattern = compile_pattern(expression, "x")

    for name in NAMES:
        assert pattern.is_whole(name) == bool(re.fullmatch(expression, name)), name
        assert pattern.is_end(name) == bool(re.match(rf"(.*\.)?({expression})$", name)), name


PARTS = st.sampled_from(["a", r"\.", ".", "[ab]", r"\w", "(a|b.)", "(?:b|)", "^", "$"])
TIMES = st.sampled_from(["", "", "?", "*", "+", "*?", "{2}", "{1,}", "{0,2}"])


@given(st.lists(st.tuples(PARTS, TIMES), max_size=5), st.text("ab.", max_size=8))
def test_it_answers_as_python_does(parts: list[tuple[str, str]], name: str) -> None:
    expression = "".join(part + ("" if part in "^$" else times) for part, times in parts)

    assert compile_pattern(expression, "x").is_whole(name) == bool(re.fullmatch(expression, name))


@pytest.mark.parametrize("expression", [".*" * 2000 + "x", "(.*.*.*.*.*.*)x$", "(a|a|a|ab)*c" * 100, "(a?a?a?)*b"])
def test_no_expression_takes_for_ever(expression: str) -> None:
    assert not compile_pattern(expression, "x").is_whole("a" * 300)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("(?i)V_proj", "beyond"),
        ("(?x)v_proj # c", "beyond"),
        (r"(v)_proj\1", "beyond"),
        ("(?P<n>v)_proj", "beyond"),
        ("(?=v)v_proj", "beyond"),
        ("(.*.*)*x$", "a repetition of a repetition"),
        ("(a{65535}){65535}", "beyond"),
        ("a**", "beyond"),
        ("(" * 5000 + "a", "16 groups"),
        ("a" * (MAX_EXPRESSION_LENGTH + 1), "8,193 characters"),
        ("[a-", "beyond"),
        ("*a", "beyond"),
    ],
)
def test_what_goes_beyond_is_refused_by_name(expression: str, why: str) -> None:
    with pytest.raises(UnsupportedOptionError, match=f"rank_pattern has .*{why}"):
        compile_pattern(expression, "rank_pattern")


@pytest.mark.parametrize("expression", ["(", "a)", "(a|b", "[z-a]", ")", "x{3,1}"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(CheckpointError, match="is no regular expression"):
        compile_pattern(expression, "rank_pattern")
