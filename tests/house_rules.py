"""The rules of this house that no linter knows; `make check` runs this file, and tests plant a violation of each.

A rule is a small function: it takes one file, or the whole tree of them, and yields what is wrong. Every file counts
that git tracks, or would track once added. Exit code 1 and one line per violation when there is one.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

__all__ = ["ENVIRONMENT_READERS", "RULES", "TREE_RULES", "SourceFile", "check", "check_tree", "files_of"]

MAX_MODULE_LINES: Final = 360
MAX_FUNCTION_LINES: Final = 60
MAX_MEDIAN_FUNCTION_LINES: Final = 7
MAX_MODULES_IN_A_FOLDER: Final = 20

PRODUCT: Final = ("src/", "frontend/", "export/", "analysis/")
"""Where the code lies that users run."""
MAY_PRINT: Final = ("src/reflex/cli/",)
SERVER: Final = "frontend/reflex_frontend/"
EMBEDDED: Final = f"{SERVER}embedded/"
SLEEPS: Final = frozenset({"time.sleep", "asyncio.sleep"})
ENVIRONMENT_READERS: Final[Mapping[str, str]] = {
    f"{EMBEDDED}__main__.py": "becomes tritonserver in its container, and hands the environment on",
    "export/reflex_export/__init__.py": "keeps ONNX Runtime from reporting its use, which only a variable does",
    "src/reflex/admin.py": "XDG_RUNTIME_DIR, where a user's running programs leave word for each other",
    "analysis/reflex_analysis/child_server.py": "hands the environment on to a server, without this one's settings",
    f"{EMBEDDED}server.py": "Triton inherits the environment, which also says where the cache lies",
    f"{EMBEDDED}launch.py": "becomes tritonserver and hands the environment on",
    f"{EMBEDDED}backends/onnxruntime/model.py": "runs in Triton's stub; we speak to it through the environment",
}
"""Which file reads the environment past the settings, and why. An entry without use is a violation itself."""

UNPICKLERS: Final = frozenset({"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"})
# The [b]rackets around one letter change no pattern, but keep it from matching itself here.
DEVELOPER_PATH: Final = re.compile(rb"(?<![\w.$}-])/(?:[r]oot|[w]ork|[h]ome/(?!u/|user/)[a-z][\w-]*)/")
REGISTRY: Final = re.compile(
    rb"[p]ypi\.|[p]ythonhosted\.|registry\.[n]pmjs\.|[a]naconda\.org|[c]rates\.io|proxy\.[g]olang\."
    rb"|--(?:extra-)?[i]ndex-url|--[f]ind-links|--[t]rusted-host"
)
UNFINISHED: Final = re.compile(r"\b(?:[T]ODO|[F]IXME|[X]XX)\b")
URL: Final = re.compile(r"\bhttps?://[^\s\"'`<>)\]}]+")
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
DOCUMENT_HOSTS: Final = frozenset({"numpy.org", "www.rfc-editor.org", "docs.nvidia.com", "github.com"})
"""Hosts that a comment may point to. Code connects to none of them."""


@dataclass(frozen=True)
class SourceFile:
    """One file; `path` is relative to the repository, with slashes."""

    path: str
    content: bytes

    @cached_property
    def text(self) -> str | None:
        """None for a binary file."""
        try:
            return None if b"\0" in self.content else self.content.decode()
        except UnicodeDecodeError:
            return None

    @cached_property
    def tree(self) -> ast.Module | None:
        """None for what is not Python."""
        return ast.parse(self.text) if self.path.endswith(".py") and self.text is not None else None

    @property
    def is_product(self) -> bool:
        return self.tree is not None and self.path.startswith(PRODUCT)

    @property
    def nodes(self) -> Iterator[ast.AST]:
        return iter(()) if self.tree is None else ast.walk(self.tree)

    def line_at(self, offset: int) -> int:
        return self.content.count(b"\n", 0, offset) + 1


Violation = tuple[int, str]
"""Line, and what is wrong in words."""
Rule = Callable[[SourceFile], Iterator[Violation]]
TreeRule = Callable[[Sequence[SourceFile]], Iterator[str]]


def no_developer_path(file: SourceFile) -> Iterator[Violation]:
    """A path of somebody's own machine works nowhere else, and tells about that machine. Models are searched, too."""
    for found in DEVELOPER_PATH.finditer(file.content):
        yield file.line_at(found.start()), f"path of one machine: {found.group().decode()}"


