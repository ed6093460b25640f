"""Flags and overrides: every form reaches the configuration as what was meant, or is refused in words."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from cli_runner import Done, call, process
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from distillgan.cli import hydra_app
from distillgan.cli.hydra_app import run
from distillgan.cli.overrides import model_by_name, steered, to_overrides
from distillgan.configuration import build
from distillgan.errors import UserError
from distillgan.paths import conf_dir


def composed(name: str, *arguments: str) -> DictConfig:
    with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
        return compose(name, to_overrides(list(arguments)))


@pytest.mark.parametrize(
    ("arguments", "overrides"),
    [
        ([], []),
        (["--vocoder", "bigvgan"], ["vocoder=bigvgan"]),
        (["--vocoder=bigvgan"], ["vocoder=bigvgan"]),
        (["vocoder=bigvgan"], ["vocoder=bigvgan"]),
        (["--count", "3", "duration=5"], ["count=3", "duration=5"]),
        (["duration=5", "--count", "3"], ["duration=5", "count=3"]),
        (["--count", "3", "--seed", "7"], ["count=3", "seed=7"]),
        (["--flag"], ["flag=true"]),
        (["--flag", "--count", "3"], ["flag=true", "count=3"]),
        (["--flag", "duration=5"], ["flag=true", "duration=5"]),
        (["--flag", "data.augment.gain_db=5"], ["flag=true", "data.augment.gain_db=5"]),
        (["--flag", "+new=5", "--flag", "++new=5"], ["flag=true", "+new=5", "flag=true", "++new=5"]),
        (["--flag", "hydra/launcher=joblib"], ["flag=true", "hydra/launcher=joblib"]),
        (["--flag", "-m", "seed=1,2"], ["flag=true", "-m", "seed=1,2"]),
        (["--seed", "-1"], ["seed=-1"]),
        (["--gain", "-.5"], ["gain=-.5"]),
        (["--data.num-workers", "2"], ["data.num_workers=2"]),
        (["--train-vocoder=a-b"], ["train_vocoder=a-b"]),
        (["--licence="], ["licence="]),
        (["stages=[vae]"], ["stages=[vae]"]),
        (["--stages", "[vae,vocoder]"], ["stages=[vae,vocoder]"]),
        (["model.latent_dim=16,32"], ["model.latent_dim=16,32"]),
        (["seed=range(1,4)"], ["seed=range(1,4)"]),
        (["note='Regen, Grüße'"], ["note='Regen, Grüße'"]),
        (["~logger", "~data.augment=x"], ["~logger", "~data.augment=x"]),
    ],
)
def test_forms(arguments, overrides):
    assert to_overrides(arguments) == overrides


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m"], ["--multirun"], ["--help"], ["-h"], ["--hydra-help"], ["--version"], ["--resolve"],
        ["--cfg", "job"], ["--cfg=job"], ["-c", "job"], ["--package", "mel"], ["-p", "mel"],
        ["--config-name", "x"], ["-cn", "x"], ["--config-dir", "some dir"], ["-cd", "some dir"], ["-cp", "x"],
        ["--info"], ["--info", "defaults"], ["--info", "seed=1"],
        ["--cfg", "job", "seed=1", "-m"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_hydras_own_flags_pass(arguments):
    assert to_overrides(arguments) == arguments


@pytest.mark.parametrize("junk", [["junk"], ["seed=1", "junk"], ["--count", "3", "4"], ["--cfg", "job", "junk"]])
def test_junk_is_named_with_the_remedy(junk):
    with pytest.raises(UserError) as caught:
        to_overrides(junk)
    assert str(caught.value) == f"{junk[-1]!r} is neither a flag (--duration 5) nor an override (duration=5)"


def test_the_callers_list_is_left_alone():
    arguments = ["--count", "3", "--flag"]
    to_overrides(arguments)
    assert arguments == ["--count", "3", "--flag"]


FOLDERS = [
    "plain",
    "my rain",
    "rain (1)",
    "[a], {b}",
    "[whole]",
    "a,b",
    "a=b",
    "Glöckchen",
    "雨",
    "it's",
    '"quoted"',
    "'quoted'",
    "back\\slash here",
    "double \\\\ back",
    "trailing \\",
    "a\\'b",
    "#1; x&y! 100% $5",
    "a~b",
    "co:lon",
    "-dash-",
    "1e3",
]


@pytest.mark.parametrize("form", ["data.dir={}", "--data.dir={}", "--data.dir {}"])
@pytest.mark.parametrize(
    ("name", "place"),
    [(name, place) for name in FOLDERS for place in ("absolute", "dotted")]
    # Those that cannot be told from an override, a flag or a number want their "./".
    + [(name, "relative") for name in FOLDERS if name not in ("a=b", "-dash-", "1e3")],
)
def test_a_folders_name_survives(tmp_path, monkeypatch, name, place, form):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    path = {"absolute": str(tmp_path / name), "relative": name, "dotted": f"./{name}"}[place]
    arguments = form.split(" ") if " " in form else [form]
    (override,) = to_overrides([argument.replace("{}", path) for argument in arguments])
    parsed = OverridesParser.create().parse_override(override)
    assert parsed.key_or_group == "data.dir" and parsed.value() == path


@pytest.mark.parametrize("value", ["~/rain", "~", "~/my rain (2)", "/not/there (yet)", "../not/thére", "/x[1]"])
def test_a_path_that_is_not_there_survives(value):
    for arguments in ([f"data.dir={value}"], ["--data.dir", value]):
        assert composed("train", *arguments).data.dir == value


def test_a_folder_reaches_the_composed_configuration(tmp_path):
    folder = tmp_path / "my [rain], (ö) 'n' more"
    folder.mkdir()
    config = composed("train", "--data.dir", str(folder), "--seed", "7", "model.latent_dim=16", "--resume=never")
    assert config.data.dir == str(folder)
    assert (config.seed, config.model.latent_dim, config.resume) == (7, 16, "never")


def test_a_sweep_over_folders_stays_one(tmp_path):
    folders = [str(tmp_path / name) for name in ("rain (1)", "Glöckchen", "plain")]
    (override,) = to_overrides([f"data.dir={','.join(folders)}"])
    swept = OverridesParser.create().parse_override(override)
    each = [OverridesParser.create().parse_override(f"data.dir={one}") for one in swept.sweep_string_iterator()]
    assert [one.value() for one in each] == folders


def test_text_beyond_ascii():
    assert composed("train", "note=Grüße vom Regen", "licence=©").note == "Grüße vom Regen"


def test_a_group_is_chosen_by_flag_and_a_node_deleted():
    config = composed("train", "--vocoder", "hifigan", "--device=cpu", "~data.augment.gain_db")
    assert config.vocoder.name == "hifigan" and config.device.name == "cpu"
    assert "gain_db" not in config.data.augment and "pitch_semitones" in config.data.augment


@pytest.mark.parametrize("form", [["model=rain"], ["--model", "rain"], ["--model=rain"]])
def test_a_model_by_name(form):
    assert composed("generate", *steered(form)).model.name == "rain"
    assert composed("evaluate", *model_by_name(form)).model.name == "rain"


def test_a_word_that_is_a_flags_value_stays_itself():
    """Models may be called so."""
    for name in ("model", "blend", "controls"):
        assert composed("generate", *steered(["--model", name])).model.name == name


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("-.5", -0.5),
        ("0.25", 0.25),
        ("0:-5 8:7", "0:-5 8:7"),
        ('"0:-5 8:7"', "0:-5 8:7"),
        ("'0:-5 8:7'", "0:-5 8:7"),
        ("0.5:-5 8:7e-1 9:0", "0.5:-5 8:7e-1 9:0"),
    ],
)
@pytest.mark.parametrize("form", ["controls.{}=", "--controls.{}=", "--controls.{} ", "++controls.{}="])
def test_sliders_reach_the_configuration(form, written, value):
    key, equals, _ = form.format("brightness").partition("=")
    arguments = [f"{key}={written}"] if equals else [key.strip(), written]
    config = composed("generate", *steered(["--seed", "2", *arguments, "controls.axis1=1", "duration=5"]))
    assert config.controls == {"brightness": value, "axis1": 1} and (config.seed, config.duration) == (2, 5)


@pytest.mark.parametrize("form", [["blend={}"], ["--blend={}"], ["--blend", "{}"], ["blend.models={}"]])
@pytest.mark.parametrize(
    ("written", "models"),
    [
        ("[rain:60,wind:40]", ["rain:60", "wind:40"]),
        ("[my-rain.v2:.5, 007:1e-1]", ["my-rain.v2:.5", "007:1e-1"]),
        ('["rain:0:100 8:0","wind:0:0 8:100"]', ["rain:0:100 8:0", "wind:0:0 8:100"]),
        ("[rain:0:100 8:0,wind:0:0 8:100]", ["rain:0:100 8:0", "wind:0:0 8:100"]),
        ("rain:60,/home/me/my wind.distillgan:40", ["rain:60", "/home/me/my wind.distillgan:40"]),
        ("[rain:60,/home/wind.distillgan:40]", ["rain:60", "/home/wind.distillgan:40"]),
    ],
)
def test_a_blend_reaches_the_configuration(form, written, models):
    arguments = [part.replace("{}", written) for part in form]
    config = composed("generate", *steered([*arguments, "blend.mode=audio"]))
    assert config.blend == {"models": models, "mode": "audio"} and config.model.name is None


def test_sliders_all_at_once_and_none():
    assert composed("generate", *steered(["controls={warmth:-2}"])).controls == {"warmth": -2}
    assert composed("generate", *steered(["controls=null"])).controls is None


def instantiated(config: DictConfig) -> None:
    build(config.data.augment)
    raise UserError("the task's own")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("seed=1", "the task's own"),
        ("junk", "'junk' is neither a flag (--duration 5) nor an override (duration=5)"),
        ("data.augment.pitch_semitones=99", "augment.pitch_semitones=99 must be a number from 0 to 12"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(monkeypatch, capsys, argument, words):
    monkeypatch.setattr(sys, "argv", ["train"])
    with pytest.raises(SystemExit) as left:
        run(instantiated, "train", [argument])
    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {words}\n"


def test_a_key_that_nothing_takes_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train"])
    with pytest.raises(SystemExit) as left:
        run(instantiated, "train", ["+data.augment.colour=blue"])
    assert left.value.code == 2
    assert "unexpected keyword argument 'colour'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "words"),
    [("junk", "error: 'junk' is neither a flag"), ("model=snow", "error: model=snow: no such model or file.")],
)
def test_the_module_says_it_too(tmp_path, argument, words):
    result = call("distillgan.generate", f"paths.home={tmp_path}", argument)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(words)


def test_a_list_of_folders_is_taken_letter_by_letter():
    given = "data.dir=[~/a b,/tmp/c(1),ü]"
    assert to_overrides([given]) == ["data.dir=['~/a b','/tmp/c(1)','ü']"]
    assert to_overrides(["stages=[vae]", "data.augment.time_stretch=[0.9,1.1]"]) == [
        "stages=[vae]",
        "data.augment.time_stretch=[0.9,1.1]",
    ]
    config = hydra_app.composed("train", to_overrides([given]))
    assert list(config.data.dir) == ["~/a b", "/tmp/c(1)", "ü"]


def test_composed_within_an_entry_and_by_many_at_once(tmp_path):
    """As the page does: it is an entry itself, and its visitors know nothing of each other."""

    def task(config):
        def one(seed):
            return hydra_app.composed("generate", [f"seed={seed}"]).seed

        with ThreadPoolExecutor(8) as pool:
            print(list(pool.map(one, range(24))) == list(range(24)))

    done = process(lambda: run(task, "generate", []), "generate", cwd=tmp_path)
    assert done == Done(0, "True\n", "")


@pytest.mark.parametrize("override", ["export=aiff", "spatial.width=1", "nosuch=1", "spatial=stereo,mono,"])
def test_what_hydra_refuses_is_a_mistake_too(override, capsys):
    with pytest.raises(SystemExit) as end:
        run(lambda config: None, "generate", [override])
    assert end.value.code == hydra_app.EXIT_USER_ERROR


def test_a_text_is_found_as_it_was_typed():
    for text in ("a=b, [c] {d} ${e} 'q' \"", "null and void", "ü ß"):
        assert hydra_app.value_of(to_overrides([f"preset={text}"]), "preset") == text
    assert hydra_app.value_of(to_overrides(["preset=null"]), "preset") is None
