"""The order of the packages: imports run one way, so that each can be read, tested and shipped without the next."""

import ast
import graphlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from crafted import write_crafted

ROOT = Path(__file__).parents[1] / "distillgan"
VENDOR = ROOT.parent / "vendor"
# A package imports those to its left, and itself.
ORDER = ["audio", "data", "models", "features", "control", "training", "store", "synthesis", "evaluation", "cli", "ui"]
# Packages that stay clear of each other although the order would let them.
APART = {
    ("models", "data"),
    ("features", "models"),
    ("synthesis", "training"),
    ("store", "training"),
}
# What judges a model needs no training.
APART |= {("evaluation", "training")}
# The page reads what a run writes, and starts it as a process of its own.
READ_BY_THE_PAGE = "training.run_status"
BASE = {"errors", "paths", "atomic", "process", "compute", "progress", "configuration"}
ENTRIES = {"train", "generate", "evaluate"}
LIGHTNING = {"data.datamodule", "models.vae.module", "models.vocoders.module"}
MOST_MODULES, MOST_AT_THE_TOP, MOST_LINES_OF_AN_ENTRY = 139, 12, 80
TWICE = {"__init__", "base", "module", "network", "losses"}


def modules() -> dict[str, Path]:
    """Dotted name inside the package ("audio.mel", "" for the package itself) → file."""
    names = {}
    for path in sorted([*ROOT.rglob("*.py"), *VENDOR.rglob("*.py")]):
        parts = path.relative_to(ROOT if path.is_relative_to(ROOT) else VENDOR.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def imports(name: str) -> set[str]:
    """Full dotted names of all that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(name: str) -> set[str]:
    """Modules of the package that a module imports, by their names inside it."""
    found = set()
    for full in imports(name):
        if full == "distillgan" or full.startswith("distillgan."):
            inner = full.removeprefix("distillgan").removeprefix(".")
            # `from distillgan.audio.mel import MelSpec` names something inside the module.
            found.add(inner if inner in MODULES else inner.rpartition(".")[0])
    return found


def package(name: str) -> str:
    return name.partition(".")[0]


EDGES = [(name, other) for name in MODULES for other in own_imports(name)]
OWN = {name: path for name, path in MODULES.items() if package(name) != "vendor"}


def test_the_modules_are_found():
    """Otherwise everything below would hold for want of anything to look at."""
    assert {"audio.mel", "data.datamodule", "synthesis.renderer", "train", "models.modelfile", ""} <= MODULES.keys()
    assert ("synthesis.renderer", "control.trajectory") in EDGES and ("training.pipeline", "training.stages") in EDGES
    assert ("synthesis.generation", "compute") in EDGES and ("models.header", "audio.spec") in EDGES
    assert len(EDGES) > 100


def test_every_module_has_its_place():
    assert {package(name) for name in MODULES} <= {"", "vendor", "api", *ORDER, *BASE, *ENTRIES}


@pytest.mark.parametrize("name", [name for name in MODULES if package(name) in ORDER])
def test_a_package_imports_what_is_left_of_it(name):
    place = ORDER.index(package(name))
    allowed = {"", *BASE, *ORDER[: place + 1]} | ({"vendor"} if package(name) == "models" else set())
    allowed |= {"api"} if name == "cli.commands.model_commands" else set()  # a card's examples are made as anybody's
    wrong = {other for other in own_imports(name) if package(other) not in allowed}
    assert not wrong, f"{name} imports {wrong}"
    assert not {other for other in own_imports(name) if (package(name), package(other)) in APART}


def test_the_page_loads_no_training():
    found = {other for name, other in EDGES if package(name) == "ui" and package(other) == "training"}
    assert found == {READ_BY_THE_PAGE}
    assert not any(package(other) == "training" for name, other in EDGES if name == READ_BY_THE_PAGE)


@pytest.mark.parametrize("name", sorted(BASE))
def test_what_all_stand_on_stands_on_nothing_else(name):
    assert own_imports(name) <= {"", *BASE}


def test_vendor_knows_nothing_of_the_package():
    inside = [name for name in MODULES if package(name) == "vendor"]
    assert {"vendor.bigvgan.generator", "vendor.bigvgan.fused"} <= set(inside)
    assert not {(name, other) for name in inside for other in own_imports(name) if package(other) != "vendor"}


def test_nothing_imports_an_entry():
    assert not {(name, other) for name, other in EDGES if package(other) in ENTRIES}


def test_no_circles():
    """None that an import inside a function would hide either."""
    graph = {name: own_imports(name) - {""} for name in MODULES}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert order.index("audio.mel") < order.index("synthesis.renderer") < order.index("generate")


def test_a_name_is_found_once():
    names = Counter(path.stem for path in OWN.values())
    assert not {name for name, count in names.items() if count > 1} - TWICE


def test_the_modules_are_few_and_the_entries_short():
    assert len(OWN) <= MOST_MODULES
    assert sum("." not in name and name not in ORDER for name in OWN) <= MOST_AT_THE_TOP
    for entry in ENTRIES:
        assert len(MODULES[entry].read_text("utf-8").splitlines()) <= MOST_LINES_OF_AN_ENTRY


def test_lightning_stays_with_the_training():
    wrong = {
        name
        for name in MODULES
        if any(full.split(".")[0] == "lightning" for full in imports(name))
        and package(name) != "training"
        and name not in LIGHTNING
    }
    assert not wrong


def test_torchaudio_is_imported_in_one_place():
    """By no import statement at all: that one place does it by name."""
    assert not {name for name in MODULES if any(full.split(".")[0] == "torchaudio" for full in imports(name))}
    named = {
        name for name, path in MODULES.items() if re.search(r"import_module\(.torchaudio", path.read_text("utf-8"))
    }
    assert named == {"audio.torchaudio_compat"}


def test_generating_loads_nothing_heavy_that_it_does_not_need(tmp_path):
    """Each of these takes a good part of a second, and a sound of ten seconds little more."""
    write_crafted(tmp_path / "models", "rain", sliders=("brightness",))
    words = [f"paths.home={tmp_path}", "model=rain", "vocoder=universal", "controls.brightness=3", "spatial=stereo"]
    code = "import sys; from distillgan.generate import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, *words, "duration=0.5", "device=cpu"]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())
    assert (tmp_path / "audio" / "rain_seed1.png").exists()
    assert {"torch", "distillgan.synthesis.renderer"} <= loaded
    heavy = {"lightning", "pytorch_lightning", "gradio", "tensorboard", "distillgan.training", "huggingface_hub"}
    heavy |= {"librosa", "numba", "scipy.signal", "scipy.stats", "scipy.linalg", "matplotlib", "sklearn", "pandas"}
    assert not loaded & heavy
