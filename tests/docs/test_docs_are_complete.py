"""The documents name everything that there is, and nothing that there is not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from prometheus_client import Metric
from typer.core import TyperGroup

import reflex
from docs.commands import built_once
from docs.documents import REPOSITORY, anchors_of, documents, links_of
from reflex.cli import app
from reflex.errors import CONTROL_CODES, STATUS_OF
from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.policy.policy import load_policy
from reflex_frontend.settings import Settings

MAX_ADR_LINES = 30
ADRS = sorted((REPOSITORY / "docs" / "adr").glob("*.md"))


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def serve_options() -> set[str]:
    """`--port` and all the others, but for --help and what every command has."""
    root = built_once(app)
    assert isinstance(root, TyperGroup)
    names = {name for option in root.commands["serve"].params for name in (*option.opts, *option.secondary_opts)}
    return names - {"--json", "--verbose", "-v"}


def shown_as(default: object) -> set[str]:
    """How a default may stand in the table."""
    if isinstance(default, bool):
        return {"on"} if default else {"off", "text"}
    return {f"`{','.join(default)}`" if isinstance(default, tuple) else f"`{default}`"}


def metric_names() -> set[str]:
    """As they are exposed: a counter's name ends in _total."""
    registry = Metrics.of_one(load_policy(REPOSITORY / "model_repository", None), None).registry
    return {exposed_name(metric) for metric in registry.collect()}


def exposed_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", text_of("Makefile"), re.MULTILINE))


def test_every_setting_is_in_the_configuration() -> None:
    text = text_of("docs/configuration.md")

    assert [name for name in Settings.model_fields if f"`REFLEX_{name.upper()}`" not in text] == []


def test_every_option_of_serve_is_in_the_configuration() -> None:
    documented = set(re.findall(r"`(--[a-z0-9-]+)", text_of("docs/configuration.md")))

    assert serve_options() - documented == set()


def test_the_configuration_names_no_setting_that_is_not_there() -> None:
    rows = [line for line in text_of("docs/configuration.md").splitlines() if re.match(r"\| [`(].*`REFLEX_", line)]
    options = {option for row in rows for option in re.findall(r"`(--[a-z0-9-]+)", row.split("|")[1])}
    fields = {row.split("|")[2].strip().removeprefix("`REFLEX_").rstrip("`").lower() for row in rows}

    assert options == serve_options()
    assert fields == set(Settings.model_fields)


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_the_documented_default_is_the_real_one(field: str) -> None:
    default = Settings.model_fields[field].default
    row = next(line for line in text_of("docs/configuration.md").splitlines() if f"`REFLEX_{field.upper()}`" in line)
    documented = row.split("|")[3].strip()

    assert documented in shown_as(default) if default is not None else documented


def test_every_variable_that_the_product_reads_is_in_the_configuration() -> None:
    text = text_of("docs/configuration.md")
    sources = [
        path
        for folder in ("src", "frontend", "export", "analysis", "runner", "learning")
        for path in (REPOSITORY / folder).rglob("*.py")
    ]
    names = {name for path in sources for name in re.findall(r"\bREFLEX_[A-Z_]*[A-Z]\b", path.read_text())}

    assert {name for name in names if name not in text} == set()


def test_every_metric_is_in_the_contract() -> None:
    text = text_of("docs/http-api.md")

    assert {name for name in metric_names() if name not in text} == set()


@pytest.mark.parametrize("document", ["docs/http-api.md", "docs/operations.md"])
def test_no_document_names_a_metric_that_is_not_there(document: str) -> None:
    names = set(re.findall(r"`(reflex_[a-z_]+)(?:\{[^`]*)?`", text_of(document)))

    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in names} - metric_names() == set()


def test_every_error_code_is_in_the_contract() -> None:
    text = text_of("docs/http-api.md")

    assert {code for code in STATUS_OF.keys() - CONTROL_CODES if code not in text} == set()


def test_every_error_code_of_the_control_plane_is_in_its_own_contract_with_its_status() -> None:
    errors = text_of("docs/control-api.md").partition("\n## Errors\n")[2].partition("\n## ")[0]
    rows = {code: int(status) for status, code in re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \|", errors, re.MULTILINE)}

    assert rows == {code: STATUS_OF[code] for code in CONTROL_CODES}


def test_every_503_is_in_the_operations() -> None:
    text = text_of("docs/operations.md")

    assert {code for code, status in STATUS_OF.items() if status == 503 and f"| `{code}` |" not in text} == set()


def test_every_make_target_is_in_contributing_and_no_other() -> None:
    documented = set(re.findall(r"^\| `make ([a-z-]+)`", text_of("CONTRIBUTING.md"), re.MULTILINE))

    assert documented == make_targets()


@pytest.mark.slow
@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = []
    for path, anchor in links_of(document):
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(f"{path}#{anchor}")

    assert broken == []


def test_every_document_is_in_the_index() -> None:
    index = {(REPOSITORY / "docs" / path).resolve() for path, _ in links_of(REPOSITORY / "docs" / "README.md")}
    pages = set((REPOSITORY / "docs").rglob("*.md")) - {REPOSITORY / "docs" / "README.md"}

    assert sorted(page.name for page in pages - index) == []


@pytest.mark.parametrize("record", ADRS, ids=lambda path: path.stem)
def test_a_decision_record_is_short_and_says_why(record: Path) -> None:
    lines = record.read_text(encoding="utf-8").splitlines()

    assert len(lines) <= MAX_ADR_LINES
    assert lines[0].startswith(f"# {record.name[:4]}: ")
    assert [line for line in lines if line.startswith("## ")] == ["## Context", "## Decision", "## Consequences"]


def test_decision_records_are_numbered_without_a_gap() -> None:
    assert [record.name[:4] for record in ADRS] == [f"{number:04}" for number in range(1, len(ADRS) + 1)]


def test_the_version_is_one() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]

    assert project["version"] == reflex.__version__


def test_the_required_python_is_one() -> None:
    oldest = tomllib.loads(text_of("pyproject.toml"))["project"]["requires-python"].removeprefix(">=")

    assert f"Python {oldest}" in text_of("README.md")
    assert f"python{oldest}" in text_of("CONTRIBUTING.md")
