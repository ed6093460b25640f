"""The command `export-vocoder`: files that other programs load and play as the model's own vocoder does."""

import json

import pytest
import torch
from cli_runner import distillgan
from support import composed

from distillgan.audio.mel import MelSpec
from distillgan.cli.commands.engine_commands import export
from distillgan.errors import UserError
from distillgan.models.modelfile import read_model
from distillgan.models.vocoders import graph_export
from distillgan.models.vocoders.harmonic import HarmonicGenerator, HarmonicVocoder
from distillgan.models.vocoders.hifigan import HiFiGANGenerator, HiFiGANVocoder
from distillgan.models.vocoders.registry import load_own

FRAMES = (1, 3, 32, 50)


def mel_of(frames: int) -> torch.Tensor:
    return 2 * torch.randn(1, 128, frames, generator=torch.Generator().manual_seed(frames)) - 4


def small_vocoder(**arguments) -> HiFiGANVocoder:
    torch.manual_seed(2)
    generator = HiFiGANGenerator(**{"upsample_initial_channel": 32, **arguments})
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(2)
    return HiFiGANVocoder(generator, MelSpec())


def play_onnx(path, mel):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    spec = session.get_modelmeta().custom_metadata_map["mel_spec"]
    return torch.from_numpy(session.run(None, {"mel": mel.numpy()})[0]), json.loads(spec)


def play_torchscript(path, mel):
    files = {"mel_spec": ""}
    module = torch.jit.load(str(path), _extra_files=files)
    with torch.no_grad():
        return module(mel), json.loads(files["mel_spec"])


PLAYERS = {"onnx": play_onnx, "torchscript": play_torchscript}


@pytest.fixture(params=PLAYERS)
def kind(request):
    if request.param == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    return request.param


@pytest.mark.parametrize("resblock", ["1", "2"])
def test_the_file_plays_what_the_vocoder_plays(tmp_path, kind, resblock):
    vocoder, path = small_vocoder(resblock=resblock), tmp_path / "own.file"
    assert graph_export.export_vocoder(vocoder, kind, path) <= 1e-4
    exact = vocoder.double()
    for frames in FRAMES:
        mel = mel_of(frames)
        wave, spec = PLAYERS[kind](path, mel)
        # Of 64 bits: two programs at 32 each round in their own way, which is not to be counted twice.
        expected = exact(mel.double()).float()
        assert wave.shape == (1, 1, frames * 512) and expected.abs().max() > 1e-2
        torch.testing.assert_close(wave, expected, atol=1e-5, rtol=0)
    assert spec == MelSpec().to_dict()
    assert [file.name for file in tmp_path.iterdir()] == ["own.file"]


def test_the_command(tmp_path, trained, kind):
    output = tmp_path / "a folder" / "own, é.bin"
    done = distillgan("export-vocoder", "tiny", "--format", kind, "--output", output, f"paths.home={trained[0]}")
    assert done.returncode == 0, done.stderr
    assert "compared" in done.stdout and str(output) in done.stdout
    header, tensors = read_model(trained[0] / "models" / "tiny.distillgan", "vocoder.")
    mel = mel_of(7)
    wave, spec = PLAYERS[kind](output, mel)
    torch.testing.assert_close(wave, load_own(header.vocoder, tensors, header.mel)(mel), atol=1e-5, rtol=0)
    assert spec == header.mel.to_dict()


def test_where_it_goes_by_itself(tmp_path, trained):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.distillgan").symlink_to(trained[0] / "models" / "tiny.distillgan")
    path = export(composed("export_vocoder", tmp_path, "model.name=tiny", "format=torchscript"))
    assert path == tmp_path / "exports" / "tiny.ts" and path.is_file()


def test_a_generator_without_an_onnx_form(tmp_path):
    vocoder = HarmonicVocoder(HarmonicGenerator(channels=16, layers=1), MelSpec())
    assert graph_export.export_vocoder(vocoder, "torchscript", tmp_path / "v.ts") <= 1e-4
    wave, _ = play_torchscript(tmp_path / "v.ts", mel_of(50))
    torch.testing.assert_close(wave, vocoder(mel_of(50)), atol=1e-5, rtol=0)
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    with pytest.raises(UserError, match="HarmonicVocoder has no ONNX form yet: use format=torchscript"):
        graph_export.export_vocoder(vocoder, "onnx", tmp_path / "v.onnx")
    assert not (tmp_path / "v.onnx").exists()


@pytest.mark.parametrize("change", [lambda x: x + 2e-4, lambda x: x[..., :-1], lambda x: x * float("nan")])
def test_a_file_that_plays_something_else_is_not_put_in_place(tmp_path, monkeypatch, change):
    path, read = tmp_path / "own.ts", graph_export._READERS["torchscript"]

    def changed(file):
        module = read(file)
        return lambda mel: change(module(mel))

    monkeypatch.setitem(graph_export._READERS, "torchscript", changed)
    path.write_bytes(b"an older one")
    with pytest.raises(UserError, match="is not written: it would differ"):
        graph_export.export_vocoder(small_vocoder(), "torchscript", path)
    assert path.read_bytes() == b"an older one" and list(tmp_path.iterdir()) == [path]


def test_without_onnx_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(graph_export, "find_spec", lambda name: None if name == "onnx" else object())
    with pytest.raises(UserError, match=r"wants onnx: pip install 'distillgan\[onnx\]'"):
        graph_export.export_vocoder(small_vocoder(), "onnx", tmp_path / "own.onnx")
    graph_export.export_vocoder(small_vocoder(), "torchscript", tmp_path / "own.ts")


def test_a_model_without_a_vocoder(tmp_path, trained):
    from distillgan.models.modelfile import write_model

    header, tensors = read_model(trained[0] / "models" / "tiny.distillgan")
    bare = {name: value for name, value in tensors.items() if not name.startswith("vocoder.")}
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "bare.distillgan"
    write_model(path, type(header)(**{**vars(header), "name": "bare", "vocoder": None}), bare)
    with pytest.raises(UserError, match="model bare has no vocoder of its own to export: train one"):
        export(composed("export_vocoder", tmp_path, "model.name=bare", "format=torchscript"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "wants the model's name first"),
        (["--format", "onnx"], "wants the model's name first"),
        (["nosuch", "--format", "torchscript"], "model=nosuch: no such model"),
        (["nosuch", "--format", "mp3"], "format=mp3 is none"),
        (["nosuch", "--output"], "--output wants a value"),
    ],
)
def test_mistakes_are_told_in_words(tmp_path, arguments, words):
    done = distillgan("export-vocoder", *arguments, *([f"paths.home={tmp_path}"] if arguments else []))
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
