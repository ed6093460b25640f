"""A hub that keeps what it is sent: repositories, commits, tokens, and large files at another host; and its faults.

Beside `hub`, which holds one release and only gives: this one speaks the client's protocol in both directions.
"""

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKENS = {"hf_of_ada": "ada", "hf_of_bob": "bob"}
_LARGE = (".distillgan", ".flac", ".png", ".distill", ".bin")


@dataclass
class Repo:
    """files of each commit, the latest last."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def __post_init__(self):
        self.commit({".gitattributes": b"*.distillgan filter=lfs\n"})

    def commit(self, files: dict[str, bytes]) -> str:
        listed = "".join(f"{path} {hashlib.sha1(data).hexdigest()}" for path, data in sorted(files.items()))
        sha = hashlib.sha1(f"{len(self.commits)}{listed}".encode()).hexdigest()
        self.commits.append((sha, dict(files)))
        return sha

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1][1]


@dataclass
class Store:
    """What the hub holds, and what it does wrong.

    faults: what is next in a list of (part of the path, status, words) is what the first such request is answered;
    renamed: path that is listed → path that it is said to have.
    """

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range or token
    faults: list[tuple[str, int, str]] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)  # bytes of the next large answers before they break off
    slow: bool = False  # an upload is not read to its end
    mute: bool = False
    foreign: bool = False
    spoilt: bool = False  # the last byte of large answers is another than it was
    done: threading.Event = field(default_factory=threading.Event)

    def asked(self, method: str, part: str) -> list[str]:
        return [path for verb, path, _ in self.requests if verb == method and part in path]


def keep(store: Store) -> ThreadingHTTPServer:
    """Serve it, on a port of its own."""
    handler = type("Handler", (_Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # a client that leaves
    server.daemon_threads = True
    store.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def do_GET(self):
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self):
        store, path = self.store, unquote(urlsplit(self.path).path)
        store.requests.append((self.command, self.path, self.headers.get("Range", "")))
        if store.mute or (store.slow and self.command == "PUT"):
            store.done.wait()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if store.foreign:
            return self._send(200, b"<html>hello</html>", {"Content-Type": "text/html"})
        fault = next((fault for fault in store.faults if fault[0] in path), None)
        if fault is not None:
            store.faults.remove(fault)
            return self._refuse(fault[1], "", fault[2])
        routes = {
            r"/api/repos/create": self._create,
            r"/api/validate-yaml": lambda: self._send(200, {"errors": [], "warnings": []}),
            r"/api/models/([^/]+/[^/]+)/preupload/main": lambda repo: self._modes(repo, json.loads(body)),
            r"/api/models/([^/]+/[^/]+)/commit/main": lambda repo: self._commit(repo, body),
            r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?": self._info,
            r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch": lambda repo: self._batch(repo, json.loads(body)),
            r"/upload/([0-9a-f]{64})": lambda oid: self._take(oid, body),
            r"/verify": lambda: self._send(200, {}),
            r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)": self._resolve,
            r"/cdn/([0-9a-f]{64})": self._give,
        }
        self._body = body
        for pattern, act in routes.items():
            if found := re.fullmatch(pattern, path):
                return act(*found.groups())
        self._refuse(404, "EntryNotFound", "nothing here")

    def _user(self) -> str | None:
        """Whose token it is; an unknown one is answered as the hub does, and ends the request."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return TOKENS.get(token, "nobody" if token else None)

    def _seen(self, name: str, write: bool = False) -> Repo | None:
        """The repository, if this user may; else the refusal is sent."""
        user, repo = self._user(), self.store.repos.get(name)
        if user == "nobody":
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif repo is None or (repo.private and user != name.partition("/")[0]):
            self._refuse(404 if user else 401, "RepoNotFound", "Repository not found")
        elif write and user != name.partition("/")[0]:
            self._refuse(403, "", "You have no write access")
        else:
            return repo
        return None

    def _create(self):
        value, user = json.loads(self._body), self._user()
        name = f"{value.get('organization') or user}/{value['name']}"
        if user in (None, "nobody"):
            return self._refuse(401, "", "Invalid credentials in Authorization header")
        if name.partition("/")[0] != user:
            return self._refuse(403, "", f"You don't have the rights to create a model under {name}")
        if name in self.store.repos:
            return self._refuse(409, "", "You already created this model repo")
        private = value.get("private") or value.get("visibility") == "private"
        self.store.repos[name] = Repo(bool(private))
        self._send(200, {"url": f"{self.store.url}/{name}", "name": name})

    def _info(self, name: str, revision: str | None):
        repo = self._seen(name)
        if repo is None:
            return
        found = [one for one in repo.commits if revision in (None, "main", one[0])]
        if not found:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        sha, files = found[-1]
        siblings = []
        for path, data in files.items():
            one = {"rfilename": self.store.renamed.get(path, path), "size": len(data)}
            one["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if path.endswith(_LARGE):
                one["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(one)
        self._send(200, {"id": name, "sha": sha, "private": repo.private, "siblings": siblings, "tags": []})

    def _modes(self, name: str, value: dict):
        if self._seen(name, write=True):
            files = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(_LARGE) else "regular"}
                for one in value["files"]
            ]
            self._send(200, {"files": [{**one, "shouldIgnore": False, "oid": None} for one in files]})

    def _batch(self, name: str, value: dict):
        if self._seen(name, write=True):
            objects = []
            for one in value["objects"]:
                if one["oid"] not in self.store.blobs:
                    # To another host, as the hub does it: no token goes there.
                    place = self.store.url.replace("127.0.0.1", "localhost")
                    one["actions"] = {
                        "upload": {"href": f"{place}/upload/{one['oid']}", "header": {}},
                        "verify": {"href": f"{self.store.url}/verify", "header": {}},
                    }
                objects.append(one)
            self._send(200, {"transfer": "basic", "objects": objects})

    def _take(self, oid: str, body: bytes):
        if hashlib.sha256(body).hexdigest() != oid or "Authorization" in self.headers:
            return self._refuse(400, "", "other bytes than were promised, or a token that should not be here")
        self.store.blobs[oid] = body
        self._send(200, b"", {"ETag": f'"{oid}"'})

    def _commit(self, name: str, body: bytes):
        repo = self._seen(name, write=True)
        if repo is None:
            return
        header, *operations = [json.loads(line) for line in body.splitlines()]
        parent = header["value"].get("parentCommit")
        if parent is not None and parent != repo.commits[-1][0]:
            return self._refuse(412, "", "A commit has happened since. Please refresh and try again.")
        files = dict(repo.files)
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.store.blobs[value["oid"]]
            else:
                del files[value["path"]]
        sha = repo.commit(files)
        self._send(200, {"commitUrl": f"{self.store.url}/{name}/commit/{sha}", "commitOid": sha})

    def _resolve(self, name: str, revision: str, path: str):
        repo = self._seen(name)
        if repo is None:
            return
        commits = dict(repo.commits)
        path = {said: true for true, said in self.store.renamed.items()}.get(path, path)
        if revision not in commits or path not in commits[revision]:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        data = commits[revision][path]
        digest = hashlib.sha256(data).hexdigest()
        known = {"X-Repo-Commit": revision, "ETag": f'"{digest}"'}
        if not path.endswith(_LARGE):
            return self._send(200, data, known)
        self.store.blobs[digest] = data
        place = f"{self.store.url.replace('127.0.0.1', 'localhost')}/cdn/{digest}"
        self._send(
            302, b"", {**known, "Location": place, "X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{digest}"'}
        )

    def _give(self, digest: str):
        data = self.store.blobs[digest]
        if self.store.spoilt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        first = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
        headers = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        cut = self.store.break_after.pop(0) if self.store.break_after and self.command == "GET" else None
        self._send(206 if first else 200, data[first:], headers, cut)

    def _refuse(self, status: int, code: str, words: str):
        headers = {"X-Error-Code": code} if code else {}
        self._send(status, {"error": words}, {**headers, "X-Error-Message": words})

    def _send(self, status: int, body: bytes | dict, headers: dict[str, str] | None = None, cut: int | None = None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {}), "Content-Length": len(data)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:cut])
        if cut is not None:
            self.wfile.flush()
            time.sleep(0.02)
            self.close_connection = True

    def log_message(self, *_):
        pass