def no_package_registry(file: SourceFile) -> Iterator[Violation]:
    """Where packages come from is the business of whoever installs them."""
    for found in REGISTRY.finditer(file.content):
        yield file.line_at(found.start()), f"names a package registry: {found.group().decode()}"


def nothing_is_unpickled(file: SourceFile) -> Iterator[Violation]:
    """A pickle runs code when it is read."""
    for node in file.nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in _imported(node) & UNPICKLERS:
                yield node.lineno, f"imports {name}, whose data is code"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load":
            yield node.lineno, "torch.load unpickles; use safetensors"
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is_constant(node.value, value=False):
            yield node.lineno, "allow_pickle must be False"


def no_bare_except(file: SourceFile) -> Iterator[Violation]:
    """It swallows Ctrl-C and cancellation."""
    for node in file.nodes:
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "a bare except; name what is expected"


def library_does_not_print(file: SourceFile) -> Iterator[Violation]:
    """A library logs; stdout belongs to the command line's results."""
    if not file.is_product or file.path.startswith(MAY_PRINT):
        return
    for node in file.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "print in library code; log it, or return it"


def environment_is_read_in_settings(file: SourceFile) -> Iterator[Violation]:
    """One place knows what a process can be told."""
    if file.is_product and file.path not in ENVIRONMENT_READERS:
        for line in _environment_lines(file):
            yield line, "reads the environment; make it a setting"


def module_is_short(file: SourceFile) -> Iterator[Violation]:
    """One reads a module from top to bottom, a test's as well."""
    lines = file.content.count(b"\n")
    if file.tree is not None and lines > MAX_MODULE_LINES:
        yield 1, f"{lines} lines; at most {MAX_MODULE_LINES}"


def function_is_short(file: SourceFile) -> Iterator[Violation]:
    """A long function is a list of ideas without names."""
    if not file.is_product:
        return
    for node in _functions(file):
        if _lines(node) > MAX_FUNCTION_LINES:
            yield node.lineno, f"{node.name} has {_lines(node)} lines; at most {MAX_FUNCTION_LINES}"


def nothing_is_left_unfinished(file: SourceFile) -> Iterator[Violation]:
    """What is still to be done belongs in an issue, where somebody looks."""
    for number, line in enumerate((file.text or "").splitlines(), 1):
        found = UNFINISHED.search(line)
        if found is not None:
            yield number, f"{found.group()} left in"


def text_ends_in_newline(file: SourceFile) -> Iterator[Violation]:
    """Else the next line that is added changes two."""
    if file.text and not file.text.endswith("\n"):
        yield file.line_at(len(file.content)), "no newline at the end"


def code_calls_nobody(file: SourceFile) -> Iterator[Violation]:
    """No telemetry: a URL in code is this machine, or a document that a comment points to."""
    if not file.is_product or file.text is None:
        return
    for number, line in enumerate(file.text.splitlines(), 1):
        for found in URL.finditer(line):
            host = _host(found.group())
            if host is not None and host not in LOOPBACK | DOCUMENT_HOSTS:
                yield number, f"a URL to {host}; Reflex connects to nobody on its own account"


def headers_are_named_in_the_contract(file: SourceFile) -> Iterator[Violation]:
    """What the server reads of a request's headers is listed in reflex.wire, where pages and documents learn of it."""
    if not file.path.startswith(SERVER) or file.path.startswith(EMBEDDED):
        return
    for node in file.nodes:
        for name in _header_names_read(node):
            yield getattr(node, "lineno", 1), f"reads the header {name!r} by a name of its own; name it in reflex.wire"


def tests_wait_for_conditions(file: SourceFile) -> Iterator[Violation]:
    """A sleep is a guess of how long another takes, which a busy machine proves wrong. On virtual time it is exact."""
    if not _is_test(file) or "run_virtual" in (file.text or ""):
        return
    for node in file.nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SLEEPS and not _is_constant(node.args[0], value=0):
            yield node.lineno, "sleeps; wait for a condition (support.waiting)"


def tests_measure_only_promises(file: SourceFile) -> Iterator[Violation]:
    """What a busy machine makes red says nothing; `make promises` measures where nobody else is."""
    if not _is_test(file):
        return
    for node in file.nodes:
        if isinstance(node, ast.Assert):
            for compared in ast.walk(node.test):
                if isinstance(compared, ast.Compare) and _is_upper_bound_of_time(compared):
                    yield compared.lineno, "asserts how long something took; say it with `promise` (support.promise)"


