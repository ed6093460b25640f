"""The order of the rooms: imports run one way, so that every part can be read, tested and shipped without the next."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from crafted import write_crafted

ROOT = Path(__file__).parents[1] / "distillgan"
VENDOR = ROOT.parent / "vendor"
# A room imports those to its left, and itself.
ROAD = ["audio", "data", "vae", "latent", "vocoder", "training", "render", "scores", "library", "ui"]
# Rooms that stay clear of each other although the road would let them.
APART = {("vocoder", "vae"), ("vocoder", "latent"), ("vocoder", "data"), ("render", "training"), ("vae", "data")}
APART |= {("library", "training"), ("library", "render"), ("ui", "training")}
# What judges a model needs no training, and a catalogue of models no judge.
APART |= {("scores", "training"), ("library", "scores")}
BASE = {
    "errors",
    "paths",
    "atomic",
    "modelfile",
    "modelheader",
    "modellayout",
    "modelcopy",
    "device",
    "averaging",
    "building",
    "checks",
    "progress",
    "holder",
    "memory",
    "browser",
    "signals",
    "texts",
    "threads",
    "parallel",
}
ENTRIES = {"train", "generate", "evaluate", "weights", "export_vocoder", "controls", "cli", "entry", "commands"}
ENTRIES |= {"api", "clip", "recipe", "studio", "again", "misspelt", "overrides"}  # what entries share
LIGHTNING = {"data.datamodule", "vae.module", "vocoder.module"}


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


def room(name: str) -> str:
    return name.partition(".")[0]


EDGES = [(name, other) for name in MODULES for other in own_imports(name)]


def test_the_modules_are_found():
    """Otherwise everything below would hold for want of anything to look at."""
    assert {"audio.mel", "data.datamodule", "render.engine", "train", "modelfile", ""} <= MODULES.keys()
    assert ("render.engine", "latent.trajectory") in EDGES and ("train", "training.stages") in EDGES
    assert ("generate", "device") in EDGES and ("modelheader", "audio.spec") in EDGES
    assert len(EDGES) > 100


def test_every_module_has_its_place():
    assert {room(name) for name in MODULES} <= {"", "vendor", *ROAD, *BASE, *ENTRIES}


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) in ROAD])
def test_a_room_imports_what_is_left_of_it(name):
    place = ROAD.index(room(name))
    allowed = {"", *BASE, *ROAD[: place + 1]} | ({"vendor"} if room(name) == "vocoder" else set())
    allowed |= (
        {"entry", "recipe", "studio", "again", "generate"} if room(name) == "ui" else set()
    )  # it tells them what a shell would
    wrong = {other for other in own_imports(name) if room(other) not in allowed}
    assert not wrong, f"{name} imports {wrong}"
    assert not {other for other in own_imports(name) if (room(name), room(other)) in APART}


@pytest.mark.parametrize("name", sorted(BASE))
def test_what_all_stand_on_stands_on_nothing_but_the_mel(name):
    assert own_imports(name) <= {"", "audio.spec", *BASE}


def test_vendor_knows_nothing_of_the_package():
    inside = [name for name in MODULES if room(name) == "vendor"]
    assert {"vendor.bigvgan.generator", "vendor.bigvgan.fused"} <= set(inside)
    assert not {(name, other) for name in inside for other in own_imports(name) if room(other) != "vendor"}


def test_nothing_imports_an_entry():
    reached = {(name, other) for name, other in EDGES if room(other) in ENTRIES and room(name) not in {*ENTRIES, "ui"}}
    assert reached <= {("", "api")}, "the package's face is what a program sees of it, and imports nothing heavy itself"
    # Among the entries all share `entry`, and cli finds the others by name; what makes a sound again calls `generate`,
    # and so does the page.
    among = {(name, other) for name, other in EDGES if room(other) in ENTRIES and room(other) != "commands"}
    assert {other for _, other in among} <= {
        "api",
        "clip",
        "entry",
        "recipe",
        "studio",
        "again",
        "generate",
        "misspelt",
        "overrides",
    }
    assert {room(name) for name, other in among if other == "generate"} <= {"commands", "ui"}


def test_no_circles():
    graph = {name: own_imports(name) - {""} for name in MODULES}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert order.index("audio.mel") < order.index("render.engine") < order.index("generate")


def test_lightning_stays_with_the_training():
    wrong = {
        name
        for name in MODULES
        if any(full.split(".")[0] == "lightning" for full in imports(name))
        and room(name) != "training"
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


@pytest.mark.parametrize("name", MODULES)
def test_a_file_holds_one_concept(name):
    assert len(MODULES[name].read_text("utf-8").splitlines()) <= 300


def test_generating_loads_nothing_heavy_that_it_does_not_need(tmp_path):
    """Each of these takes a good part of a second, and a sound of ten seconds little more."""
    write_crafted(tmp_path / "models", "rain", sliders=("brightness",))
    words = [f"paths.home={tmp_path}", "model=rain", "vocoder=universal", "controls.brightness=3", "spatial=stereo"]
    code = "import sys; from distillgan.generate import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, *words, "duration=0.5", "device=cpu"]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())
    assert (tmp_path / "audio" / "rain_seed1.png").exists()
    assert {"torch", "distillgan.render.engine"} <= loaded
    heavy = {"lightning", "pytorch_lightning", "gradio", "tensorboard", "distillgan.training"}
    heavy |= {"librosa", "numba", "scipy.signal", "scipy.stats", "matplotlib.pyplot", "sklearn", "pandas"}
    assert not loaded & heavy
