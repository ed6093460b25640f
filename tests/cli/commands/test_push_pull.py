"""`distillgan push` and `pull` against a hub that keeps what it is sent, by the hub's own client."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from crafted import write_small
from hub_store import Repo, Store, keep
from huggingface_hub import constants

from distillgan.cli.commands import hub_commands, model_commands
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.store.cards import CARD, folder_of, sealed
from distillgan.store.hub import plan

ROOT = Path(__file__).parents[3]
REPO = "ada/rain"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A hub of its own for this process's client, with an empty cache and ada's token."""
    store = Store()
    server = keep(store)
    monkeypatch.setattr(constants, "ENDPOINT", store.url)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", store.url + template[template.index("/{repo_id}") :])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setenv("HF_TOKEN", "hf_of_ada")
    yield store
    store.done.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(tmp_path):
    return made(tmp_path / "home")


def made(root: Path, seed: int = 0, name: str = "rain") -> Home:
    """A home with a small model and its card, which shows one example."""
    home = Home(root)
    path = write_small(home.models, name, seed, note="on tin", tags=["wet"], licence="CC0")
    write_card(home, name, read_header(path).fingerprint)
    return home


def write_card(home: Home, name: str, fingerprint: str) -> None:
    folder = folder_of(home, name)
    (folder / "examples").mkdir(parents=True, exist_ok=True)
    (folder / "examples" / "plain.flac").write_bytes(b"fLaC" * 1000 + fingerprint.encode())
    text = f"---\ntags: []\n---\n# {name}\n\n[plain.flac](examples/plain.flac)\n\n"
    (folder / CARD).write_text(sealed(text, fingerprint))


@pytest.fixture
def run(home, capsys):
    """Call a verb; its exit code, standard output and standard error."""

    def run(verb, *arguments, at=home):
        with pytest.raises(SystemExit) as left:
            verb([*map(str, arguments), "--home", str(at.root)])
        return left.value.code, *capsys.readouterr()

    return run


def test_there_and_back_again_byte_by_byte(store, home, run, tmp_path):
    code, out, err = run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    assert code == 0, err
    assert re.search(r"ada/rain: a new repository, private\n +1\.2 MB  rain\.distillgan\n +0\.2 kB  README\.md\n", out)
    assert "latents of the recordings" in out and "sending rain.distillgan, 1.2 MB" in out
    repo = store.repos[REPO]
    assert repo.private and sorted(repo.files) == [".gitattributes", CARD, "examples/plain.flac", "rain.distillgan"]
    assert repo.files["rain.distillgan"] == home.model("rain").read_bytes()
    assert "hf_of_ada" not in out + err

    other = Home(tmp_path / "other")
    code, out, err = run(hub_commands.pull_main, REPO, at=other)
    assert code == 0, err
    assert f"rain: pulled, {other.model('rain')}" in out and f"{REPO} at {repo.commits[-1][0]}" in out
    assert other.model("rain").read_bytes() == home.model("rain").read_bytes()
    assert run(model_commands.models_main, "verify", "rain", at=other)[:2] == (0, "rain: whole\n")
    assert (
        f"ada/rain, commit {repo.commits[-1][0][:12]}, rain.distillgan"
        in run(model_commands.models_main, "info", "rain", at=other)[1]
    )
    origin = json.loads(run(model_commands.models_main, "info", "rain", "--json", at=other)[1])["origin"]
    assert origin == {"repo": REPO, "commit": repo.commits[-1][0], "file": "rain.distillgan"}

    fetched = len(store.asked("GET", "/cdn/"))
    code, out, _ = run(hub_commands.pull_main, REPO, "--json", at=other)
    assert code == 0 and json.loads(out)[0]["added"] is False
    assert json.loads(run(hub_commands.pull_main, REPO, "--name", "twin", "--json", at=other)[1])[0]["name"] == "twin"
    assert len(store.asked("GET", "/cdn/")) == fetched, "what lies in the cache is not fetched again"


