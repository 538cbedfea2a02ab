from __future__ import annotations

import pytest

from reflex_export.errors import UnsupportedOptionError
from reflex_export.reading.adapters.names import has_adapter_tensors, sort_names


def test_an_adapters_file_and_a_policy_that_wears_it_mean_the_same() -> None:
    file = sort_names(["base_model.model.model.q.lora_A.weight", "base_model.model.model.head.weight"], "file")
    worn = sort_names(
        [
            *("base_model.model.model.q.lora_A.default.weight", "base_model.model.model.q.base_layer.weight"),
            *("model.head.modules_to_save.default.weight", "model.head.original_module.weight"),
        ],
        "file",
    )

    assert file.modules.keys() == worn.modules.keys() == {"model.q"}
    assert file.modules["model.q"].keys() == worn.modules["model.q"].keys() == {"lora_A"}
    assert set(file.whole) == {"model.head.weight"}
    assert worn.whole == {
        "model.head.weight": "model.head.modules_to_save.default.weight",
        "model.q.weight": "base_model.model.model.q.base_layer.weight",
    }


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("q.lora_B.weight", "lora_B"),
        ("q.lora_B.bias", "lora_B.bias"),
        ("q.lora_B.default.bias", "lora_B.bias"),
        ("q.lora_embedding_A", "lora_embedding_A"),
        ("q.lora_embedding_B.default", "lora_embedding_B"),
        ("q.lora_magnitude_vector", "lora_magnitude_vector"),
        ("q.lora_magnitude_vector.default.weight", "lora_magnitude_vector"),
    ],
)
def test_every_part_of_an_adapter_is_known(name: str, part: str) -> None:
    assert sort_names([name], "file").modules == {"q": {part: name}}


@pytest.mark.parametrize(
    "name",
    [
        "q.lora_A.bias",
        "q.lora_diag.default.weight",
        "q.token_adapter.trainable_tokens_delta",
        "q.lora_A.default.inner.weight",
        "q.parametrizations.weight.original0",
    ],
)
def test_a_part_of_another_method_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedOptionError, match=name):
        sort_names([name], "file")


def test_two_adapters_at_once_are_refused() -> None:
    with pytest.raises(UnsupportedOptionError, match=r"the adapters first, second"):
        sort_names(["q.lora_A.first.weight", "q.lora_A.second.weight"], "file")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("q.lora_A.weight", "q.lora_A.default.weight"),
        ("q.weight", "base_model.model.q.weight"),
        ("q.modules_to_save.weight", "q.modules_to_save.default.weight"),
    ],
)
def test_one_tensor_under_two_names_is_refused(first: str, second: str) -> None:
    with pytest.raises(UnsupportedOptionError, match=f"has one tensor twice, as .*({first}|{second})"):
        sort_names([first, second], "file")


def test_plain_weights_wear_no_adapter() -> None:
    assert not has_adapter_tensors(["model.q_proj.weight", "model.q_proj.bias", "lora_A"])
    assert has_adapter_tensors(["model.q_proj.weight", "model.q_proj.base_layer.weight"])
    assert has_adapter_tensors(["model.q_proj.lora_A.default.weight"])
