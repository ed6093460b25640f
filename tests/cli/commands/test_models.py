"""`distillgan models` as people and scripts meet it: what is printed where, exit codes, and how soon."""

import json
import os
import pty
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from crafted import STAGE, write_small

from distillgan.cli.commands import model_commands
from distillgan.models.header import read_header
from distillgan.paths import Home

ROOT = Path(__file__).parents[3]
VOCODER = {
    "vocoder": {"name": "harmonic", "generator": {"channels": 8}},
    "training": {"vae": {**STAGE, "error_db": 2.5}, "vocoder": {**STAGE, "steps": 700, "mel_error": 0.25}},
}


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    write_small(home.models, "rain", 0, tags=["field"], note="on \x1b[31mtin\n", licence="CC0", extra={"mood": "low"})
    write_small(home.models, "bells", 1, **VOCODER)
    return home


@pytest.fixture
def run(home, capsys):
    """Call the command; its exit code, standard output and standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            model_commands.models_main([*map(str, arguments), "--home", str(home.root)])
        return left.value.code, *capsys.readouterr()

    return run


def process(*arguments, **options):
    command = [sys.executable, "-m", "distillgan.cli.main", "models", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


def from_json(result):
    code, out, err = result
    assert code == 0 and err == "", err
    return json.loads(out)


def test_listed_for_people_and_as_json(run):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    heading, *lines = out.splitlines()
    assert heading.split() == ["name", "date", "minutes", "error", "vocoder", "size", "tags"]
    assert [re.sub(r"\d{4}-\S+ \S+", "D", " ".join(line.split())) for line in lines] == [
        "bells D 2.0 2.50 dB harmonic 1.2 MB",
        "rain D 1.0 3.00 dB - 1.2 MB field",
    ]
    bells, rain = from_json(run("list", "--json"))
    assert (bells["name"], bells["vocoder"], bells["minutes"]) == ("bells", "harmonic", 2.0)
    assert (rain["tags"], rain["note"], rain["fault"]) == (["field"], "on \x1b[31mtin\n", None)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--sort", "minutes"], "bells rain"),
        (["--sort", "error", "--reverse"], "rain bells"),
        (["--vocoder"], "bells"),
        (["--no-vocoder"], "rain"),
        (["--rate", "48000"], ""),
        (["--min-minutes", "1.5"], "bells"),
        (["--max-minutes=1.5"], "rain"),
        (["--tag", "field"], "rain"),
    ],
)
def test_the_list_narrowed(run, arguments, names):
    assert " ".join(model["name"] for model in from_json(run("list", "--json", *arguments))) == names


def test_searched(run):
    assert [model["name"] for model in from_json(run("search", "TIN", "fie", "--json"))] == ["rain"]
    assert run("search", "tin", "--vocoder") == (0, "no models\n", "")


def test_files_that_are_none_are_listed_with_what_is_wrong(run, home):
    home.model("cut").write_bytes(b"x")
    code, out, _ = run("list")
    assert code == 0 and "bells" in out and "rain" in out
    assert f"cannot be read: {home.model('cut')}: truncated" in out
    assert [model["name"] for model in from_json(run("list", "--json")) if model["fault"]] == ["cut"]
    code, out, err = run("list", "--json", "--vocoder")
    assert code == 0 and len(json.loads(out)) == 1 and "1 of the files cannot be read and are left out" in err


def test_nothing_from_a_file_commands_the_terminal(run, home):
    write_small(home.models, "evil", 3, tags=["\x1b]0;x\x07"], licence="\x1b[2J", extra={"\x1b[1m": "[red]"})
    for arguments in (["list"], ["info", "evil"], ["info", "rain"]):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", run(*arguments)[1])
    assert r"on \x1b[31mtin\n" in run("info", "rain")[1] and "[red]" in run("info", "evil")[1]


def test_all_that_is_known_of_a_model(run, home):
    out = run("info", "bel")[1]
    for words in ("fingerprint", "2 files, 2.0 minutes", "sample_rate 44100", "error_db 2.5", "harmonic", "channels 8"):
        assert words in out
    assert "steps 700" in out and "mel_error 0.25" in out
    assert "mood low" in run("info", "rain")[1] and "CC0" in run("info", "rain")[1]
    value = from_json(run("info", home.model("rain"), "--json"))
    header = read_header(home.model("rain"))
    assert value["fingerprint"] == header.fingerprint and value["header"] == header.to_dict()
    assert value["parameters"] == {"vae": 150_000} and value["header"]["mood"] == "low"


def test_tagged_and_noted(run, home):
    assert run("tag", "ra", "Wet", "night", "--remove", "field") == (0, "rain: night, wet\n", "")
    assert from_json(run("tag", "rain", "--remove", "wet", "--json")) == {"name": "rain", "tags": ["night"]}
    assert run("note", "rain", "in", "key=C", "at night") == (0, "rain: noted\n", "")
    assert read_header(home.model("rain")).note == "in key=C at night"
    assert from_json(run("note", "rain", "", "--json")) == {"name": "rain", "note": ""}


def test_renamed(run, home):
    home.run("rain").mkdir(parents=True)
    value = from_json(run("rename", "rain", "snow", "--json"))
    assert value == {"name": "snow", "path": str(home.model("snow")), "run": str(home.run("snow"))}
    assert home.run("snow").is_dir()
    assert run("rename", "bells", "gong") == (0, f"bells is gong now: {home.model('gong')}\n", "")


def test_imported_exported_and_deleted(run, home, tmp_path):
    path = from_json(run("export", "ra", tmp_path, "--json"))["path"]
    home.run("rain").mkdir(parents=True)
    (home.run("rain") / "manifest.json").write_text('{"fingerprint": "recordings 0"}')
    code, out, _ = run("delete", "rain", "--yes")
    assert (code, out) == (0, f"rain: deleted. Its run stays: {home.run('rain')}.\n")
    assert not home.model("rain").exists() and home.run("rain").exists()
    (tmp_path / "cut.distillgan").write_bytes(b"x")
    code, out, err = run("import", path, tmp_path / "cut.distillgan", path, "--json")
    assert code == 2 and "cut.distillgan: truncated" in err
    assert [(one["name"], one["added"], bool(one["fault"])) for one in json.loads(out)] == [
        ("rain", True, False),
        (None, False, True),
        ("rain", False, False),
    ]
    assert run("import", path)[:2] == (0, f"rain: there already, {home.model('rain')}\n")
    assert run("import", path, "--name", "twin")[:2] == (0, f"twin: imported, {home.model('twin')}\n")


def test_verified(run, home):
    assert run("verify", "--all") == (0, "bells: whole\nrain: whole\n", "")
    data = bytearray(home.model("rain").read_bytes())
    data[-1] ^= 1
    home.model("rain").write_bytes(data)
    assert run("verify", "--all") == (1, "bells: whole\nrain: damaged: vae.weight\n", "")
    assert run("verify", "bells")[0] == 0
    home.model("cut").write_bytes(b"x")
    code, out, _ = run("verify", "bells", "rain", "cut", "--json")
    results = {one["name"]: one for one in json.loads(out)}
    assert code == 1 and results["rain"]["damaged"] == ["vae.weight"] and "truncated" in results["cut"]["fault"]
    assert results["bells"]["damaged"] == [] and results["bells"]["fault"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "VERB"),
        (["frobnicate"], "frobnicate"),
        (["list", "--sort", "colour"], "invalid choice"),
        (["list", "--rate", "high"], "invalid int value"),
        (["list", "--min-minutes", "nan"], "invalid number value: 'nan'"),
        (["search"], "WORD"),
        (["info", "nosuch"], "no such model"),
        (["info", "cut"], "truncated"),
        (["info", ""], "several names begin so|no such model"),
        (["tag", "rain"], "name tags to add"),
        (["tag", "rain", "a b"], "one word"),
        (["tag", "cut", "a"], "truncated"),
        (["import", "a", "b", "--name", "c"], "--name c is for one file, and 2 are"),
        (["import", "nosuch.distillgan"], "does not exist"),
        (["export", "rain", "/nowhere/x.distillgan"], "there is no folder /nowhere"),
        (["delete", "ra", "--yes"], "write the whole name"),
        (["delete", "rain"], "say --yes"),
        (["verify"], "name models to check, or say --all"),
        (["verify", "rain", "--all"], "name models to check, or say --all"),
        (["rename", "rain", "bells"], "taken"),
        (["info", "x" * 300], "(?i)name too long"),
    ],
)
def test_mistakes_are_told_on_standard_error_with_exit_code_2(run, home, arguments, words):
    home.model("cut").write_bytes(b"x")
    before = {path: path.read_bytes() for path in home.models.iterdir()}
    code, out, err = run(*arguments, "--json") if arguments else run()
    assert code == 2 and re.search(words, err), err
    assert out == "" or arguments[0] == "import"
    assert {path: path.read_bytes() for path in home.models.iterdir()} == before


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("n\n", 1, True), ("\n", 1, True), ("\x04", 1, True), ("y\n", 0, False)]
)
def test_deleting_asks_and_says_what_stays(home, answer, code, left):
    home.run("rain").mkdir(parents=True)
    keyboard, terminal = pty.openpty()
    os.write(keyboard, answer.encode())
    done = process("delete", "ra", "--json", "--home", home.root, stdin=terminal)
    os.close(keyboard)
    os.close(terminal)
    assert f"Delete model rain ({home.model('rain')})? Its run stays: {home.run('rain')}. [y/N]" in done.stderr
    assert done.returncode == code and home.model("rain").exists() == left
    assert done.stdout == "" if left else json.loads(done.stdout)["name"] == "rain"


def test_help_names_every_verb():
    done = process("--help")
    verbs = ("list", "search", "info", "rename", "tag", "note", "import", "export", "delete", "verify")
    assert done.returncode == 0 and all(re.search(rf"^    {verb} ", done.stdout, re.M) for verb in verbs)


def test_it_needs_nothing_that_is_slow_to_import():
    code = "import sys, distillgan.cli.commands.model_commands; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    slow = {"torch", "hydra", "omegaconf", "matplotlib", "numpy", "lightning", "soundfile", "safetensors"}
    assert "distillgan" in done.stdout.split() and not slow & set(done.stdout.split())


def test_a_thousand_models_are_listed_in_a_second(tmp_path):
    """The whole process, with headers as long as real ones; its own seconds, not those of its neighbours."""
    corpus = {"fingerprint": "0" * 64, "minutes": 1.0, "files": 100, "train": [f"{n:064}" for n in range(100)]}
    first = write_small(tmp_path / "models", "model0", corpus=corpus)
    for number in range(1, 1000):
        os.link(first, first.with_name(f"model{number}.distillgan"))

    def listing():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = process("list", "--home", tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert len(done.stdout.splitlines()) == 1001
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(listing() for _ in range(2)) < 1
