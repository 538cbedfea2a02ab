"""A browser without JavaScript, as far as pages with forms need one: it keeps cookies and sends the forms of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final

import httpx

from support.waiting import HANGS_S

UNHURRIED: Final = ("--public-rate-limit", "1000000")
"""For a server whose visitors sign in more often than people do."""

__all__ = ["UNHURRIED", "HtmlForm", "Visitor", "forms_in"]

Fields = list[tuple[str, str]]


@dataclass
class HtmlForm:
    """What a form would send as it stands."""

    action: str
    method: str
    fields: Fields = field(default_factory=list)
    boxes: Fields = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[HtmlForm] = []
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(HtmlForm(given["action"], given["method"]))
        elif tag == "input" and self.found:
            form = self.found[-1]
            (form.boxes if given.get("type") == "checkbox" else form.fields).append(
                (given["name"], given.get("value", ""))
            )
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and self._select is not None:
            fields = self.found[-1].fields
            if "selected" in given or self._select not in dict(fields):
                fields[:] = [each for each in fields if each[0] != self._select]
                fields.append((self._select, given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None


def forms_in(page: str) -> list[HtmlForm]:
    parser = _Forms()
    parser.feed(page)
    return parser.found


class Visitor:
    """Follows no redirect by itself: what it was sent to is for the test to say."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.client = httpx.Client(base_url=base_url, verify=False, timeout=HANGS_S)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def submit(
        self, page: str, action: str, fields: Mapping[str, str] | None = None, ticked: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        """Opens `page`, fills its form of this `action` in, and sends it as a browser does."""
        return self.send(self.form(page, action), fields or {}, ticked, headers)

    def form(self, page: str, action: str) -> HtmlForm:
        text = self.get(page).text
        found = [form for form in forms_in(text) if form.action == action]
        assert found, f"{page} has no form for {action}:\n{text}"
        return found[0]

    def send(
        self, form: HtmlForm, fields: Mapping[str, str] | None = None, ticked: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        known = dict(form.fields)
        unknown = set(fields or {}) - set(known)
        assert not unknown, f"the form has no field {unknown}"
        data: dict[str, Any] = {**known, **(fields or {})}
        for name, value in form.boxes:
            if value in ticked:
                data.setdefault(name, []).append(value)
        return self.client.post(form.action, data=data, headers={"origin": self.base_url, **(headers or {})})

    def sign_in(self, key: str) -> httpx.Response:
        return self.submit("/sign-in", "/sign-in", {"key": key})

    def close(self) -> None:
        self.client.close()
