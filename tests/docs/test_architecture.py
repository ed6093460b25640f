"""The drawing of the package is that of its imports as they are."""

import ast
import re

import pytest

from docs import architecture


def test_the_page_is_that_of_today():
    assert architecture.PAGE.read_text("utf-8") == architecture.page(), "stale: run python docs/architecture.py"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import distillgan.paths", {"distillgan.paths"}),
        ("from distillgan import paths as p, errors", {"distillgan.paths", "distillgan.errors"}),
        ("def later():\n    from distillgan.audio.mel import MelSpec", {"distillgan.audio.mel.MelSpec"}),
        ("if TYPE_CHECKING:\n    from distillgan.api import Clip", {"distillgan.api.Clip"}),
        ("importlib.import_module('distillgan.api')", {"distillgan.api"}),
        ("import_module(f'distillgan.{verb}').main()", {"distillgan.*"}),
        ("from . import paths\nfrom .audio import mel", {"..paths", ".audio.mel"}),
    ],
)
def test_an_import_is_seen_wherever_it_stands(code, names):
    assert architecture.imports(ast.parse(code)) == names


def test_edges_lead_to_modules():
    known = architecture.modules()
    edges = architecture.edges(known)
    assert {("synthesis.renderer", "control.trajectory"), ("cli.main", "train"), ("", "api")} <= edges
    assert {name for edge in edges for name in edge} <= known.keys()


def test_arrows_that_follow_from_others_are_left_out():
    chain = {("ui", "cli"), ("cli", "audio")}
    assert architecture.reduced({*chain, ("ui", "audio")}) == chain
    circle = {("a", "b"), ("b", "a"), ("a", "c"), ("b", "c")}
    assert circle - architecture.reduced(circle) <= {("a", "c"), ("b", "c")}


def test_every_module_with_something_in_it_has_its_row():
    links = set(re.findall(r"^\| \[`[^`]+`\]\(\.\./(.*?)\)", architecture.PAGE.read_text("utf-8"), re.MULTILINE))
    files = [path for name, path in architecture.modules().items() if name and path.read_text("utf-8").strip()]
    assert links == {path.relative_to(architecture.ROOT).as_posix() for path in files}
