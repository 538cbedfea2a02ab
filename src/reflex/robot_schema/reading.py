"""What a schema is given as, JSON, YAML or a mapping, as one plain object that no two readers understand differently.

YAML is read by the rules of its version 1.2 (`no` is a word, `1e-3` a number, `010` ten), without aliases, merge keys
and tags: what is not spelt out where it stands is easily overlooked, and these are a robot's limits.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

import yaml

__all__ = ["MAX_BYTES", "read_fields"]

MAX_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 16
"""A schema is four deep."""
MAX_DIGITS: Final = 400
"""Of a whole number; no float is longer."""
HUMP: Final = re.compile(r"(?<=[a-z0-9])[A-Z]")
WHOLE: Final = re.compile(r"[-+]?[0-9]+")
DECIMAL: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def read_fields(given: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    """The fields by their names in snake_case, at every depth; `ValueError` says in half a sentence why there are none.

    Text that begins with `{` is JSON, any other YAML.
    """
    text = _written(given) if isinstance(given, Mapping) else _decoded(given)
    document = _read_json(text) if text.lstrip().startswith("{") else _read_yaml(text)
    if not isinstance(document, dict):
        raise ValueError("must be an object of fields and values")
    return document


def _written(fields: Mapping[str, Any]) -> str:
    parts = [f"{json.dumps(str(name))}: {_written_value(name, value)}" for name, value in fields.items()]
    return _bounded(f"{{{', '.join(parts)}}}")


def _written_value(name: str, value: object) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"{name}: holds what no JSON can say") from None


def _decoded(text: str | bytes) -> str:
    try:
        words = text if isinstance(text, str) else text.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("must be text in UTF-8") from None
    return _bounded(words.removeprefix("\ufeff"))


def _bounded(text: str) -> str:
    if len(text) > MAX_BYTES:
        raise ValueError(f"must have at most {MAX_BYTES // 1024} KiB")
    return text


def _read_json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=_whole)
    except json.JSONDecodeError as exc:
        raise ValueError(f"begins with {{ and is no JSON: {exc}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _read_yaml(text: str) -> object:
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506  # it is a SafeLoader
    except yaml.MarkedYAMLError as exc:
        where = f" in line {exc.problem_mark.line + 1}" if exc.problem_mark is not None else ""
        raise ValueError(f"is no YAML that is read here: {exc.problem}{where}") from None
    except yaml.YAMLError as exc:
        raise ValueError(f"is no YAML: {' '.join(str(exc).split())}") from None


def _object(pairs: Iterable[tuple[object, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise ValueError(f"{key}: the name of a field must be text")
        name = HUMP.sub(lambda hump: f"_{hump[0].lower()}", key)
        if name in fields:  # parsers keep the last one silently: which limits did the author mean?
            raise ValueError(f"{name}: is given twice")
        fields[name] = value
    return fields


def _whole(digits: str) -> int | float:
    """An infinity beyond what a float holds, which the field that has it refuses by its name."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


class _PlainLoader(yaml.SafeLoader):
    """Lists, objects, text, numbers, true, false and null, each as it stands."""

    yaml_implicit_resolvers: Any = {}  # noqa: RUF012  # as the base class has it, and without its rules of YAML 1.1
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            _refuse(event, f"the alias *{event.anchor} is not read, so write its value out,")
        if getattr(event, "tag", None) is not None:
            _refuse(event, "a tag (!) is not read")
        if self.depth >= MAX_DEPTH:
            _refuse(event, "nested too deeply")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _yaml_object(loader: _PlainLoader, node: yaml.MappingNode) -> dict[str, object]:
    names = [loader.construct_object(key, deep=True) for key, _ in node.value]
    if "<<" in names:
        _refuse(node, "a merge key (<<) is not read, so write its fields out,")
    values = [loader.construct_object(value, deep=True) for _, value in node.value]
    return _object(zip(names, values, strict=True))


def _refuse(where: yaml.Event | yaml.Node, problem: str) -> NoReturn:
    mark = where.start_mark
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark if isinstance(mark, yaml.Mark) else None)


def _add_rule(tag: str, pattern: str, first: str) -> None:
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), list(first))


_add_rule("null", "null|Null|NULL|~|", "nN~")
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"\Z"), [""])
_add_rule("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_add_rule("int", WHOLE.pattern, "-+0123456789")
_add_rule("float", DECIMAL.pattern, "-+.0123456789")
_PlainLoader.add_constructor("tag:yaml.org,2002:map", _yaml_object)
_PlainLoader.add_constructor("tag:yaml.org,2002:int", lambda _, node: _whole(node.value))
_PlainLoader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))
