"""The vocoder against the authors' values, its reach, and every way a release's files can be wrong."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.vocoders.bigvgan import BigVGANVocoder, _read_args
from distillgan.vendor.bigvgan import activation
from distillgan.vendor.bigvgan.generator import BigVGANGenerator

REFERENCE = Path(__file__).parents[2] / "reference" / "bigvgan"
FORMS = ("small_v2_44k", "small_v2_44k_no_weight_norm")


def load(form: str) -> BigVGANVocoder:
    return BigVGANVocoder.from_files(REFERENCE / f"{form}.json", REFERENCE / f"{form}.pt")


@pytest.fixture(scope="module")
def vocoder() -> BigVGANVocoder:
    return load("small_v2_44k")


@pytest.fixture
def files(tmp_path):
    """A writable copy of the reference config and checkpoint."""
    shutil.copyfile(REFERENCE / "small_v2_44k.json", tmp_path / "config.json")
    shutil.copyfile(REFERENCE / "small_v2_44k.pt", tmp_path / "g.pt")
    return tmp_path / "config.json", tmp_path / "g.pt"


def reference_state() -> dict:
    return torch.load(REFERENCE / "small_v2_44k.pt", weights_only=True)["generator"]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_agrees_with_the_authors_program(form, fused, monkeypatch):
    if not fused:
        monkeypatch.setattr(activation, "alias_free_snake", None)
    pair = load_file(REFERENCE / f"{form}.io.safetensors")
    vocoder = load(form)
    assert not any(parameter.requires_grad for parameter in vocoder.parameters())
    assert not any("weight_g" in key for key in vocoder.state_dict())
    assert (vocoder(pair["mel"]) - pair["waveform"]).abs().max() < 1e-5
    assert pair["waveform"].std() > 1e-3  # not two silences


def test_the_filters_are_those_of_the_release():
    stored = reference_state()
    ours = BigVGANGenerator(**_read_args(REFERENCE / "small_v2_44k.json", MelSpec())).state_dict()
    filters = [key for key in stored if key.endswith(".filter")]
    assert len(filters) == 2 * 109
    assert all((stored[key] - ours[key]).abs().max() < 1e-7 for key in filters)


def test_context_is_the_measured_receptive_field(vocoder):
    # The generator's own sizes with few channels and lively weights; in float64 the filters' ends do not drown.
    torch.manual_seed(0)
    generator = load("small_v2_44k").generator.double()
    centre, hop = 26, 512
    mel = torch.randn(1, 128, 2 * centre + 1, dtype=torch.float64, requires_grad=True)
    wave = generator(mel)
    # Random signs, so that no two paths cancel.
    (wave[0, 0, centre * hop : (centre + 1) * hop] * torch.randn(hop, dtype=torch.float64)).sum().backward()
    touched = mel.grad.abs().sum(dim=(0, 1)).nonzero().flatten()
    assert touched.min() > 0
    assert touched.max() < 2 * centre
    assert vocoder.context_frames == max(centre - touched.min(), touched.max() - centre)


@pytest.mark.parametrize("block_frames", [11, 40, 400])
def test_blocks_equal_the_whole(vocoder, block_frames):
    torch.manual_seed(0)
    mel = 3 * torch.randn(1, 128, 93)
    whole = vocoder(mel)
    assert whole.std() > 1e-2
    assert (vocoder.render(mel, block_frames) - whole).abs().max() < 1e-5


def test_less_context_would_not_do(vocoder, monkeypatch):
    torch.manual_seed(0)
    mel = 3 * torch.randn(1, 128, 60)
    monkeypatch.setattr(vocoder, "context_frames", 3)
    assert (vocoder.render(mel, 20) - vocoder(mel)).abs().max() > 1e-5


def test_one_frame(vocoder):
    assert vocoder(torch.zeros(1, 128, 1)).shape == (1, 1, 512)


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


def without(key):
    return lambda path: torch.save({"generator": {k: v for k, v in reference_state().items() if k != key}}, path)


def changed(**changes):
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return lambda path: torch.save({"generator": reference_state() | changes}, path)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (Path.unlink, "there is no such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:20000]), "not a whole PyTorch checkpoint"),
        (lambda path: torch.save({"generator": reference_state(), "payload": Harmful()}, path), "could run code"),
        (lambda path: torch.save([1, 2], path), "neither a state dict"),
        (lambda path: torch.save({"generator": {1: torch.zeros(2)}}, path), "neither a state dict"),
        (lambda path: torch.save({"a": torch.zeros(2, dtype=torch.complex64)}, path), "neither a state dict"),
        (lambda path: torch.save({"a": torch.eye(2).to_sparse()}, path), "neither a state dict"),
        (without("activation_post.act.beta"), r"1 missing \(activation_post.act.beta\)"),
        (without("activation_post.upsample.filter"), r"1 missing \(activation_post.upsample.filter\)"),
        (without("conv_pre.weight_v"), "has conv_pre.weight_g but not conv_pre.weight_v"),
        (changed(conv_post__bias=torch.zeros(1)), r"1 unexpected \(conv_post.bias\)"),
        (changed(conv_pre__bias=torch.zeros(3)), r"another shape \(conv_pre.bias \[3\], expected \[64\]\)"),
        (changed(conv_pre__bias=torch.full([64], torch.nan)), r"1 not finite \(conv_pre.bias\)"),
    ],
)
def test_a_bad_checkpoint_is_named_with_its_fault(break_it, said, files, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config, checkpoint = files
    break_it(checkpoint)
    with pytest.raises(UserError, match=said) as raised:
        BigVGANVocoder.from_files(config, checkpoint)
    assert str(checkpoint) in str(raised.value)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"activation": ..., "snake_logscale": ...}, "lacks activation, snake_logscale"),
        ({"activation": "relu"}, r"activation='relu' must be one of \['snake', 'snakebeta'\]"),
        ({"snake_logscale": 1}, "snake_logscale=1 must be true or false"),
        ({"use_tanh_at_final": "no"}, "use_tanh_at_final='no' must be true or false"),
        ({"resblock": "3"}, "resblock='3' must be one of"),
        ({"upsample_rates": [8, 4, 2, 2, 2, 4]}, "multiply to 1024 samples a frame, but the mel has hop_length=512"),
        ({"num_mels": 80}, "num_mels=80 there, n_mels=128 here"),
        ({"sampling_rate": 24000}, "sampling_rate=24000 there, sample_rate=44100 here"),
        ({"fmax": 12000}, "fmax=12000 there, f_max=22050.0 here"),
    ],
)
def test_a_bad_config_is_named_with_its_fault(changes, said, files):
    config, checkpoint = files
    edited = json.loads(config.read_text()) | changes
    config.write_text(json.dumps({key: value for key, value in edited.items() if value is not ...}))
    with pytest.raises(UserError, match=said) as raised:
        BigVGANVocoder.from_files(config, checkpoint)
    assert str(config) in str(raised.value)


def test_an_older_config_has_a_tanh_and_a_bias(files):
    config, checkpoint = files
    old = json.loads(config.read_text())
    config.write_text(json.dumps({key: old[key] for key in old if not key.startswith("use_")}))
    changed(conv_post__bias=torch.zeros(1))(checkpoint)
    assert BigVGANVocoder.from_files(config, checkpoint).generator.use_tanh_at_final


def test_another_mel_is_refused(files):
    with pytest.raises(UserError, match="sampling_rate=44100 there, sample_rate=48000 here"):
        BigVGANVocoder.from_files(*files, spec=MelSpec(sample_rate=48000))
