from __future__ import annotations

import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from reflex.connector import CameraFrame
from reflex.errors import SetupError
from reflex_runner.page.live_page import MOST_LOOKING, LivePage
from reflex_runner.page.live_view import LiveView
from reflex_runner.simulation.axes import SIMULATED
from reflex_runner.tick import Event, Tick
from support.waiting import HANGS_S, wait_until

HOSTILE = "<script>alert(1)</script>"


class Cameras:
    def __init__(self) -> None:
        self.shade = 0

    def __call__(self) -> dict[str, CameraFrame]:
        return {"front": CameraFrame(np.full((8, 8, 3), self.shade, np.uint8), 0.0)}


@pytest.fixture
def cameras() -> Cameras:
    return Cameras()


@pytest.fixture
def view(cameras: Cameras) -> LiveView:
    return LiveView(SIMULATED, mode="apply_actions", frames=cameras)


@pytest.fixture
def page(view: LiveView) -> Iterator[LivePage]:
    with LivePage(view) as page:
        yield page


def connection_to(page: LivePage) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(page.url.rsplit(":", 1)[1].strip("/")), timeout=HANGS_S)


def get(page: LivePage, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = connection_to(page)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/view.css", "text/css"), ("/view.js", "text/javascript"), ("/plot.js", "text/javascript")],
)
def test_its_files_come_from_here_with_headers_that_keep_others_out(page: LivePage, path: str, kind: str) -> None:
    status, headers, body = get(page, path)
    assert (status, headers["content-type"]) == (200, f"{kind}; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert b"https://" not in body
    assert body.count(b"http://") == body.count(b"http://www.w3.org/2000/svg"), "nothing is fetched from elsewhere"


def test_the_run_is_told_as_json_in_which_nothing_is_markup(page: LivePage, view: LiveView) -> None:
    view.ticked(Tick(3, view.clock.now(), "hold"))
    view.noted(Event(view.clock.now(), "error", "bad", HOSTILE))
    status, headers, body = get(page, "/run.json?x=1")
    assert (status, headers["content-type"]) == (200, "application/json")
    run = json.loads(body)
    assert (run["motion"], run["mode"], run["events"][0]["message"]) == ("hold", "apply_actions", HOSTILE)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
def test_a_page_elsewhere_whose_name_leads_here_is_answered_nothing(page: LivePage, host: str) -> None:
    for path in ("/", "/run.json", "/camera/front"):
        status, _, body = get(page, path, Host=host)
        assert (status, body) == (421, b"call the live page by its address\n")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:80", "LOCALHOST:80"])
def test_local_names_and_addresses_are_answered(page: LivePage, host: str) -> None:
    assert get(page, "/run.json", Host=host)[0] == 200


@pytest.mark.parametrize("path", ["/camera/left", "/camera/", "/../pyproject.toml", "/view.py", "/assets/index.html"])
def test_there_is_nothing_else(page: LivePage, path: str) -> None:
    assert get(page, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed_by_a_request(page: LivePage, method: str) -> None:
    connection = connection_to(page)
    connection.request(method, "/run.json", body=b"{}")
    assert connection.getresponse().status == 501
    connection.close()


def next_picture(answer: http.client.HTTPResponse) -> int:
    """The brightness of the next picture of the film."""
    while not (line := answer.readline()).lower().startswith(b"content-length:"):
        assert line, "the film has ended"
    answer.readline()
    with Image.open(io.BytesIO(answer.read(int(line.split(b":")[1])))) as picture:
        return int(np.asarray(picture).mean())


def test_a_camera_is_a_film_of_its_pictures_and_ends_with_the_page(view: LiveView, cameras: Cameras) -> None:
    page = LivePage(view)
    page.start()
    connection = connection_to(page)
    connection.request("GET", "/camera/front")
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
    assert next_picture(answer) == 0
    cameras.shade = 200
    wait_until(lambda: abs(next_picture(answer) - 200) < 5, "the new picture comes")
    page.close()
    answer.read()
    connection.close()


@pytest.mark.slow
def test_one_that_hangs_up_ends_nothing_and_a_crowd_is_let_in_no_further(page: LivePage) -> None:
    port = int(page.url.rsplit(":", 1)[1].strip("/"))
    crowd = [socket.create_connection(("127.0.0.1", port), HANGS_S) for _ in range(MOST_LOOKING)]
    for one in crowd:
        one.sendall(b"GET /camera/front HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert one.recv(15) == b"HTTP/1.0 200 OK"
    with socket.create_connection(("127.0.0.1", port), HANGS_S) as late:
        assert late.recv(1) == b"", "hung up at once"
    for one in crowd:
        one.close()

    def is_let_in() -> bool:
        try:
            return get(page, "/run.json")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    wait_until(is_let_in, "those who left make room")


def test_the_end_leaves_no_thread_behind(view: LiveView) -> None:
    before = set(threading.enumerate())
    with LivePage(view) as page:
        assert get(page, "/run.json")[0] == 200
    wait_until(lambda: set(threading.enumerate()) <= before, "its threads are gone")
    LivePage(view).close()


def test_a_port_that_is_taken_is_said(page: LivePage, view: LiveView) -> None:
    port = int(page.url.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(SetupError, match=f"cannot listen on port {port} .*choose another one"):
        LivePage(view, port)