def test_the_same_again_sends_nothing(store, home, run):
    first = json.loads(run(hub_commands.push_main, "rain", "--repo", REPO, "--yes", "--json")[1])
    assert first["created"] and first["private"] and len(first["files"]) == 3 and first["removed"] == []
    code, out, _ = run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    assert code == 0 and "ada/rain has all of it already" in out
    assert len(store.repos[REPO].commits) == 2 and len(store.asked("PUT", "/upload/")) == 2


def test_another_model_is_not_written_over(store, home, run, tmp_path):
    run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    other = made(tmp_path / "other", 1, "bells")
    code, out, err = run(hub_commands.push_main, "bells", "--repo", REPO, "--yes", at=other)
    assert code == 2 and "holds something else already (rain.distillgan, README.md, examples/plain.flac)" in err
    assert "--replace" in err and len(store.repos[REPO].commits) == 2
    code, out, err = run(hub_commands.push_main, "bells", "--repo", REPO, "--yes", "--replace", at=other)
    assert code == 0 and "removed  rain.distillgan" in out and "README.md  (replaced)" in out, err
    assert sorted(store.repos[REPO].files) == [".gitattributes", CARD, "bells.distillgan", "examples/plain.flac"]
    assert json.loads(run(hub_commands.pull_main, REPO, "--json", at=other)[1])[0]["name"] == "bells"
    old = store.repos[REPO].commits[1][0]
    assert json.loads(run(hub_commands.pull_main, REPO, "--revision", old, "--json", at=other)[1])[0]["name"] == "rain"


def test_who_may_see_it(store, home, run, monkeypatch, tmp_path):
    assert "a new repository, public" in run(hub_commands.push_main, "rain", "--repo", REPO, "--yes", "--public")[1]
    assert not store.repos[REPO].private
    code, _, err = run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    assert code == 2 and "is public: say --public" in err
    run(hub_commands.push_main, "rain", "--repo", "ada/secret", "--yes")
    code, _, err = run(hub_commands.push_main, "rain", "--repo", "ada/secret", "--yes", "--public")
    assert code == 2 and "is private: leave out --public" in err
    monkeypatch.delenv("HF_TOKEN")
    other = Home(tmp_path / "other")
    assert run(hub_commands.pull_main, REPO, at=other)[0] == 0, "a public one wants no token"
    code, _, err = run(hub_commands.pull_main, "ada/secret", at=other)
    assert code == 2 and "no repository ada/secret, or it is private" in err and "HF_TOKEN" in err


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("\x04", 1), ("y\n", 0)])
def test_it_asks_before_anything_is_sent(store, home, tmp_path, answer, code):
    keyboard, terminal = pty.openpty()
    os.write(keyboard, answer.encode())
    with start(store, home, tmp_path, "push", "ra", "--repo", REPO, "--json", stdin=terminal) as process:
        out, err = process.communicate(timeout=60)
    os.close(keyboard)
    os.close(terminal)
    assert process.returncode == code, err
    assert "Send 1.2 MB to ada/rain, private? [y/N]" in err
    assert (REPO in store.repos) == (code == 0) and bool(out) == (code == 0)
    assert not out or json.loads(out)["repo"] == REPO


def test_without_anybody_to_ask(store, home, run):
    code, _, err = run(hub_commands.push_main, "rain", "--repo", REPO)
    assert code == 2 and "say --yes" in err and not store.asked("POST", "")
    code, _, err = run(hub_commands.push_main, "ra", "--repo", REPO, "--yes")
    assert code == 2 and "write the whole name" in err


