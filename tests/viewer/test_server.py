"""The server answers its own pages alone, and a static site is a copy of what it would send."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hermes.harness.system.errors import HermesError, MissingExtra
from hermes.viewer.server import HOST, _has_screen, _listener, application, serve
from hermes.viewer.site import Site
from hermes.viewer.static import write_site

ADDRESS = "http://127.0.0.1:8484"


@pytest.fixture
def client(runs: Path, play: Path) -> TestClient:
    return TestClient(application(Site([runs])), base_url=ADDRESS)


def test_the_page_its_data_and_its_pictures_are_served(client: TestClient) -> None:
    assert "<!doctype html>" in client.get("/").text.lower()
    index = client.get("/data/index.js")
    assert index.text.startswith('hermesData("index", {')
    assert index.headers["content-type"].startswith("text/javascript")
    key = client.get("/data/index.js").text.split('"key":"')[1].split('"')[0]
    rows = client.get(f"/data/runs/{key}/pope/rows-0.js")
    picture = client.get("/" + rows.text.split('"src":"')[1].split('"')[0])
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


def test_every_answer_forbids_what_pages_do_not_need(client: TestClient) -> None:
    for path in ("/", "/data/index.js", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == "default-src 'self'; img-src 'self' data:"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8484", "127.0.0.1.evil.example", "localhost.evil"])
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/data/index.js", headers={"Host": host}).status_code == 400
    assert client.get("/data/index.js", headers={"Host": "localhost:8484"}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_the_page_of_another_site_is_refused(client: TestClient, site: str) -> None:
    assert client.get("/data/index.js", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.get("/data/index.js", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/media/../../../../etc/passwd",
        "/media/..%2f..%2fetc%2fpasswd",
        "/media//etc/passwd",
        "/media/0123456789abcdef01234567.png",
        "/data/../index.html.js",
        "/data/runs/..%2f..%2f/pope/rows.js",
        "/__init__.py",
        "/..%2fserver.py",
    ],
)
def test_no_other_file_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_file_that_cannot_be_read_is_one_line(client: TestClient, runs: Path) -> None:
    for path in runs.glob("answers/*/pope-*/samples/*.jsonl"):
        path.write_bytes(path.read_bytes().replace(b'"choices"', b'"chances"'))
    key = client.get("/data/index.js").text.split('"key":"')[1].split('"')[0]
    told = client.get(f"/data/runs/{key}/pope/rows-0.js")
    assert told.status_code == 500
    assert "is no sample; remove the file" in told.text


def test_a_static_site_is_what_the_server_sends(client: TestClient, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    count = write_site(Site([runs], live=False), out)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    assert sum(path.suffix == ".js" and path.parent != out for path in files) == count
    data = [path for path in files if path.is_relative_to(out / "data")]
    for path in [*data, *(path for path in files if path not in data)]:  # data first: it tells of the pictures
        sent = client.get("/" + path.relative_to(out).as_posix()).content
        kept = path.read_bytes()
        if path.name == "index.js":
            kept = kept.replace(b'"live":false', b'"live":true')
        assert sent == kept, path
    assert len(files) > len(data) + 10


def test_a_site_replaces_itself_and_nothing_else(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(Site([runs], live=False), out)
    (out / "data" / "old.js").touch()
    write_site(Site([runs], live=False), out)
    assert not (out / "data" / "old.js").exists()
    with pytest.raises(HermesError, match="holds something else than a site"):
        write_site(Site([runs], live=False), runs)
    (out / "data" / "index.js").write_text("const rows = [];")  # somebody else's page of the same names
    with pytest.raises(HermesError, match="holds something else than a site"):
        write_site(Site([runs], live=False), out)
    assert (out / "data" / "index.js").read_text() == "const rows = [];"
    assert any((out / "media").iterdir())


def test_without_the_extra_it_is_one_line(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hermes-bench\[view\]'"):
        serve(Site([runs]), None, open_browser=False)


def test_a_taken_port_is_passed_over_or_told() -> None:
    with _listener(None) as first, _listener(None) as second:
        taken = first.getsockname()
        assert taken[0] == HOST
        assert taken[1] != second.getsockname()[1]
        with pytest.raises(HermesError, match=f"port {taken[1]} is taken"):
            _listener(taken[1])


def test_a_browser_is_opened_where_a_person_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert _has_screen({"DISPLAY": ":0"})
    assert not _has_screen({})
    assert not _has_screen({"DISPLAY": ":10", "SSH_CONNECTION": "1"})


def test_the_command_writes_a_site(command: Callable[..., Any], made: Path, tmp_path: Path) -> None:
    said = command("view", made, "--static", "site", "-q")
    assert (said.code, said.out) == (0, "")
    assert "written: site/index.html" in said.err
    assert (tmp_path / "site" / "data" / "index.js").is_file()
    said = command("view", "nowhere")
    assert said.err == "hermes: nowhere does not exist; give the folder of runs\n"
