"""A stand-in for the Hugging Face hub on 127.0.0.1: repositories, branches, commits with and without LFS, downloads."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import yaml

TOKEN, OWNER = "hf_of_me", "me"


class Repository:
    """What was committed: files by branch."""

    def __init__(self, private: bool) -> None:
        self.private = private
        self.branches: dict[str, dict[str, bytes]] = {"main": {}}
        self.messages: list[str] = []

    def commit_of(self, branch: str) -> str:
        return hashlib.sha1(repr(sorted(self.branches[branch].items())).encode()).hexdigest()


class Hub:
    """One user, ``me``, may write; ``asked`` keeps the requests."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, method: str, path: str, token: str | None, body: bytes) -> tuple[int, Any]:
        """The status, and a JSON object or bytes with the commit that they are of."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if method == "PUT" and parts[0] == "lfs":
            self.objects[parts[1]] = body
            return 200, {}
        if parts[-3:] == ["lfs", "objects", "batch"]:
            return 200, {"transfer": "basic", "objects": [self._lfs(one) for one in json.loads(body)["objects"]]}
        if parts[0] == "api":
            return self._api(method, parts[1:], token, body)
        name, found = "/".join(parts[:2]), self.repositories.get("/".join(parts[:2]))
        if found is None or parts[2] != "resolve":
            return 404, {"error": f"no {name}"}
        branch = self._branch(found, parts[3])
        file = found.branches[branch].get("/".join(parts[4:]))
        return (404, {"error": "Entry not found"}) if file is None else (200, (file, found.commit_of(branch)))

    def _api(self, method: str, parts: list[str], token: str | None, body: bytes) -> tuple[int, Any]:
        if method != "GET" and token != TOKEN:
            return 401, {"error": "Invalid username or password."}
        if parts == ["repos", "create"]:
            return self._create(json.loads(body))
        if parts == ["validate-yaml"]:
            assert json.loads(body)["content"].startswith("---\n")
            return 200, {"warnings": [], "errors": []}
        name, what = "/".join(parts[1:3]), parts[3:]
        found = self.repositories.get(name)
        if found is None:
            return 404, {"error": "Repository not found"}
        if not what or what[0] == "revision":
            branch = self._branch(found, what[1] if what else "main")
            files = found.branches[branch]
            said = {"id": name, "private": found.private, "sha": found.commit_of(branch), "cardData": _metadata(files)}
            return 200, {**said, "siblings": [{"rfilename": file} for file in files]}
        if what[0] == "tree":
            tree = found.branches[self._branch(found, what[1])].items()
            return 200, [{"type": "file", "path": path, "size": len(data), "oid": path} for path, data in tree]
        if what[0] == "branch":
            known = what[1] in found.branches
            found.branches.setdefault(what[1], dict(found.branches["main"]))
            return (409, {"error": "exists"}) if known else (201, {})
        if what[0] == "preupload":
            modes = [{**one, "uploadMode": _mode(one["path"])} for one in json.loads(body)["files"]]
            return 200, {"files": [{**one, "shouldIgnore": False} for one in modes]}
        return self._commit(found, name, what[1], [json.loads(line) for line in body.splitlines()])

    def _create(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] != OWNER:
            return 403, {"error": f"You don't have the rights to create a model under {wanted['organization']}"}
        known = name in self.repositories
        private = bool(wanted.get("private") or wanted.get("visibility") == "private")
        self.repositories.setdefault(name, Repository(private))
        return (409 if known else 200), {"url": f"{self.endpoint}/{name}"}

    def _lfs(self, one: dict[str, Any]) -> dict[str, Any]:
        return {**one, "actions": {"upload": {"href": f"{self.endpoint}/lfs/{one['oid']}"}}}

    def _commit(self, found: Repository, name: str, branch: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                found.messages.append(value["summary"])
            elif line["key"] == "file":
                found.branches[branch][value["path"]] = base64.b64decode(value["content"])
            else:
                data = self.objects[value["oid"]]
                assert hashlib.sha256(data).hexdigest() == value["oid"]
                found.branches[branch][value["path"]] = data
        commit = found.commit_of(branch)
        return 200, {"commitUrl": f"{self.endpoint}/{name}/commit/{commit}", "commitOid": commit}

    def _branch(self, found: Repository, revision: str) -> str:
        return next(one for one in found.branches if revision in (one, found.commit_of(one)))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, token = self.path.partition("?")[0], self.headers.get("Authorization", "").removeprefix("Bearer ")
                hub.asked.append(f"{self.command} {path}")
                status, said = hub.answer(self.command, path, token, body)
                data = said[0] if isinstance(said, tuple) else json.dumps(said).encode()
                self.send_response(status)
                if isinstance(said, tuple):
                    self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
                    self.send_header("X-Repo-Commit", said[1])
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_HEAD = do_POST = do_PUT = reply  # noqa: N815

            def log_message(self, *_: Any) -> None: ...

        return Handler


def _metadata(files: dict[str, bytes]) -> dict[str, Any] | None:
    """What the card of a repository says before its text."""
    found: dict[str, Any] | None = yaml.safe_load(files["README.md"].split(b"---")[1]) if "README.md" in files else None
    return found


def _mode(path: str) -> str:
    return "lfs" if path.endswith(".safetensors") else "regular"


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub for as long as the block lasts."""
    hub = Hub()
    threading.Thread(target=hub.server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