@pytest.mark.parametrize(
    ("token", "repo", "fault", "words"),
    [
        ("", REPO, None, r"set HF_TOKEN to a token that may write, or say `hf auth login`"),
        ("hf_wrong", REPO, None, r"does not know this token \(401\)"),
        ("hf_of_bob", REPO, None, r"\(403\): there is no such user or organisation as ada, or your token may not"),
        ("hf_of_ada", "rain", None, r"'rain' is no repository of the hub: it must be owner/name"),
        ("hf_of_ada", "ada/../x", None, r"is no repository of the hub"),
        ("hf_of_ada", REPO, ("/api/models/", 500, ""), r"answers with an error \(500\): try again later"),
        ("hf_of_ada", REPO, ("/create", 402, "Payment required"), r"no room for it on the hub \(402\): Payment"),
        ("hf_of_ada", REPO, ("/batch", 403, "Private storage limit reached"), r"no room .*storage limit reached"),
        ("hf_of_ada", REPO, ("/commit", 413, ""), r"no room for it on the hub \(413\)"),
        ("hf_of_ada", REPO, ("/commit", 412, "A commit has happened since"), r"changing the repository \(412\)"),
        ("hf_of_ada", REPO, ("/commit", 500, ""), r"answers with an error \(500\).*Nothing in it is changed"),
        ("hf_of_ada", REPO, ("/validate-yaml", 400, ""), r"does not take it: Invalid metadata in README.md"),
        ("hf_of_ada", REPO, ("/upload/", 403, "no \x1b[31mway"), r"the hub refuses \(403\).*Nothing in it is changed"),
    ],
)
def test_refusals_of_a_push_in_words(store, home, run, monkeypatch, token, repo, fault, words):
    monkeypatch.setenv("HF_TOKEN", token)
    store.faults = [fault] if fault else []
    code, out, err = run(hub_commands.push_main, "rain", "--repo", repo, "--yes")
    assert code == 2 and re.search(words, err), err
    assert "Traceback" not in err and "\x1b" not in err and (not token or token not in out + err)
    assert REPO not in store.repos or len(store.repos[REPO].commits) == 1


def test_a_commit_of_somebody_else_between_is_seen(store, home, run, monkeypatch):
    run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    write_small(home.models, "rain", 3)
    write_card(home, "rain", read_header(home.model("rain")).fingerprint)

    def planned(*arguments):
        found = plan(*arguments)
        store.repos[REPO].commit({**store.repos[REPO].files, "notes.txt": b"hello"})
        return found

    monkeypatch.setattr("distillgan.store.hub.plan", planned)
    code, _, err = run(hub_commands.push_main, "rain", "--repo", REPO, "--yes", "--replace")
    assert code == 2 and "somebody else is changing the repository (412)" in err
    assert store.repos[REPO].files["notes.txt"] == b"hello" and len(store.repos[REPO].commits) == 3


def test_an_upload_that_fails_once_is_sent_again(store, home, run):
    store.faults = [("/upload/", 500, "")]
    assert run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")[0] == 0
    assert store.repos[REPO].files["rain.distillgan"] == home.model("rain").read_bytes()


def test_ctrl_c_in_the_middle_of_an_upload(store, home, tmp_path):
    store.slow = True
    with start(store, home, tmp_path, "push", "rain", "--repo", REPO, "--yes") as process:
        while not store.asked("PUT", "/upload/"):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "Traceback" not in err
    assert list(store.repos[REPO].files) == [".gitattributes"]


def test_what_is_not_sent(store, home, run):
    data = bytearray(home.model("rain").read_bytes())
    data[-1] ^= 1
    home.model("hurt").write_bytes(data)
    code, _, err = run(hub_commands.push_main, "hurt", "--repo", REPO, "--yes")
    assert code == 2 and "is damaged (vae.weight) and is not sent" in err
    (folder_of(home, "rain") / "examples" / "plain.flac").unlink()
    code, _, err = run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    assert code == 2 and "shows 'examples/plain.flac', and there is no such file" in err
    (folder_of(home, "rain") / CARD).write_text("# mine\n![x](../../library.sqlite)\n")
    (home.root / "library.sqlite").write_bytes(b"x")
    code, _, err = run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    assert code == 2 and "shows '../../library.sqlite'" in err
    write_card(home, "rain", "0" * 16)
    code, _, err = run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    assert code == 2 and "of other weights than rain has now" in err
    assert not store.repos


