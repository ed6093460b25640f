"""Names of models and runs: letters and digits of any script, and nothing that a file system or terminal obeys."""

import unicodedata
from pathlib import Path

import pytest
from crafted import write_small

from distillgan.errors import UserError
from distillgan.models.header import read_header
from distillgan.paths import Home, check_name, is_name, name_from_path, shortened
from distillgan.store.library import find_named, rename_model

DECOMPOSED = unicodedata.normalize("NFD", "Vögel")
SCRIPTS = ["Vögel", "雨", "дождь", "बारिश", "مطر", "비", "٣", "é" * 75]
SIGNS = ["a/b", "a\\b", "a b", "a\nb", "a\0b", "a:b", "..", "\u0301x", "a\u202eb", "a\u200bb", "a’b", "☂", "a\ud800"]


@pytest.mark.parametrize("name", ["rain", "_x", "a.b-c", "1e3", *SCRIPTS])
def test_letters_of_any_script_are_names(name):
    assert is_name(name) and check_name(name) == name


@pytest.mark.parametrize("name", ["", ".rain", "-rain", *SIGNS, "雨" * 51, "x" * 81])
def test_what_is_no_name(name):
    assert not is_name(name)
    with pytest.raises(UserError, match="cannot name a model: use 1 to 80 letters"):
        check_name(name)


def test_names_have_one_form():
    assert check_name(DECOMPOSED) == "Vögel" != DECOMPOSED
    assert name_from_path(Path(f"/x/{DECOMPOSED} (2)")) == "Vögel_2"


def test_a_shortened_text_ends_with_a_whole_letter():
    assert shortened("雨雨雨", 80, 7) == "雨雨"
    assert shortened("rain", 2, 80) == "ra" and shortened("rain", 9, 9) == "rain"


def test_a_model_is_found_in_either_form_and_renamed(tmp_path):
    home = Home(tmp_path)
    write_small(home.models, "rain")
    path = rename_model(home, "rain", DECOMPOSED)
    assert path.name == "Vögel.distillgan" and read_header(path).name == "Vögel"
    assert find_named(home, DECOMPOSED) == find_named(home, "Vög") == path
    # As a disk that writes the other form, or a copy from one, has it.
    other = path.rename(path.with_name(f"{DECOMPOSED}.distillgan"))
    assert find_named(home, "Vögel") == other
    assert rename_model(home, "Vögel", "雨").name == "雨.distillgan" and not other.exists()
