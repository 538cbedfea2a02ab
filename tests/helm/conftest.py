"""Helm as a library and the schemas of Kubernetes are 350 MB: `make helm-test` installs them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from support.skips import skipped_module

HAS_HELM = all(find_spec(name) is not None for name in ("helm_python", "kubernetes_validate"))


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    without = module_path.name.startswith("test_") and not HAS_HELM
    return skipped_module(parent, module_path, "Helm") if without else None
