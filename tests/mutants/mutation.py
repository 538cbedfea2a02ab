"""The small faults that are planted into a module: one expression or statement of its text replaced by another.

    a < b      a <= b              x + y    x - y             min(a, b)    max(a, b)
    a == b     a != b              x += y   x -= y            any(a)       all(a)
    a and b    a or b              3        4, and 2          not a        a
    if a       if not a            return a return None       stop()       pass
    raise E    pass                self.x = a   pass          (True and False where the function returns bool)

Texts, annotations, decorators and `__all__` are left alone: what a fault there changes is no behaviour.
"""

from __future__ import annotations

import ast
import copy
import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Identity", "Mutant", "chosen", "mutants_of"]

Identity = tuple[str, str, str, str]
"""Path, function, and the lines before and after."""

COMPARISONS: Final[dict[type[ast.cmpop], ast.cmpop]] = {
    ast.Lt: ast.LtE(), ast.LtE: ast.Lt(), ast.Gt: ast.GtE(), ast.GtE: ast.Gt(), ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(), ast.Is: ast.IsNot(), ast.IsNot: ast.Is(), ast.In: ast.NotIn(), ast.NotIn: ast.In(),
}  # fmt: skip
ARITHMETIC: Final[dict[type[ast.operator], ast.operator]] = {
    ast.Add: ast.Sub(), ast.Sub: ast.Add(), ast.Mult: ast.Div(), ast.Div: ast.Mult(), ast.Mod: ast.Mult(),
    ast.BitAnd: ast.BitOr(), ast.BitOr: ast.BitAnd(),
}  # fmt: skip
NAMES: Final = {
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any",
    "floor": "ceil", "ceil": "floor",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: `source` is the whole module with it; `before` and `after` are the changed lines, stripped."""

    path: str
    line: int
    function: str
    """The innermost function or class round it; empty at the module's own level."""
    before: str
    after: str
    source: str

    @property
    def identity(self) -> Identity:
        """The same as long as these lines are: not moved by edits elsewhere."""
        return self.path, self.function, self.before, self.after

    def diff(self, original: str) -> str:
        """The fault as a unified diff, without its heading."""
        lines = difflib.unified_diff(original.splitlines(), self.source.splitlines(), n=1, lineterm="")
        return "\n".join(list(lines)[2:])


@dataclass(frozen=True, slots=True)
class _Fault:
    """`text` instead of what stands at `spot`."""

    function: str
    spot: ast.expr | ast.stmt
    text: str


def chosen(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """`count` of them, or all for 0, by line. Every mutant draws for itself, so an edit elsewhere moves few."""
    drawn = sorted(mutants, key=lambda one: hashlib.sha256(f"{seed} {one.identity}".encode()).digest())
    return sorted(drawn[: count or None], key=lambda one: one.line)


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Every fault for this module, each once, in the order of its text."""
    found: dict[str, Mutant] = {}
    for fault in _faults(ast.parse(source)):
        if fault.text != ast.unparse(fault.spot):
            mutant = _spliced(path, source, fault)
            found.setdefault(mutant.source, mutant)
    return sorted(found.values(), key=lambda one: one.line)


def _spliced(path: str, source: str, fault: _Fault) -> Mutant:
    """The rest of the text stays byte for byte, so a survivor is shown in the lines that one knows."""
    spot, lines = fault.spot, source.encode().splitlines(keepends=True)
    first, last = spot.lineno - 1, (spot.end_lineno or spot.lineno) - 1
    before = b"".join(lines[first : last + 1])
    changed = lines[first][: spot.col_offset] + fault.text.encode() + lines[last][spot.end_col_offset :]
    text = b"".join((*lines[:first], changed, *lines[last + 1 :])).decode()
    return Mutant(path, spot.lineno, fault.function, _one_line(before), _one_line(changed), text)


def _one_line(lines: bytes) -> str:
    return " ".join(lines.decode().split())


def _faults(node: ast.AST, function: str = "", returns: str = "") -> Iterator[_Fault]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = node.name
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        returns = "" if node.returns is None else ast.unparse(node.returns)
    if isinstance(node, ast.stmt):
        yield from (_Fault(function, node, text) for text in _of_statement(node, returns))
    elif isinstance(node, ast.expr):
        yield from (_Fault(function, node, text) for text in _of_expression(node))
    for condition in _conditions(node):
        yield _Fault(function, condition, f"not ({ast.unparse(condition)})")
    for child in _children(node):
        yield from _faults(child, function, returns)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What of a node may be changed; positions inside an f-string are not known to every Python."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"):
        return
    left_alone = {"bases", "keywords"} if isinstance(node, ast.ClassDef) else {"annotation", "returns"}
    for name, value in ast.iter_fields(node):
        if name not in left_alone and name != "decorator_list":
            yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST))


def _conditions(node: ast.AST) -> Iterator[ast.expr]:
    """A comparison and a `not` have a fault of their own that says the same."""
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
        yield node.test


def _of_statement(node: ast.stmt, returns: str) -> Iterator[str]:
    if _may_go(node):
        yield "pass"
    if isinstance(node, ast.AugAssign):
        yield from _with_other_operator(node)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield from (f"return {value}" for value in (("True", "False") if returns == "bool" else ("None",)))


def _may_go(node: ast.stmt) -> bool:
    """Without a plain assignment the module only stops at the name that it makes."""
    match node:
        case ast.Expr(value=value):
            return not isinstance(value, ast.Constant | ast.Yield)
        case ast.Assign(targets=targets):
            return not any(isinstance(target, ast.Name) for target in targets)
        case _:
            return isinstance(node, ast.AugAssign | ast.Raise | ast.Delete)


def _of_expression(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=bool()):
            return
        case ast.Constant(value=int() | float() as number):
            yield from (repr(number + 1), repr(number - 1))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.BoolOp(op=op, values=values):
            yield ast.unparse(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
        case ast.BinOp():
            yield from _with_other_operator(node)
        case ast.Compare(left=left, ops=ops, comparators=others):
            for index, one in enumerate(ops):
                changed = [*ops[:index], COMPARISONS[type(one)], *ops[index + 1 :]]
                yield ast.unparse(ast.Compare(left, changed, others))
        case ast.Call(func=ast.Name(id=name)) if name in NAMES:
            yield ast.unparse(ast.Call(ast.Name(NAMES[name]), node.args, node.keywords))
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in NAMES:
            yield ast.unparse(ast.Call(ast.Attribute(value, NAMES[name]), node.args, node.keywords))


def _with_other_operator(node: ast.BinOp | ast.AugAssign) -> Iterator[str]:
    if type(node.op) in ARITHMETIC:
        other = copy.copy(node)
        other.op = ARITHMETIC[type(node.op)]
        yield ast.unparse(other)
