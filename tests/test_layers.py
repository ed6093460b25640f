"""The order of the packages: imports run one way, so that each can be read, tested and shipped without the next."""

import ast
import graphlib
import re
import subprocess
import sys
from collections import Counter

import pytest
from crafted import write_crafted

from docs.architecture import VENDOR, edges, imports, modules

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


MODULES = modules()
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}
EDGES = edges(MODULES)
OWN = {name: path for name, path in MODULES.items() if name.partition(".")[0] != VENDOR}


def package(name: str) -> str:
    return name.partition(".")[0]


def own_imports(name: str) -> set[str]:
    """Modules of the project that a module imports."""
    return {other for one, other in EDGES if one == name}


def test_the_modules_are_found():
    """Otherwise everything below would hold for want of anything to look at."""
    assert {"audio.mel", "data.datamodule", "synthesis.renderer", "train", "models.modelfile", ""} <= MODULES.keys()
    assert ("synthesis.renderer", "control.trajectory") in EDGES and ("training.pipeline", "training.stages") in EDGES
    assert ("synthesis.generation", "compute") in EDGES and ("models.header", "audio.spec") in EDGES
    assert len(EDGES) > 100


def test_every_module_has_its_place():
    assert {package(name) for name in MODULES} <= {"", VENDOR, "api", *ORDER, *BASE, *ENTRIES}


@pytest.mark.parametrize("name", [name for name in MODULES if package(name) in ORDER])
def test_a_package_imports_what_is_left_of_it(name):
    place = ORDER.index(package(name))
    allowed = {"", *BASE, *ORDER[: place + 1]} | ({VENDOR} if package(name) == "models" else set())
    allowed |= {"api"} if name == "cli.commands.model_commands" else set()  # a card's examples are made as anybody's
    allowed |= {*ENTRIES, "ui"} if name == "cli.main" else set()  # each verb is an entry, imported when it is called
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
    inside = [name for name in MODULES if package(name) == VENDOR]
    assert {"vendor.bigvgan.generator", "vendor.bigvgan.fused"} <= set(inside)
    assert not {(name, other) for name in inside for other in own_imports(name) if package(other) != VENDOR}


def test_nothing_imports_an_entry():
    assert not {(name, other) for name, other in EDGES if package(other) in ENTRIES and name != "cli.main"}


def test_no_circles():
    """None that an import inside a function, or by name, would hide either."""
    graph = {name: own_imports(name) for name in MODULES}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert order.index("audio.mel") < order.index("synthesis.renderer") < order.index("generate")


def test_imports_are_absolute():
    assert not {name for name, tree in TREES.items() if any(full.startswith(".") for full in imports(tree))}


# What others own: the arguments as they were typed, the modules that are loaded, where a package is looked for.
STATE = ("sys.argv", "sys.modules", "sys.meta_path", "sys.path_hooks", "__path__")
CHANGES = {"append", "extend", "insert", "update", "setdefault", "pop", "clear", "remove", "__setitem__"}


def tricks(tree: ast.AST) -> list[str]:
    """What changes the interpreter's state behind everybody's back: by assignment, `del`, or a method that does so."""
    found = []
    for node in ast.walk(tree):
        changed = isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            changed = node.func.attr in CHANGES
        text = ast.unparse(node) if changed else ""
        if any(re.match(rf"(\w+\.)*{re.escape(state)}\b", text) for state in STATE) or text.endswith(".__class__"):
            found.append(text)
    return found


def test_no_tricks():
    found = {name: tricks(tree) for name, tree in TREES.items()}
    assert not {name: lines for name, lines in found.items() if lines}


@pytest.mark.parametrize(
    "line",
    [
        "sys.argv = [sys.argv[0], *words]",
        "sys.argv[1:] = words",
        "__path__.append(folder)",
        "__path__ = [folder]",
        "distillgan.__path__ += [folder]",
        "sys.modules[name] = module",
        "del sys.modules[name]",
        "sys.modules[__name__].__class__ = Callable",
        "sys.modules.setdefault(name, module)",
        "with patch() as sys.argv: pass",
    ],
)
def test_a_trick_is_seen(line):
    assert tricks(ast.parse(line))


def test_what_only_reads_is_no_trick():
    for line in ("words = sys.argv[1:]", "path = sys.modules[name].__file__", "words.append(module.__path__)"):
        assert not tricks(ast.parse(line))


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
        if any(full.split(".")[0] == "lightning" for full in imports(TREES[name]))
        and package(name) != "training"
        and name not in LIGHTNING
    }
    assert not wrong


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
