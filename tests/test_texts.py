"""Texts stay texts: whatever looks like a number or a truth value, for every such setting, on every way in."""

import json
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from distillgan.cli import hydra_app
from distillgan.cli.overrides import quote, steered, to_overrides, value_of
from distillgan.cli.serialization import arguments_of
from distillgan.configuration import FREE, WITHOUT_DEFAULT, _leaves, _texts_of, as_read, build, is_text, literal
from distillgan.paths import conf_dir

WORDS = ["808_909", "7e12345", "1e3", "nan", "inf", "-inf", "true", "False", "Null", "NULL", "007", "2024_01_02"]
WORDS += ["2024-01-02", "0x1F", ".5", "-5", "1_000.5", "12:30", "no", "~", "雨", "Vögel 3", "a;b", "x(1)"]
NUMBERS = {
    "analysis.seconds", "count", "data.batch_size", "data.num_workers", "duration", "model.max_steps", "seed",
    "threads", "trainer.devices", "vocoder.adversarial_from_step", "vocoder.data.num_workers", "vocoder.max_steps",
    "vocoder.module.gradient_clip",
}  # fmt: skip
TEXTS = sorted({key for key in _texts_of(conf_dir()) if "/" not in key and "_target_" not in key} | WITHOUT_DEFAULT)


def read(override: str) -> object:
    return OverridesParser.create().parse_overrides([override])[0].value()


def test_every_setting_without_a_default_is_known_as_a_text_or_a_number():
    """So that a new one cannot be forgotten."""
    import yaml

    nulls = set()
    for path in (path for path in conf_dir().rglob("*.yaml") if path.parent.name != "hydra"):
        group = path.parent.relative_to(conf_dir()).as_posix()
        package = "" if group in (".", "experiment", "search") else f"{group}."
        nulls |= {f"{package}{key}" for key, value in _leaves(yaml.safe_load(path.read_text()), "") if value is None}
    assert nulls - NUMBERS <= WITHOUT_DEFAULT, "add it to texts.WITHOUT_DEFAULT, or to NUMBERS here"
    assert not any(map(is_text, NUMBERS)) and len(TEXTS) > 50


def test_every_text_stays_itself_as_an_override_and_as_a_flag():
    for number, key in enumerate(TEXTS):
        for word in WORDS if key in ("name", "data.dir", "model.name", "vocoder.init") else WORDS[number % 8 :: 8]:
            for argument in ([f"{key}={word}"], [f"+{key}={word}"], [f"--{key}={word}"]):
                assert as_read(read(to_overrides(argument)[0])) == word, (argument, to_overrides(argument))
        assert read(to_overrides([f"--{key}", "808_909"])[0]) == "808_909"
        assert read(to_overrides([f"{key}=null"])[0]) is None


@pytest.mark.parametrize("key", sorted(NUMBERS))
def test_numbers_stay_numbers(key):
    assert [read(to_overrides([f"{key}={word}"])[0]) for word in ("1e3", "10_000", "true")] == [1000.0, 10000, True]


def test_values_of_sweeps_and_lists_stay_texts_each_for_itself():
    def swept(argument: str) -> list[object]:
        (item,) = OverridesParser.create().parse_overrides(to_overrides([argument]))
        return [read(f"{item.key_or_group}={value}") for value in item.sweep_string_iterator()]

    assert swept("name=808_909,1e3,nan") == ["808_909", "1e3", "nan"]
    assert swept("data.dir=2024_01_02,7e12345,/x/雨,a b") == ["2024_01_02", "7e12345", "/x/雨", "a b"]
    assert swept("data.dir=[a,1e3],[2024_01_02]") == [["a", "1e3"], ["2024_01_02"]]
    assert swept("vocoder.init=choice(1e3,universal)") == ["1e3", "universal"]
    assert swept("seed=1,2") == [1, 2]
    assert read(to_overrides(["data.dir=[2024_01_02,'x,y',true]"])[0]) == ["2024_01_02", "x,y", "true"]
    assert read(to_overrides(steered(["blend=[808_909:60,1e3:40]"]))[0]) == ["808_909:60", "1e3:40"]


def test_what_needs_no_quotes_gets_none():
    """Sweeps are known again by their arguments, and those of older ones have none."""
    for argument in ("data.dir=/x/y", "trainer.precision=32-true,bf16-mixed", "path=crossfade", "resume=never"):
        assert to_overrides([argument]) == [argument]


def test_a_preset_or_a_file_says_the_same_again():
    """As `preset=NAME` and `reproduce` with further overrides do: by `arguments_of`, and `hydra_app.composed`."""
    settings = {"model": {"name": "808_909"}, "path": "crossfade", "export": {"name": "wav", "title": "1e3"}}
    config = hydra_app.composed("generate", to_overrides(arguments_of(settings)))
    assert (config.model.name, config.export.title) == ("808_909", "1e3")
    settings = {"blend": {"models": ["2024_01_02:1", "nan:1"], "mode": "mel"}}
    config = hydra_app.composed("generate", arguments_of(settings))
    assert list(config.blend.models) == ["2024_01_02:1", "nan:1"]
    assert hydra_app.composed("generate", arguments_of({"recording": "7e12345"})).recording == "7e12345"


def test_texts_in_files_of_configurations_stay_texts(tmp_path, monkeypatch):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "vocoder").mkdir()
    words = "# @package _global_\nname: 808_909\nnote: 1e3\ndata:\n  dir: 7e12345\n  batch_size: 1_0\nlicence: true\n"
    (tmp_path / "experiment" / "2024_01_02.yaml").write_text(words)
    (tmp_path / "vocoder" / "mine.yaml").write_text("defaults: [_trained]\nname: mine\nkind: plain\nmax_steps: 1_0\n")
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys, "argv", ["train"])
    seen = []
    arguments = ["--config-dir", str(tmp_path), "experiment=2024_01_02", "vocoder=mine", "vocoder.kind=1e3"]
    hydra_app.run(lambda config: seen.append(OmegaConf.to_container(config, resolve=False)), "train", arguments)
    (config,) = seen
    assert (config["name"], config["note"], config["licence"]) == ("808_909", "1e3", "true")
    assert (config["data"]["dir"], config["data"]["batch_size"]) == ("7e12345", 10)
    assert (config["vocoder"]["kind"], config["vocoder"]["max_steps"]) == ("1e3", 10)


NASTY = ["${x}", "a${b", r"\${x}", r"c\\${x}\\", "${oc.env:HOME}, [it's]", r"\\'${", "'", "\\", "ü ${雨}"]


@pytest.mark.parametrize("text", NASTY)
def test_signs_of_interpolations_are_letters(text):
    assert OmegaConf.create({"k": literal(text)}).k == text == as_read(literal(text))
    assert hydra_app.composed("generate", [f"recording={quote(text)}"]).recording == text
    assert value_of([f"recording={quote(text)}"], "recording") == text
    assert all(value_of(to_overrides([f"{key}={text}"]), key) == text for key in FREE if not text.startswith("'"))
    # Hydra's `instantiate` resolves twice.
    assert build(OmegaConf.create({"_target_": "builtins.dict", "a": {"b": [literal(text)]}})) == {"a": {"b": [text]}}
    assert json.loads(json.dumps(text)) == text