def test_a_card_that_a_person_wrote_is_sent_as_it_is(store, home, run):
    card = folder_of(home, "rain") / CARD
    (card.parent / "me.png").write_bytes(b"\x89PNG")
    (card.parent / "private.txt").write_bytes(b"not shown, not sent")
    card.write_text("# mine\n![me](me.png) and [elsewhere](http://x.org/y.png) and [below](#below)\n")
    assert run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")[0] == 0
    assert sorted(store.repos[REPO].files) == [".gitattributes", CARD, "me.png", "rain.distillgan"]
    assert store.repos[REPO].files[CARD] == card.read_bytes()


def test_a_download_that_breaks_off_is_gone_on_with(store, home, run, tmp_path):
    run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    store.break_after = [400_000, 200_000]
    other = Home(tmp_path / "other")
    assert run(hub_commands.pull_main, REPO, at=other)[0] == 0
    spans = [span for method, path, span in store.requests if method == "GET" and "/cdn/" in path]
    assert spans == ["", "bytes=400000-", "bytes=600000-"]
    assert other.model("rain").read_bytes() == home.model("rain").read_bytes()


def test_what_arrives_damaged_is_not_kept(store, home, run, tmp_path):
    run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    other, store.spoilt = Home(tmp_path / "other"), True
    code, out, err = run(hub_commands.pull_main, REPO, "--json", at=other)
    assert code == 2 and "rain.distillgan of ada/rain is not kept: its sha256 is" in err
    assert json.loads(out)[0]["fault"] and not other.model("rain").exists()
    assert not [path for path in (tmp_path / "hub").rglob("*") if path.is_file() and path.stat().st_size > 1000]
    store.spoilt = False
    assert run(hub_commands.pull_main, REPO, at=other)[0] == 0


def test_a_file_that_rots_in_the_cache_is_fetched_anew(store, home, run, tmp_path):
    run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    run(hub_commands.pull_main, REPO, at=Home(tmp_path / "one"))
    cached = next((tmp_path / "hub").rglob("rain.distillgan"))
    cached.resolve().write_bytes(b"rotten")
    two = Home(tmp_path / "two")
    assert run(hub_commands.pull_main, REPO, at=two)[0] == 0
    assert two.model("rain").read_bytes() == home.model("rain").read_bytes()


def test_only_models_are_taken(store, run, home, tmp_path):
    other = Home(tmp_path / "other")
    store.repos["ada/old"] = Repo(False)
    store.repos["ada/old"].commit({"rain.distill": b"\x80\x04", "pytorch_model.bin": b"PK", "evil.py": b"boom"})
    code, _, err = run(hub_commands.pull_main, "ada/old", at=other)
    assert code == 2 and "holds no .distillgan file, only rain.distill, pytorch_model.bin, evil.py" in err
    assert "can run code when they are loaded and are never read: retrain" in err
    store.repos["ada/fake"] = Repo(False)
    store.repos["ada/fake"].commit({"fake.distillgan": b"\x80\x04\x95" + bytes(5000)})
    code, _, err = run(hub_commands.pull_main, "ada/fake", at=other)
    assert code == 2 and "fake.distillgan of ada/fake is not kept: made by version 1 (or a PyTorch pickle)" in err
    whole = bytearray(home.model("rain").read_bytes())
    whole[-1] ^= 1
    store.repos["ada/hurt"] = Repo(False)
    store.repos["ada/hurt"].commit({"hurt.distillgan": bytes(whole)})
    code, _, err = run(hub_commands.pull_main, "ada/hurt", at=other)
    assert code == 2 and "hurt.distillgan of ada/hurt is not kept: damaged: vae.weight" in err
    assert not store.asked("GET", "evil.py") and not list(other.models.glob("*"))


