"""The lessons: kept without outputs, and each runs from start to end, away from the checkout."""

import ast
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from crafted import write_crafted
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
# The first trains as long as a beginner would watch it.
RUN = [pytest.param(path, marks=pytest.mark.slow if path.name[0] == "1" else ()) for path in NOTEBOOKS]
# Settings under which a lesson takes seconds.
TINY = {
    "TRAINING": {"experiment": "tiny", "vocoder": "harmonic"},
    "SECONDS": 1.5,
    "SEEDS": (1,),
    "BIGVGAN": False,
}


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def is_settings(cell: NotebookNode) -> bool:
    return "parameters" in cell.metadata.get("tags", [])


def settings_of(notebook: NotebookNode) -> dict[str, object]:
    """What the cell tagged `parameters` sets."""
    (cell,) = filter(is_settings, notebook.cells)
    assigned = [node for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in assigned}


def test_there_are_five_lessons():
    assert [path.name[0] for path in NOTEBOOKS] == list("12345")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_is_kept_without_what_came_of_it(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cell.id), f"{cell.id} is no name that somebody gave the cell"
        assert set(cell.metadata) <= {"tags"}
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None and cell.source.strip()
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert 10 <= len(notebook.cells) <= 26


def test_all_lessons_play_the_model_of_the_first():
    first, *others = (settings_of(read(path)) for path in NOTEBOOKS)
    for settings in others:
        assert settings.items() >= {key: first[key] for key in ("NAME", "RECORDINGS", "TRAINING")}.items()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """With a model of no training, for all lessons but the first, which trains its own."""
    home = tmp_path_factory.mktemp("home")
    write_crafted(home / "models", "crafted", sliders=("brightness", "density"))
    return home


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """The folder that the notebooks run in."""
    return tmp_path_factory.mktemp("here")


@pytest.fixture(scope="module")
def kernel(home, here, tmp_path_factory):
    """One process for all lessons: importing torch and the rest takes as long as a lesson."""
    own = str(tmp_path_factory.mktemp("jupyter"))  # nothing of whoever tests, or for him
    jupyter = dict.fromkeys(("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"), own)
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(here), env={**os.environ, **jupyter, "DISTILLGAN_HOME": str(home)})
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.fixture
def folder(recordings, tmp_path) -> Path:
    """A corpus of two recordings."""
    for name in ("take1.wav", "take5.wav"):
        shutil.copy(recordings / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_a_lesson_runs_from_start_to_end(path, kernel, home, here, folder):
    notebook, first = read(path), path == NOTEBOOKS[0]
    own = {"NAME": "lessons", "RECORDINGS": None} if first else {"NAME": "crafted", "RECORDINGS": str(folder)}
    lines = [f"{name} = {(TINY | own)[name]!r}" for name in settings_of(notebook)]
    (place,) = (number for number, cell in enumerate(notebook.cells) if is_settings(cell))
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell("\n".join(lines)))
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))

    NotebookClient(notebook, km=kernel, timeout=300).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) >= 2, "it has pictures"
    assert sum("<audio" in data.get("text/html", "") for data in shown) >= 1, "and sound"
    assert (home / "models" / f"{own['NAME']}.distillgan").is_file()
    assert not any(here.iterdir()), "all that is made belongs in DISTILLGAN_HOME"
