"""A clone stands alone: it reads nothing beside it, git ignores what runs write, and its papers agree."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import distillgan
from distillgan.paths import Home

ROOT = Path(__file__).parents[1]
PARTS = (".ci", "conf", "distillgan", "docs", "experiments", "findings", "notebooks", "tests", "vendor")
TEXTS = {".cff", ".ipynb", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ""}


def texts() -> list[Path]:
    """The project's files of text: its own folders without what runs have written there, and what lies at the top."""
    found = [path for part in PARTS for path in (ROOT / part).rglob("*")] + list(ROOT.iterdir())
    own = [path for path in found if path.suffix in TEXTS and path.is_file() and path.name != ".git"]
    return [path for path in own if path != Path(__file__) and not ignored(path.relative_to(ROOT))]


def ignored(path: Path) -> bool:
    lines = (ROOT / ".gitignore").read_text().split()
    return any(f"/{path}".startswith(line) for line in lines if line.startswith("/")) or "__pycache__" in path.parts


def test_nothing_is_read_that_lies_beside_the_clone():
    paths = texts()
    assert {ROOT / "Makefile", ROOT / ".ci" / "run", ROOT / "tests" / "hub.py"} <= set(paths) and len(paths) > 300
    outside = re.compile(r"\.\./shared|[\"']shared[\"']|/work/")
    assert not [path for path in paths if outside.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("name", "seen"), [("outputs", []), ("experiments", ["experiments/mine.py"])])
def test_git_ignores_what_runs_write(tmp_path, name, seen):
    """All that a home ever holds, in outputs/ and, as before 0.2, beside the studies in experiments/."""
    home = Home(tmp_path / name)
    folders = {path.name for path in (home.runs, home.models, home.audio, home.sweeps, home.training("a").parent)}
    folders |= {"cache", "cards", "corpora", "evaluations", "exports", "origins"}
    for folder in folders:
        (home.root / folder).mkdir()
        (home.root / folder / "made").touch()
    for suffix in ("", "-wal", "-shm", "-journal"):
        (home.root / f"library.sqlite{suffix}").touch()
    (tmp_path / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    (home.root / "mine.py").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    listed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert listed.splitlines() == [f"?? {path}" for path in (".gitignore", *seen)]


def test_each_study_says_its_question_command_table_and_answer():
    studies = [
        path for path in (ROOT / "experiments").iterdir() if path.is_dir() and not ignored(path.relative_to(ROOT))
    ]
    assert len(studies) > 10
    for study in studies:
        text = (study / "README.md").read_text()
        parts = {"question": r"\?", "command": r"^    \S", "table": r"^\|[ :-]+\|", "answer": r"^\*\*Answer\.\*\* "}
        if study.name == "yardsticks":  # what studies compare with
            parts = {"command": parts["command"], "table": parts["table"]}
        assert not [part for part, form in parts.items() if not re.search(form, text, re.MULTILINE)], study.name
        assert f"experiments/{study.name})" in (ROOT / "docs" / "research.md").read_text(), study.name


def test_the_version_stands_in_one_place():
    (newest, *older) = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest == distillgan.__version__ and older[-1] == "0.1.0"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert "version" not in project and "version" not in citation
    assert project["license"] == citation["license"] == "MIT"


def test_the_notice_names_all_whose_sounds_the_universal_vocoder_learnt_from():
    sources = yaml.safe_load((ROOT / "experiments" / "universal_hifigan" / "sources.yaml").read_text())
    learnt = [about for about in sources.values() if about["split"] == "train" and "package" in about]
    notice, card = (ROOT / "NOTICE").read_text(), (ROOT / "distillgan/models/vocoders/universal/CARD.md").read_text()
    assert len(learnt) > 10
    for about in learnt:
        who = re.split(r" *[(,]", about["attribution"])[0]
        assert who in notice and who in card, who
        assert about["licence"].split(" ")[0].rstrip(",") in notice