@pytest.mark.parametrize(
    "path", ["../../../rain.distillgan", "/etc/rain.distillgan", "a\\..\\x.distillgan", "\x1b[2J.distillgan"]
)
def test_a_hub_cannot_choose_where_files_go(store, home, run, path, tmp_path):
    run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    store.renamed["rain.distillgan"] = path
    before = {found for found in tmp_path.rglob("*") if found.is_file()}
    code, _, err = run(hub_commands.pull_main, REPO, at=Home(tmp_path / "other"))
    assert code == 2 and "is no path that is fetched" in err and "\x1b" not in err
    assert {found for found in tmp_path.rglob("*") if found.is_file()} == before


def test_names_that_are_taken_and_several_models(store, home, run, tmp_path):
    run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    other = made(tmp_path / "other", 1)
    before = other.model("rain").read_bytes()
    code, _, err = run(hub_commands.pull_main, REPO, at=other)
    assert code == 2 and "rain is taken by another model" in err and "--name NAME" in err
    assert other.model("rain").read_bytes() == before
    assert run(hub_commands.pull_main, REPO, "--name", "drizzle", at=other)[0] == 0
    assert run(model_commands.models_main, "verify", "--all", at=other)[:2] == (0, "drizzle: whole\nrain: whole\n")
    made(tmp_path / "third", 2, "bells")
    bells = (tmp_path / "third" / "models" / "bells.distillgan").read_bytes()
    store.repos[REPO].commit({**store.repos[REPO].files, "more/bells.distillgan": bells})
    code, out, err = run(hub_commands.pull_main, REPO, "--json", at=other)
    assert code == 2 and "rain is taken by another model" in err, "as `models import` has it"
    assert [one["name"] for one in json.loads(out)] == [None, "bells"], "the other is no worse for it"
    code, _, err = run(hub_commands.pull_main, REPO, "--name", "x", at=other)
    assert code == 2 and "--name x is for one model, and ada/rain holds 2" in err


@pytest.mark.parametrize(
    ("repo", "more", "attribute", "words"),
    [
        ("ada/none", (), None, "the hub has no repository ada/none, or it is private"),
        (REPO, ("--revision", "v9"), None, "no such revision"),
        ("rain", (), None, "it must be owner/name"),
        (REPO, (), "foreign", "does not answer like a hub"),
        (REPO, (), "mute", "did not answer in time"),
    ],
)
def test_refusals_of_a_pull_in_words(store, home, run, monkeypatch, repo, more, attribute, words):
    run(hub_commands.push_main, "rain", "--repo", REPO, "--yes")
    monkeypatch.setattr("distillgan.models.vocoders.weights._PATIENCE_SECONDS", 1.0)
    if attribute:
        setattr(store, attribute, True)
    code, out, err = run(hub_commands.pull_main, repo, *more)
    assert code == 2 and words in err and "Traceback" not in err and out == ""


def test_without_a_network_it_is_told_at_once(home, tmp_path):
    begun = time.monotonic()
    for arguments in (["pull", REPO], ["push", "rain", "--repo", REPO, "--yes"]):
        nowhere = Store(url="http://127.0.0.1:9")
        with start(nowhere, home, tmp_path, *arguments) as process:
            _, err = process.communicate(timeout=60)
        assert process.returncode == 2 and "there is no connection to http://127.0.0.1:9" in err, err
    assert time.monotonic() - begun < 60


def test_the_verbs_need_nothing_slow_until_they_send():
    code = "import sys, distillgan.cli.commands.hub_commands, distillgan.cli.commands.model_commands;"
    code += "print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    slow = {"torch", "hydra", "numpy", "matplotlib", "huggingface_hub", "httpx", "httpx2", "yaml"}
    assert "distillgan" in done.stdout.split() and not slow & set(done.stdout.split())


def start(store: Store, home: Home, tmp_path: Path, *arguments, **options) -> subprocess.Popen:
    places = {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": store.url, "HF_TOKEN": "hf_of_ada"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | places
    command = [sys.executable, "-m", "distillgan.cli.main", *arguments, "--home", str(home.root)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=environment, **options)
