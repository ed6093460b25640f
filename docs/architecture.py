"""The drawing of the package in docs/architecture.md, made from the imports themselves.

    python docs/architecture.py

`modules` and `edges` are what tests/test_layers.py looks at, too.
"""

import ast
import fnmatch
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE, VENDOR = "distillgan", "vendor"
PAGE = ROOT / "docs" / "architecture.md"
# Modules beside the packages: those that import none, so that any may import them, and those that people begin with.
SHARED, ENTRIES = "common", "entries"

HEAD = """# Architecture

<!-- made by docs/architecture.py from the imports: run it again when a test says that this is stale -->

An arrow goes from what imports to what is imported. Arrows that follow from others are left out, and so are those to
the modules that any may import ({shared}).
Which package may import which is in `tests/test_layers.py`, and what each is for in [CONTRIBUTING](../CONTRIBUTING.md).
"""


def modules() -> dict[str, Path]:
    """Each module's name inside the package ("audio.mel", "" for the package itself) → its file."""
    found = {}
    own = [path for path in (ROOT / PACKAGE).rglob("*.py") if not path.is_relative_to(ROOT / PACKAGE / VENDOR)]
    for path in sorted([*own, *(ROOT / VENDOR).rglob("*.py")]):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[1:] if parts[0] == PACKAGE else parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.AST) -> set[str]:
    """Full dotted names of all that a module imports, at its head, in a function, or by name with `import_module`.

    A name that is put together (`import_module(f"distillgan.{verb}")`) has a `*` for each part that varies.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            pieces = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else node.args[:1]
            found.add("".join(str(one.value) if isinstance(one, ast.Constant) else "*" for one in pieces))
    return found


def edges(known: dict[str, Path]) -> set[tuple[str, str]]:
    """(module, another of the project that it imports), by their names in `known`.

    `from distillgan import __version__` is none: the package itself imports nothing for it. What is imported by a name
    that is put together is a command: a module with a `main` of its own.
    """
    found = set()
    for name, path in known.items():
        for full in imports(ast.parse(path.read_text("utf-8"))):
            if full.partition(".")[0] not in (PACKAGE, VENDOR) or full == f"{PACKAGE}.__version__":
                continue
            inner = "" if full == PACKAGE else full.removeprefix(f"{PACKAGE}.")
            if "*" in inner:
                near = [other for other in known if other.count(".") == inner.count(".") and _is_command(known[other])]
                found |= {(name, other) for other in fnmatch.filter(near, inner)}
            else:  # `from distillgan.audio.mel import MelSpec` names something inside the module
                found.add((name, inner if inner in known else inner.rpartition(".")[0]))
    return found


def _is_command(path: Path) -> bool:
    return re.search(r"^def (\w+_)?main\(|import \w+ as main$", path.read_text("utf-8"), re.MULTILINE) is not None


def page() -> str:
    """The whole document."""
    known = modules()
    found = {(one, other) for one, other in edges(known) if one and other}
    packages = {name.partition(".")[0] for name in known if "." in name}
    reaching = {one for one, other in found if other.partition(".")[0] in packages}
    single = [name for name in known if name and "." not in name and name not in packages]
    shared = [name for name in single if name not in reaching]

    def place(name: str) -> str:
        return SHARED if name in shared else name.partition(".")[0]

    between = {(place(one), place(other)) for one, other in found} - {(SHARED, SHARED)}
    between = {(one, other) for one, other in between if one != other and other != SHARED}
    words = [HEAD.format(shared=", ".join(f"`{name}`" for name in shared))]
    words.append(_flowchart(between, {name: name for pair in between for name in pair}, "TD"))
    reach = _reach(between)
    order = sorted(packages, key=lambda name: (len(reach[name]), name))
    sections = {SHARED: shared, **{name: _inside(known, name) for name in order}}
    for title, inside in {**sections, ENTRIES: [name for name in single if name in reaching]}.items():
        words.append(f"## {title}\n")
        arrows = {(one, other) for one, other in found if {one, other} <= set(inside)}
        prefix = "" if title in (SHARED, ENTRIES) else f"{title}."
        if arrows:
            words.append(_flowchart(arrows, {name: name.removeprefix(prefix) for name in inside}, "LR"))
        words.append("| module | |\n|---|---|")
        for name in inside:
            words.append(f"| [`{name.removeprefix(prefix)}`]({_link(known[name])}) | {_summary(known[name])} |")
        words.append("")
    return "\n".join(words)


def _inside(known: dict[str, Path], package: str) -> list[str]:
    """The package's modules that have something in them."""
    names = [name for name in known if name.partition(".")[0] == package]
    return [name for name in names if known[name].read_text("utf-8").strip()]


def _flowchart(arrows: set[tuple[str, str]], labels: dict[str, str], direction: str) -> str:
    """Mermaid's, without the arrows that follow from others."""
    lines = [f"```mermaid\nflowchart {direction}"]
    lines += [f'    {_identifier(name)}["{label}"]' for name, label in sorted(labels.items())]
    lines += [f"    {_identifier(one)} --> {_identifier(other)}" for one, other in sorted(reduced(arrows))]
    return "\n".join([*lines, "```\n"])


def _identifier(name: str) -> str:
    return "m_" + name.replace(".", "_")  # some words, such as `graph`, are Mermaid's own


def _reach(arrows: set[tuple[str, str]]) -> dict[str, set[str]]:
    """Each name → all that the arrows lead to from it."""
    found = {name: {other for one, other in arrows if one == name} for pair in arrows for name in pair}
    for between in found:  # Warshall's closure
        for reached in found.values():
            if between in reached:
                reached |= found[between]
    return found


def reduced(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows from which all others follow; a circle keeps its own."""
    reach = _reach(arrows)

    def follows(one: str, other: str) -> bool:
        ways = {between for start, between in arrows if start == one} - {other}
        return any(other in reach[between] and one not in reach[between] for between in ways)

    return {arrow for arrow in arrows if not follows(*arrow)}


def _link(path: Path) -> str:
    return f"../{path.relative_to(ROOT).as_posix()}"


def _summary(path: Path) -> str:
    """The first sentence of a module's docstring, as Markdown within a table."""
    words = " ".join((ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[.?!]) (?=[A-Z`])", words)[0].removesuffix(".")
    return re.sub(r"([\\|*_<>\[\]])", r"\\\1", sentence)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
