"""The README's table of configuration groups is that of conf/ as it is."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("config_table", ROOT / "docs" / "config_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def conf(tmp_path):
    return Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))


def test_the_readme_has_the_table_of_today(script):
    readme = (ROOT / "README.md").read_text("utf-8")
    assert script.put_in(readme, script.table(ROOT / "conf")) == readme, "stale: run python docs/config_table.py"


def test_every_option_has_its_row_and_its_group_is_said_once(script, conf):
    rows = [row.split(" | ") for row in script.table(conf).splitlines()[2:]]
    files = [path for path in conf.rglob("[!_]*.yaml") if path.parent != conf]
    assert len(rows) == len(files) and sorted(row[1] for row in rows) == sorted(f"`{path.stem}`" for path in files)
    groups = [row[0].strip("| `") for row in rows if row[0].strip("| ")]
    assert groups == sorted({path.parent.relative_to(conf).as_posix() for path in files})
    assert all(len(row) == 3 and len(row[2]) > 10 for row in rows)


def test_the_first_sentence_is_taken_and_its_signs_are_text(script, conf):
    before = script.table(conf)
    (conf / "export" / "opus.yaml").write_text(
        "# @package _global_\n# Opus v. 1, a|b of\n# x_y * 2. More.\n\n# No.\nq: 1\n"
    )
    row = "|  | `opus` | Opus v. 1, a\\|b of x\\_y \\* 2 |"
    assert [line for line in script.table(conf).splitlines() if line not in before.splitlines()] == [row]


def test_a_file_that_does_not_say_what_it_is_for_is_refused(script, conf):
    (conf / "export" / "opus.yaml").write_text("name: opus # Opus\n")
    with pytest.raises(SystemExit, match=r"opus\.yaml: has no comment at its head"):
        script.table(conf)


@pytest.mark.parametrize("readme", ["", "{b}", "{e}", "{e}{b}", "{b}{e}{e}", "{b}{b}{e}"])
def test_a_readme_without_its_marks_is_refused(script, readme):
    with pytest.raises(SystemExit, match=r"README\.md wants one"):
        script.put_in(readme.format(b=script.BEGIN, e=script.END), "table")


def test_what_is_around_the_table_stays(script):
    made = script.put_in(f"a\n{script.BEGIN}\nold\n{script.END}\nb\n", "new")
    assert made == f"a\n{script.BEGIN}\n\nnew\n\n{script.END}\nb\n" and script.put_in(made, "new") == made
