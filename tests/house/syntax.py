"""What a rule asks of a file's syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from house.source import SourceFile

__all__ = [
    "environment_lines",
    "expects_an_error",
    "functions",
    "header_names_read",
    "imported",
    "is_between",
    "is_constant",
    "is_upper_bound_of_time",
    "lines_of",
    "texts",
]

READ_BY: Final = ("environ", "getenv", "environb")


def imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    return {name.partition(".")[0] for name in names}


def is_constant(node: ast.expr, *, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def is_between(node: ast.expr, above: float, below: float) -> bool:
    """A number that is written out."""
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and above < node.value < below


def expects_an_error(block: ast.With) -> bool:
    """`with pytest.raises(...)`, beside whatever else it opens."""
    return any(".raises(" in ast.unparse(item.context_expr) for item in block.items)


def is_upper_bound_of_time(compared: ast.Compare) -> bool:
    """`took_s < 5`, `time.monotonic() - started <= 5`."""
    terms = [compared.left, *compared.comparators]
    return any(
        isinstance(operator, ast.Lt | ast.LtE) and _is_time_taken(left)
        for left, operator in zip(terms[:-1], compared.ops, strict=True)
    )


def functions(file: SourceFile) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return file.of_kind(ast.FunctionDef, ast.AsyncFunctionDef)


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def texts(file: SourceFile) -> Iterator[tuple[int, str]]:
    """Line and text of every literal that a program uses, parts of f-strings too; docstrings are for its readers."""
    docstrings = {id(node.value) for node in file.of_kind(ast.Expr)}
    for node in file.of_kind(ast.Constant):
        if isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def environment_lines(file: SourceFile) -> Iterator[int]:
    for read in file.of_kind(ast.Attribute):
        if read.attr in READ_BY and ast.unparse(read) == f"os.{read.attr}":
            yield read.lineno
    for node in file.of_kind(ast.ImportFrom):
        if node.module == "os":
            yield from (node.lineno for alias in node.names if alias.name in READ_BY)


def header_names_read(node: ast.AST) -> Iterator[str]:
    """Literals that are looked up in a mapping of bytes, compared with a header's name, or looked up in `headers`."""
    literals: list[ast.expr] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "getlist"):
        in_headers = ast.unparse(node.func.value).endswith("headers")
        literals = [arg for arg in node.args[:1] if in_headers or _is_bytes(arg)]
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Name) and side.id in ("name", "header", "headers") for side in sides):
            literals = [side for side in sides if _is_bytes(side)]
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        literals = [node.slice] if _is_bytes(node.slice) else []
    yield from (ast.unparse(literal) for literal in literals if isinstance(literal, ast.Constant))


def _is_time_taken(term: ast.expr) -> bool:
    if isinstance(term, ast.BinOp) and isinstance(term.op, ast.Sub):
        return any(f"time.{clock}()" in ast.unparse(term.left) for clock in ("monotonic", "perf_counter"))
    return ast.unparse(term).endswith(("took_s", "elapsed_s"))


def _is_bytes(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bytes)
