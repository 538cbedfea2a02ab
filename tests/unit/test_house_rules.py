from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from house.mirror import misplaced
from house.rules import ENVIRONMENT_READERS, IMPATIENT, RULES
from house.source import SourceFile, files_of
from house.tree_rules import TREE_RULES, folders_are_short, most_functions_are_short, no_stale_exceptions
from house_rules import check, check_tree, violations_in

REPOSITORY = Path(__file__).parents[2]
PRODUCT = "frontend/reflex_frontend/planted.py"

# A ~ is taken out before a text is planted; without it, this very file would break the rule.
PLANTED = {
    "no_developer_path": ("README.md", "see /ro~ot/notes.txt\n"),
    "no_package_registry": ("constraints.txt", "--ind~ex-url https://mirror.example/simple\n"),
    "nothing_is_unpickled": (PRODUCT, "import numpy\nnumpy.load('x', allow_pickle=True)\n"),
    "no_bare_except": ("tests/planted.py", "try:\n    pass\nexcept:\n    pass\n"),
    "library_does_not_print": (PRODUCT, "print('hello')\n"),
    "environment_is_read_in_settings": (PRODUCT, "import os\nHOME = os.environ['HOME']\n"),
    "module_is_short": ("tests/planted.py", "A = 1\n" * 361),
    "function_is_short": (PRODUCT, "def long():\n" + "    pass\n" * 60),
    "nothing_is_left_unfinished": ("docs/planted.md", "TO~DO: say more\n"),
    "text_ends_in_newline": ("docs/planted.md", "the end"),
    "headers_are_named_in_the_contract": (PRODUCT, "def of(headers):\n    return headers.get(b'x-robot')\n"),
    "what_to_install_is_worded_in_one_place": (PRODUCT, "raise SetupError(f'run: pip install {name}')\n"),
    "pages_are_named_in_one_place": (PRODUCT, "HINT = 'docs/adr/0001.md says why'\n"),
    "code_calls_nobody": (PRODUCT, "URL = 'https://collect.example/v1/events'\n"),
    "tests_wait_for_conditions": ("tests/planted.py", "import time\ntime.sleep(0.1)\n"),
    "tests_are_patient": ("tests/planted.py", "connect(server.url, deadline_s=0.2).act()\n"),
    "tests_hang_up": ("tests/planted.py", "await asyncio.open_connection('127.0.0.1', 1)\n"),
    "tests_measure_only_promises": ("tests/planted.py", "assert time.monotonic() - started < 2\n"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_rule_finds_its_planted_violation_and_no_other_rule_does(rule: object) -> None:
    name = getattr(rule, "__name__", "")
    path, text = PLANTED[name]
    file = SourceFile(path, text.replace("~", "").encode())

    found = {candidate.__name__ for candidate in RULES if list(candidate(file))}

    assert found == {name}
    assert all(line.startswith(f"{path}:") for line in check(file))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\n",
        "from pickle import loads\n",
        "import shelve, json\n",
        "import marshal as m\n",
        "import torch\ntorch.load('weights.pt')\n",
        "load(path, allow_pickle=maybe)\n",
    ],
)
def test_every_way_to_unpickle_is_found(code: str) -> None:
    assert len(check(SourceFile("tests/planted.py", code.encode()))) == 1


@pytest.mark.parametrize(
    "code", ["await asyncio.sleep(LIMIT_S)\n", "await asyncio.sleep(0.2)\n", "time.sleep(delay_s)\n"]
)
def test_every_way_to_sleep_in_a_test_is_found_but_on_virtual_time(code: str) -> None:
    body = f"async def test_it():\n    {code}"
    assert len(check(SourceFile("tests/planted.py", body.encode()))) == 1
    assert check(SourceFile("tests/planted.py", f"{body}run_virtual(test_it)\n".encode())) == []


@pytest.mark.parametrize(
    "code",
    ["ask(timeout_s=0.5)", "TargetConfig(connect_timeout_s=0.3)", "with made(command_timeout_s=0.9) as robot: pass"],
)
def test_every_deadline_below_a_second_is_found_but_where_an_error_is_expected_or_time_is_virtual(code: str) -> None:
    assert len(check(SourceFile("tests/planted.py", f"{code}\n".encode()))) == 1
    expected = f"with pytest.raises(ClientTimeoutError):\n    {code}\n"
    assert check(SourceFile("tests/planted.py", expected.encode())) == []
    assert check(SourceFile("tests/planted.py", f"{code}\nrun_virtual(test_it)\n".encode())) == []


