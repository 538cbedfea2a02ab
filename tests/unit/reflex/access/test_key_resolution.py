"""Which key and URL count, as one table: argument, then environment, then file, then the default."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from reflex.access.credentials_file import Credentials, write_credentials
from reflex.access.key_resolution import DEFAULT_BACKEND_URL, resolve
from reflex.errors import SetupError

ARGUMENTS, VARIABLES, FILES = (None, "", "argument"), (None, " ", "variable"), (None, "file")


@pytest.mark.parametrize(("argument", "variable", "stored"), list(itertools.product(ARGUMENTS, VARIABLES, FILES)))
@pytest.mark.parametrize("name", ["REFLEX_CONVEX_URL", "REFLEX_BACKEND_URL"])
def test_the_first_slot_with_a_value_counts(
    argument: str | None, variable: str | None, stored: str | None, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "credentials.json"
    environment = {"REFLEX_CONFIG_FILE": str(path)}
    if variable is not None:
        environment |= {"REFLEX_API_KEY": variable, name: variable.strip() and f"http://{variable}"}
    if stored is not None:
        write_credentials(path, Credentials(stored, f"http://{stored}/"))
    resolved = resolve(argument, argument and f"http://{argument}", environment)

    winner = argument or (variable or "").strip() or stored
    origins = {"argument": "the argument", "variable": "REFLEX_API_KEY", "file": f"the credentials file {path}"}
    assert resolved.api_key == winner
    assert resolved.backend_url == (f"http://{winner}" if winner else DEFAULT_BACKEND_URL)
    assert resolved.api_key_origin == origins.get(
        winner or "", "no argument, no REFLEX_API_KEY and no credentials file"
    )
    assert resolved.backend_url_origin == (origins | {"variable": name}).get(winner or "", "the default")


def test_key_and_url_may_come_from_different_slots(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    write_credentials(path, Credentials("stored", "https://stored"))
    resolved = resolve(None, "http://here:1", {"REFLEX_CONFIG_FILE": str(path)})
    assert (resolved.api_key, resolved.backend_url) == ("stored", "http://here:1")
    assert "stored" not in repr(resolved).replace(str(path), "")


def test_a_file_that_is_not_needed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("broken")
    environment = {"REFLEX_CONFIG_FILE": str(tmp_path / "broken"), "REFLEX_API_KEY": "k"}
    assert resolve(None, "http://u", environment).api_key == "k"
    with pytest.raises(SetupError, match="credentials file"):
        resolve(None, None, environment)


def test_both_names_of_the_url_may_agree_but_not_differ() -> None:
    same = {"REFLEX_API_KEY": "k", "REFLEX_CONVEX_URL": "http://u", "REFLEX_BACKEND_URL": "http://u"}
    assert resolve(None, None, same).backend_url == "http://u"
    with pytest.raises(SetupError, match=r"REFLEX_CONVEX_URL and REFLEX_BACKEND_URL .* unset one"):
        resolve(None, None, same | {"REFLEX_BACKEND_URL": "http://other"})


@pytest.mark.parametrize("url", ["control", "ftp://u", "http://", "file:///etc", "http://u:x", "http://[", "http://a@u",
                                 "http://u?k=1", "http://é", "http://u\nX: y"])  # fmt: skip
def test_what_is_no_url_of_a_backend_is_refused_with_its_origin(url: str) -> None:
    with pytest.raises(SetupError, match="the backend URL of the argument"):
        resolve("k", url, {})


@pytest.mark.parametrize("key", ["rfx_é", "rfx_a b", "rfx_a\r\nHost: x"])
def test_what_can_be_no_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(SetupError, match="the API key of REFLEX_API_KEY") as caught:
        resolve(None, "http://u", {"REFLEX_API_KEY": key})
    assert key not in str(caught.value)