RULES: Final[tuple[Rule, ...]] = (
    no_developer_path,
    no_package_registry,
    nothing_is_unpickled,
    no_bare_except,
    library_does_not_print,
    environment_is_read_in_settings,
    module_is_short,
    function_is_short,
    nothing_is_left_unfinished,
    text_ends_in_newline,
    code_calls_nobody,
    headers_are_named_in_the_contract,
    tests_wait_for_conditions,
    tests_measure_only_promises,
)


def no_stale_exceptions(files: Sequence[SourceFile]) -> Iterator[str]:
    """An entry of ENVIRONMENT_READERS that reads no environment, or is no longer there, excuses whatever comes next."""
    readers = {file.path for file in files if any(_environment_lines(file))}
    for path in sorted(ENVIRONMENT_READERS.keys() - readers):
        yield f"{path}:1: reads no environment; take its exception away"


def folders_are_short(files: Sequence[SourceFile]) -> Iterator[str]:
    """One sees at a glance what a folder holds; beyond that it has parts, which want folders and names."""
    modules = Counter(file.path.rpartition("/")[0] for file in files if file.tree is not None)
    for folder, number in sorted(modules.items()):
        if number > MAX_MODULES_IN_A_FOLDER:
            yield f"{folder}:1: {number} modules in one folder; at most {MAX_MODULES_IN_A_FOLDER}"


def most_functions_are_short(files: Sequence[SourceFile]) -> Iterator[str]:
    """A limit alone lets every function grow up to it."""
    lines = [_lines(node) for file in files if file.is_product for node in _functions(file)]
    median = statistics.median(lines) if lines else 0
    if median > MAX_MEDIAN_FUNCTION_LINES:
        yield f".:1: the median function of the product has {median:g} lines; at most {MAX_MEDIAN_FUNCTION_LINES}"


TREE_RULES: Final[tuple[TreeRule, ...]] = (no_stale_exceptions, folders_are_short, most_functions_are_short)


def check(file: SourceFile) -> list[str]:
    """Every violation in one file, as `path:line: what`."""
    return [f"{file.path}:{line}: {what}" for rule in RULES for line, what in rule(file)]


def check_tree(files: Sequence[SourceFile]) -> list[str]:
    """What is wrong with no file alone, in the same form."""
    return [line for rule in TREE_RULES for line in rule(files)]


def files_of(repository: Path) -> list[SourceFile]:
    """What git tracks or would track; not what is deleted, a link, or ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository, check=True, capture_output=True,
    )  # fmt: skip
    names = sorted({name for name in listing.stdout.decode().split("\0") if name})
    paths = [(name, repository / name) for name in names]
    return [SourceFile(name, path.read_bytes()) for name, path in paths if path.is_file() and not path.is_symlink()]


def main() -> int:
    files = files_of(Path(__file__).parent.parent)
    violations = [line for file in files for line in check(file)] + check_tree(files)
    for line in violations:
        print(line)
    print(f"house rules: {len(files)} files, {len(violations)} violations", file=sys.stderr)
    return 1 if violations else 0


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    return {name.partition(".")[0] for name in names}


def _is_constant(node: ast.expr, *, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_test(file: SourceFile) -> bool:
    return file.path.startswith("tests/") and not file.path.startswith("tests/support/")


def _is_upper_bound_of_time(compared: ast.Compare) -> bool:
    """`took_s < 5`, `time.monotonic() - started <= 5`."""
    terms = [compared.left, *compared.comparators]
    return any(
        isinstance(operator, ast.Lt | ast.LtE) and _is_time_taken(left)
        for left, operator in zip(terms[:-1], compared.ops, strict=True)
    )


def _is_time_taken(term: ast.expr) -> bool:
    if isinstance(term, ast.BinOp) and isinstance(term.op, ast.Sub):
        return any(f"time.{clock}()" in ast.unparse(term.left) for clock in ("monotonic", "perf_counter"))
    return ast.unparse(term).endswith(("took_s", "elapsed_s"))


def _functions(file: SourceFile) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in file.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _environment_lines(file: SourceFile) -> Iterator[int]:
    for node in file.nodes:
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.environb"):
            yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for alias in node.names if alias.name in ("environ", "getenv", "environb"))


def _header_names_read(node: ast.AST) -> Iterator[str]:
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


def _is_bytes(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bytes)


def _host(url: str) -> str | None:
    """None for a host that is a placeholder: the user names it."""
    address = url.partition("://")[2].lstrip("[")
    if address.startswith("{"):
        return None
    return "::1" if address.startswith("::1") else re.split(r"[:/?#\]]", address, maxsplit=1)[0]


if __name__ == "__main__":
    sys.exit(main())