@pytest.mark.parametrize("path", IMPATIENT)
def test_whoever_may_be_impatient_is(path: str) -> None:
    file = SourceFile("tests/planted.py", (REPOSITORY / path).read_bytes())
    assert any("below a second" in line for line in check(file)), "take it out of the list"


@pytest.mark.parametrize(
    "line",
    ["pip install x", "run: pip uninstall -y x", "uv venv --python 3.12", "uv pip install x", "reflex-act[otel]"],
)
@pytest.mark.parametrize("code", ["HINT = '{}'\n", "say(f'{name}: {}')\n", "FIXES = {{'a': ('{}',)}}\n"])
def test_every_line_that_installs_is_found(code: str, line: str) -> None:
    assert len(check(SourceFile(PRODUCT, code.replace("{}", line).encode()))) == 1


@pytest.mark.parametrize("code", ["'see docs/cli.md'", "f'see docs/{page}.md'", "f'{name}: docs/export.md#{section}'"])
def test_every_page_that_is_named_is_found(code: str) -> None:
    assert len(check(SourceFile(PRODUCT, f"say({code})\n".encode()))) == 1


@pytest.mark.parametrize("code", ["0 < took_s < 5", "answer.took_s <= 5", "time.perf_counter() - began < 1"])
def test_every_bound_on_real_time_in_a_test_is_found(code: str) -> None:
    assert len(check(SourceFile("tests/planted.py", f"assert {code}\n".encode()))) == 1


@pytest.mark.parametrize(
    "code", ["from os import environ\n", "import os\nos.getenv('X')\n", "import os\nos.environb\n"]
)
def test_every_way_to_read_the_environment_is_found(code: str) -> None:
    assert len(check(SourceFile(PRODUCT, code.encode()))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "key = [value for name, value in headers if name == b'x-robot']\n",
        "is_there = b'x-robot' in headers\n",
        "key = headers[b'x-robot']\n",
        "key = request.headers.get('X-Robot')\n",
    ],
)
def test_every_way_to_read_a_header_by_a_name_of_its_own_is_found(code: str) -> None:
    assert len(check(SourceFile(PRODUCT, code.encode()))) == 1


def test_a_developers_path_inside_a_binary_file_is_found() -> None:
    content = b"\0\1/home/alice/model.py\0"

    assert check(SourceFile("model_repository/p_encoder/1/model.onnx", content))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (
            "docs/fine.md",
            "Weights lie in /data/work/policy, the network in /etc, a home is ~/.cache or ${HOME}/work/x\n",
        ),
        ("src/reflex/cli/fine.py", "print('results')\n"),
        ("bench/fine.py", "import os\nprint(os.environ)\n"),
        (PRODUCT, "import numpy\nnumpy.load('x', allow_pickle=False)\n"),
        (
            PRODUCT,
            "URLS = 'http://127.0.0.1:8000/act', f'http://[{host}]:{port}', f'https://{host}', 'http://[::1]:80'\n",
        ),
        ("src/reflex/wording/fine.py", "LINE = 'pip install x'\n"),
        (PRODUCT, "'''What `pip install` takes: docs/cli.md.'''\nFINE = ['reflex-act', 'pip is not there', '/docs']\n"),
        (PRODUCT, "def fine():\n" + "    pass\n" * 59),
        (PRODUCT, "A = 1\n" * 360),
        ("docs/long.md", "a line\n" * 361),
        (PRODUCT, ""),
        ("tests/fine.py", "ask(timeout_s=0.0, deadline_s=1.0)\nask(deadline_s=HANGS_S, patience_s=0.1)\n"),
        ("tests/support/fine.py", "ask(deadline_s=0.1)\n"),
        ("tests/fine.py", "await asyncio.sleep(0)\nassert took_s > 0.5\nassert time.monotonic() - began >= 0.05\n"),
        ("docs/picture.jpg", "\0no text, so no newline at the end"),
    ],
)
def test_what_is_allowed_passes(path: str, text: str) -> None:
    assert check(SourceFile(path, text.encode())) == []


def test_a_violation_says_file_and_line() -> None:
    assert check(SourceFile(PRODUCT, b"A = 1\nprint(A)\n")) == [
        f"{PRODUCT}:2: print in library code; log it, or return it"
    ]


