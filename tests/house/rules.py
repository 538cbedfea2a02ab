"""The rules that look at one file: each yields what is wrong in it, and where."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from house.source import SourceFile
from house.syntax import (
    environment_lines,
    expects_an_error,
    functions,
    header_names_read,
    imported,
    is_between,
    is_constant,
    is_upper_bound_of_time,
    lines_of,
    texts,
)

__all__ = ["ENVIRONMENT_READERS", "IMPATIENT", "RULES", "Rule", "Violation"]

MAX_MODULE_LINES: Final = 360
MAX_FUNCTION_LINES: Final = 60

MIGRATIONS: Final = "control/reflex_control/store/migrations/versions/"
"""Each is one list of changes, made by Alembic."""
MAY_PRINT: Final = ("src/reflex/cli/",)
SERVER: Final = "frontend/reflex_frontend/"
EMBEDDED: Final = f"{SERVER}embedded/"
OPENS: Final = frozenset({"asyncio.start_server", "asyncio.open_connection"})
SLEEPS: Final = frozenset({"time.sleep", "asyncio.sleep"})
ON_VIRTUAL_TIME: Final = (
    "run_virtual",
    "act_scene import",
    "rollout_scene import",
    "inference_bench import",
    "rtc_scene import",
    "stream_scene import",
)
"""Names by which a test lets hours pass in no time."""
PATIENCE: Final = frozenset({"deadline_s", "timeout_s", "connect_timeout_s", "command_timeout_s"})
IMPATIENT: Final[Mapping[str, str]] = {
    "tests/unit/reflex_control/http/test_timed_protocol.py": "what comes late is told so, and nothing comes",
    "tests/unit/reflex_runner/connectors/test_lerobot.py": "a robot that hangs",
    "tests/unit/reflex_runner/evaluation/test_evaluating.py": "how long a policy that is away is waited for",
    "tests/unit/reflex_runner/running/test_attending.py": "how long a policy that is away is waited for",
    "tests/unit/reflex_runner/running/test_episodes.py": "how long a policy that is away is waited for",
    "tests/unit/reflex_runner/running/test_run.py": "a server that is away; one that is late is asked again",
    "tests/unit/reflex_runner/transports/test_act.py": "a server that never answers",
    "tests/unit/reflex_runner/transports/test_openpi.py": "an answer that comes late; what comes after it may, too",
}
"""Which file gives somebody less than a second without `pytest.raises` around it, and why."""
ENVIRONMENT_READERS: Final[Mapping[str, str]] = {
    f"{EMBEDDED}__main__.py": "becomes tritonserver in its container, and hands the environment on",
    "frontend/reflex_frontend/settings.py": "names the variables that are no settings, which Pydantic passes over",
    "export/reflex_export/__init__.py": "keeps ONNX Runtime from reporting its use, which only a variable does",
    "export/reflex_export/checking/served_form.py": "REFLEX_CUDA_MASKS, by which a server takes the graph with masks",
    "src/reflex/control/opening.py": "hands it to the one function that finds key and address for the SDK and the CLI",
    "src/reflex/client/streaming/options.py": "REFLEX_CONNECT_RETRY_SECONDS, where the argument is not given",
    "control/reflex_control/settings.py": "XDG_DATA_HOME, where a user's programs keep what lasts",
    "src/reflex/cli/control/browser.py": "whether somebody sits at this machine: DISPLAY, SSH_CONNECTION, CI",
    "src/reflex/cli/up/programs.py": "hands the environment on to what it starts, with the server's own key",
    "src/reflex/cli/training/places.py": "XDG_DATA_HOME, where a user's programs keep what lasts",
    "src/reflex/admin.py": "XDG_RUNTIME_DIR, where a user's running programs leave word for each other",
    "analysis/reflex_analysis/child_server.py": "hands the environment on to a server, without this one's settings",
    "runner/reflex_runner/config/environment.py": "what the environment says of a run, beside its robot.yaml",
    "src/reflex/processes/family.py": "hands the environment on to the robot's commands",
    "integrations/lerobot_policy_reflex/lerobot_policy_reflex/keys.py": "the key: LeRobot prints its settings",
    "runner/reflex_runner/simulation/engine.py": "MUJOCO_GL, which MuJoCo reads when it is imported",
    "runner/reflex_runner/so101/places.py": "REFLEX_SO101_PORT, and the variables by which LeRobot finds calibrations",
    "src/reflex/gpus/libraries.py": "LD_LIBRARY_PATH, where the loader looks for CUDA's libraries",
    f"{EMBEDDED}server.py": "Triton inherits the environment, which also says where the cache lies",
    f"{EMBEDDED}launch.py": "becomes tritonserver and hands the environment on",
    f"{EMBEDDED}backends/onnxruntime/reflex_device.py": "as the one below: the device that the frontend has chosen",
    f"{EMBEDDED}backends/onnxruntime/reflex_session.py": "runs in Triton's stub; we speak through the environment",
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
WORDING: Final = "src/reflex/wording/"
LINE_TO_INSTALL: Final = re.compile(r"\bpip3? (?:un)?install\b|\buv venv\b|\breflex-act\[")
PAGE: Final = re.compile(r"\bdocs/(?:[\w/-]+\.md\b|$)")
DOCUMENT_HOSTS: Final = frozenset({"numpy.org", "www.rfc-editor.org", "docs.nvidia.com", "github.com"})
"""Hosts that a comment may point to. Code connects to none of them."""

Violation = tuple[int, str]
"""Line, and what is wrong in words."""
Rule = Callable[[SourceFile], Iterator[Violation]]


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
    imports: list[ast.Import | ast.ImportFrom] = [*file.of_kind(ast.Import), *file.of_kind(ast.ImportFrom)]
    for importing in imports:
        for name in imported(importing) & UNPICKLERS:
            yield importing.lineno, f"imports {name}, whose data is code"
    for attribute in file.of_kind(ast.Attribute):
        if attribute.attr == "load" and ast.unparse(attribute) == "torch.load":
            yield attribute.lineno, "torch.load unpickles; use safetensors"
    for keyword in file.of_kind(ast.keyword):
        if keyword.arg == "allow_pickle" and not is_constant(keyword.value, value=False):
            yield keyword.lineno, "allow_pickle must be False"


def no_bare_except(file: SourceFile) -> Iterator[Violation]:
    """It swallows Ctrl-C and cancellation."""
    for node in file.of_kind(ast.ExceptHandler):
        if node.type is None:
            yield node.lineno, "a bare except; name what is expected"


def library_does_not_print(file: SourceFile) -> Iterator[Violation]:
    """A library logs; stdout belongs to the command line's results."""
    if not file.is_product or file.path.startswith(MAY_PRINT):
        return
    for node in file.of_kind(ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "print in library code; log it, or return it"


def environment_is_read_in_settings(file: SourceFile) -> Iterator[Violation]:
    """One place knows what a process can be told."""
    if file.is_product and file.path not in ENVIRONMENT_READERS:
        for line in environment_lines(file):
            yield line, "reads the environment; make it a setting"


def module_is_short(file: SourceFile) -> Iterator[Violation]:
    """One reads a module from top to bottom, a test's as well."""
    lines = file.content.count(b"\n")
    if file.tree is not None and lines > MAX_MODULE_LINES:
        yield 1, f"{lines} lines; at most {MAX_MODULE_LINES}"


def function_is_short(file: SourceFile) -> Iterator[Violation]:
    """A long function is a list of ideas without names."""
    if not file.is_product or file.path.startswith(MIGRATIONS):
        return
    for node in functions(file):
        if lines_of(node) > MAX_FUNCTION_LINES:
            yield node.lineno, f"{node.name} has {lines_of(node)} lines; at most {MAX_FUNCTION_LINES}"


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
        for name in header_names_read(node):
            yield getattr(node, "lineno", 1), f"reads the header {name!r} by a name of its own; name it in reflex.wire"


def what_to_install_is_worded_in_one_place(file: SourceFile) -> Iterator[Violation]:
    """A line written elsewhere leads nowhere from a checkout, or into another Python than the one that runs."""
    if not file.is_product or file.path.startswith(WORDING):
        return
    for line, text in texts(file):
        if LINE_TO_INSTALL.search(text):
            yield line, "spells a line that installs; take it from reflex.wording.install"


def pages_are_named_in_one_place(file: SourceFile) -> Iterator[Violation]:
    """A message with docs/page.md leads nowhere for whoever installed a wheel."""
    if not file.is_product or file.path.startswith(WORDING):
        return
    for line, text in texts(file):
        if PAGE.search(text):
            yield line, "names a page of the documentation; take it from reflex.wording.guides"


def tests_wait_for_conditions(file: SourceFile) -> Iterator[Violation]:
    """A sleep is a guess of how long another takes, which a busy machine proves wrong. On virtual time it is exact."""
    if not _is_test(file) or any(word in (file.text or "") for word in ON_VIRTUAL_TIME):
        return
    for node in file.of_kind(ast.Call):
        if ast.unparse(node.func) in SLEEPS and not is_constant(node.args[0], value=0):
            yield node.lineno, "sleeps; wait for a condition (support.waiting)"


def tests_are_patient(file: SourceFile) -> Iterator[Violation]:
    """Who is to be in time has a deadline against hanging: a busy machine stands still for half a second."""
    if not _is_test(file) or file.path in IMPATIENT or any(word in (file.text or "") for word in ON_VIRTUAL_TIME):
        return
    is_late = {id(call) for block in file.of_kind(ast.With) if expects_an_error(block) for call in ast.walk(block)}
    for node in file.of_kind(ast.Call):
        for keyword in node.keywords if id(node) not in is_late else ():
            if keyword.arg in PATIENCE and is_between(keyword.value, 0, 1):
                yield node.lineno, f"{keyword.arg} below a second; take HANGS_S (support.waiting)"


def tests_hang_up(file: SourceFile) -> Iterator[Violation]:
    """What is open when a loop ends is closed by the garbage collector, in a test that has nothing to do with it."""
    if not _is_test(file) or any(word in (file.text or "") for word in ("wait_closed()", ".transport.abort()")):
        return
    for node in file.of_kind(ast.Call):
        if ast.unparse(node.func) in OPENS:
            yield node.lineno, "is not waited for when it is closed; take dialled or listening (support.streams)"


def tests_measure_only_promises(file: SourceFile) -> Iterator[Violation]:
    """What a busy machine makes red says nothing; `make promises` measures where nobody else is."""
    if not _is_test(file):
        return
    for node in file.of_kind(ast.Assert):
        for compared in ast.walk(node.test):
            if isinstance(compared, ast.Compare) and is_upper_bound_of_time(compared):
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
    what_to_install_is_worded_in_one_place,
    pages_are_named_in_one_place,
    tests_wait_for_conditions,
    tests_are_patient,
    tests_hang_up,
    tests_measure_only_promises,
)


def _is_test(file: SourceFile) -> bool:
    return file.path.startswith("tests/") and not file.path.startswith("tests/support/")


def _host(url: str) -> str | None:
    """None for a host that is a placeholder: the user names it."""
    address = url.partition("://")[2].lstrip("[")
    if address.startswith("{"):
        return None
    return "::1" if address.startswith("::1") else re.split(r"[:/?#\]]", address, maxsplit=1)[0]
