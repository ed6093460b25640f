"""The generator against the authors' values, and every way a checkpoint can be wrong."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.vocoders.hifigan import HiFiGANGenerator, HiFiGANVocoder

REFERENCE = Path(__file__).parents[2] / "reference" / "hifigan"
TINY = {
    "upsample_rates": (8, 8, 8),
    "upsample_kernel_sizes": (16, 16, 16),
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": (3, 5),
    "resblock_dilation_sizes": ((1, 3), (1, 2)),
    "num_mels": 16,
}


@pytest.fixture(scope="module")
def pair():
    return load_file(REFERENCE / "small_44k.io.safetensors")


@pytest.fixture
def files(tmp_path):
    """A writable copy of the reference config and checkpoint."""
    shutil.copyfile(REFERENCE / "small_44k.json", tmp_path / "config.json")
    shutil.copyfile(REFERENCE / "small_44k.pt", tmp_path / "g.pt")
    return tmp_path / "config.json", tmp_path / "g.pt"


def reference_state() -> dict:
    return torch.load(REFERENCE / "small_44k.pt", weights_only=True)["generator"]


def edit_config(path: Path, **changes) -> None:
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


def test_agrees_with_the_authors_program(pair):
    vocoder = HiFiGANVocoder.from_files(REFERENCE / "small_44k.json", REFERENCE / "small_44k.pt")
    assert (vocoder(pair["mel"]) - pair["waveform"]).abs().max() < 1e-5
    assert pair["waveform"].std() > 1e-3  # not two silences


@pytest.mark.parametrize("form", ["plain", "bare weight norm", "parametrizations", "half precision"])
def test_every_form_of_checkpoint_gives_the_same_wave(form, files, pair):
    config, checkpoint = files
    state = reference_state()
    if form == "plain":
        state = HiFiGANVocoder.from_files(*files).generator.state_dict()
        assert "conv_pre.weight" in state
    elif form == "parametrizations":
        new = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
        state = {k.replace(*next((i for i in new.items() if i[0] in k), ("", ""))): v for k, v in state.items()}
        assert "ups.0.parametrizations.weight.original1" in state
    elif form == "half precision":
        state = {key: value.half() for key, value in state.items()}
    torch.save(state if form == "bare weight norm" else {"generator": state}, checkpoint)
    tolerance = 1e-3 if form == "half precision" else 1e-5
    wave = HiFiGANVocoder.from_files(config, checkpoint)(pair["mel"])
    assert wave.dtype == torch.float32
    assert (wave - pair["waveform"]).abs().max() < tolerance


def test_v2_has_the_papers_size():
    generator = HiFiGANGenerator()
    assert sum(p.numel() for p in generator.parameters()) == pytest.approx(0.97e6, rel=0.01)
    assert generator(torch.zeros(2, 128, 3)).shape == (2, 1, 3 * 512)


def test_state_survives_training_form_and_model_file():
    torch.manual_seed(0)
    generator = HiFiGANGenerator(**TINY, resblock="2")
    mel = torch.randn(1, 16, 7)
    before = generator(mel)
    generator.add_weight_norm()
    assert torch.allclose(generator(mel), before, atol=1e-6)
    state = generator.export_state()
    assert not any("parametrizations" in key for key in state)
    vocoder = HiFiGANVocoder.from_state(generator.args, state, MelSpec(n_mels=16))
    assert json.loads(json.dumps(generator.args)) == generator.args
    assert not vocoder.training
    assert not any(p.requires_grad for p in vocoder.parameters())
    assert torch.allclose(vocoder(mel), before, atol=1e-6)
    with pytest.raises(UserError, match=r"the model's vocoder: .*num_mels.*missing"):
        HiFiGANVocoder.from_state({k: v for k, v in generator.args.items() if k != "num_mels"}, state, MelSpec())


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


def truncated(path):
    path.write_bytes(path.read_bytes()[:20000])


def harmful(path):
    torch.save({"generator": reference_state(), "payload": Harmful()}, path)


def bare_pickle(path):
    path.write_bytes(pickle.dumps(Harmful(), protocol=2))


def without(key):
    def break_it(path):
        torch.save({"generator": {k: v for k, v in reference_state().items() if k != key}}, path)

    return break_it


def with_changed(**changes):
    def break_it(path):
        torch.save({"generator": reference_state() | {k.replace("__", "."): v for k, v in changes.items()}}, path)

    return break_it


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (Path.unlink, "there is no such file"),
        (truncated, "not a whole PyTorch checkpoint"),
        (lambda path: path.write_bytes(b""), "not a whole PyTorch checkpoint"),
        (lambda path: path.write_bytes(b"RIFF" + bytes(range(256)) * 9), "PyTorch checkpoint"),
        (harmful, "could run code"),
        (bare_pickle, "could run code"),
        (lambda path: torch.save([1, 2], path), "neither a state dict"),
        (lambda path: torch.save({"generator": {"steps": 3}}, path), "neither a state dict"),
        (without("conv_post.bias"), r"1 missing \(conv_post.bias\)"),
        (without("conv_pre.weight_v"), "has conv_pre.weight_g but not conv_pre.weight_v"),
        (without("conv_pre.weight_g"), r"missing \(conv_pre.weight\).*unexpected \(conv_pre.weight_v\)"),
        (with_changed(extra=torch.zeros(1)), r"1 unexpected \(extra\)"),
        (with_changed(conv_pre__bias=torch.zeros(3)), r"another shape \(conv_pre.bias \[3\], expected \[64\]\)"),
        (with_changed(conv_pre__weight_g=torch.zeros(3)), r"conv_pre.weight_g \[3\] does not fit"),
        (with_changed(conv_pre__bias=torch.full([64], torch.nan)), r"1 not finite \(conv_pre.bias\)"),
    ],
)
def test_a_bad_checkpoint_is_named_with_its_fault(break_it, said, files, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config, checkpoint = files
    break_it(checkpoint)
    with pytest.raises(UserError, match=said) as raised:
        HiFiGANVocoder.from_files(config, checkpoint)
    assert str(checkpoint) in str(raised.value)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"upsample_rates": ..., "resblock": ...}, "lacks resblock, upsample_rates"),
        ({"upsample_rates": [8, 8, 2, 2, 4]}, "it makes 1024 samples a frame, but the mel has hop_length=512"),
        ({"upsample_rates": "8"}, "upsample_rates='8' must be a list"),
        ({"upsample_rates": [8, 8, 2, 2, -2]}, "positive whole numbers"),
        ({"upsample_kernel_sizes": [16, 16, 4, 4]}, "must be equally many"),
        ({"upsample_kernel_sizes": [16, 16, 4, 4, 3]}, "each larger by an even number"),
        ({"resblock_kernel_sizes": [3, 7]}, "must be equally many"),
        ({"resblock_kernel_sizes": [3, 7, 10]}, "must be odd"),
        ({"resblock_dilation_sizes": 3}, "must be a list of lists"),
        ({"resblock": "3"}, "resblock='3' must be one of"),
        ({"upsample_initial_channel": 100}, "multiple of 32"),
        ({"num_mels": 80}, "num_mels=80 there, n_mels=128 here"),
        ({"n_fft": 1024}, "n_fft=1024 there, n_fft=2048 here"),
        ({"hop_size": 256}, "hop_size=256 there, hop_length=512 here"),
        ({"sampling_rate": 22050}, "sampling_rate=22050 there, sample_rate=44100 here"),
        ({"fmin": 20}, "fmin=20 there, f_min=0.0 here"),
        ({"fmax": 8000}, "fmax=8000 there, f_max=22050.0 here"),
    ],
)
def test_a_bad_config_is_named_with_its_fault(changes, said, files):
    config, checkpoint = files
    edit_config(config, **changes)
    with pytest.raises(UserError, match=said) as raised:
        HiFiGANVocoder.from_files(config, checkpoint)
    assert str(config) in str(raised.value)


def test_configs_that_cannot_be_read(files):
    config, checkpoint = files
    for content in ("{", "[" * 100_000, "[1]", "\udcff"):
        config.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(UserError, match=r"config\.json: is not"):
            HiFiGANVocoder.from_files(config, checkpoint)
    config.unlink()
    with pytest.raises(UserError, match=r"config\.json: cannot be read"):
        HiFiGANVocoder.from_files(config, checkpoint)


def test_a_config_that_names_the_same_mel_is_accepted(files):
    config, checkpoint = files
    edit_config(config, sampling_rate=44100, n_fft=2048, win_size=2048, hop_size=512, fmin=0, fmax=None)
    assert HiFiGANVocoder.from_files(config, checkpoint).spec == MelSpec()
    with pytest.raises(UserError, match="sampling_rate=44100 there, sample_rate=48000 here"):
        HiFiGANVocoder.from_files(config, checkpoint, spec=MelSpec(sample_rate=48000))