def test_an_exception_that_nothing_needs_is_a_violation() -> None:
    needed = [SourceFile(path, b"import os\nos.environ\n") for path in ENVIRONMENT_READERS]

    assert list(no_stale_exceptions(needed)) == []
    assert len(list(no_stale_exceptions(needed[1:]))) == 1


@pytest.mark.parametrize("folder", ["frontend/reflex_frontend/act", "tests/unit/reflex_frontend/act", "helm"])
def test_a_folder_of_more_than_twenty_modules_is_a_violation(folder: str) -> None:
    modules = [SourceFile(f"{folder}/module_{number}.py", b"") for number in range(20)]
    others = [SourceFile(f"{folder}/sub/more.py", b""), SourceFile(f"{folder}/README.md", b"\n")]

    assert list(folders_are_short([*modules, *others])) == []
    assert list(folders_are_short([*modules, *others, SourceFile(f"{folder}/one_more.py", b"")])) == [
        f"{folder}:1: 21 modules in one folder; at most 20"
    ]


def function_of(lines: int) -> SourceFile:
    return SourceFile(f"{PRODUCT}{lines}.py", b"def planted():\n" + b"    pass\n" * (lines - 1))


def test_products_whose_median_function_is_long_are_a_violation_and_single_long_ones_are_not() -> None:
    assert list(most_functions_are_short([])) == []
    assert list(most_functions_are_short([function_of(7), function_of(2), function_of(60)])) == []
    assert list(most_functions_are_short([function_of(8), function_of(2), function_of(60)])) == [
        ".:1: the median function of the product has 8 lines; at most 7"
    ]


def test_the_functions_of_tests_are_not_the_products() -> None:
    long = SourceFile("tests/planted.py", function_of(40).content)

    assert list(most_functions_are_short([long])) == []


def test_every_rule_of_the_tree_counts_in_its_check() -> None:
    planted = [SourceFile(f"tests/full/module_{number}.py", b"") for number in range(21)]

    found = check_tree([*planted, function_of(8)])

    assert {rule.__name__ for rule in TREE_RULES} == {
        "no_stale_exceptions",
        "folders_are_short",
        "most_functions_are_short",
        "tests_lie_where_their_module_lies",
    }
    for words in ("reads no environment", "modules in one folder", "the median function", "no tests/unit/"):
        assert any(words in line for line in found), words


MODULE = SourceFile("src/reflex/planted.py", b"")
MIRROR = SourceFile("tests/unit/reflex/test_planted.py", b"from reflex.planted import A\n")
OTHER = SourceFile("tests/unit/reflex/test_other.py", b"import reflex.planted\n")


def test_a_module_without_tests_at_the_mirrored_path_must_be_in_the_table() -> None:
    assert misplaced([MODULE, MIRROR], {}, ()) == []
    assert len(misplaced([MODULE], {}, ())) == 1
    assert misplaced([MODULE, OTHER], {MODULE.path: OTHER.path}, ()) == []


def test_a_module_that_moves_without_its_tests_is_a_violation() -> None:
    moved = SourceFile("src/reflex/elsewhere/planted.py", b"")

    assert len(misplaced([moved, MIRROR], {}, ())) == 2


def test_a_stale_line_of_the_table_is_a_violation() -> None:
    unrelated = SourceFile(OTHER.path, b"import reflex.another\n")

    assert len(misplaced([MODULE, MIRROR, OTHER], {MODULE.path: OTHER.path}, ())) == 1
    assert len(misplaced([MODULE, unrelated], {MODULE.path: OTHER.path}, ())) == 1
    assert len(misplaced([MODULE], {MODULE.path: OTHER.path}, ())) == 1
    assert len(misplaced([MODULE, MIRROR], {"src/reflex/gone.py": MIRROR.path}, ())) == 1
    assert len(misplaced([MODULE, MIRROR], {}, ("tests/unit/reflex/test_gone.py",))) == 1


def test_the_repository_keeps_its_house_rules() -> None:
    repository = Path(__file__).parents[2]

    assert violations_in(files_of(repository)) == []


def test_untracked_files_count_and_ignored_and_deleted_ones_do_not(tmp_path: Path) -> None:
    for name in ("tracked.md", "deleted.md", "untracked.md", "ignored.log"):
        (tmp_path / name).write_text(f"{name}\n")
    (tmp_path / ".gitignore").write_text("*.log\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "tracked.md", "deleted.md"], cwd=tmp_path, check=True)
    (tmp_path / "deleted.md").unlink()

    assert [file.path for file in files_of(tmp_path)] == [".gitignore", "tracked.md", "untracked.md"]
