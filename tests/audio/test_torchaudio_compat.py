"""torchaudio's Python parts work whether or not its compiled part can be loaded."""

import subprocess
import sys

import pytest

# A torchaudio whose extension cannot be linked, as the registry's wheel beside a CPU build of torch.
BROKEN = """
import importlib.abc, sys

class Unlinked(importlib.abc.MetaPathFinder):
    tried = 0
    def find_spec(self, name, path, target=None):
        if name == "torchaudio._extension":
            Unlinked.tried += 1
            raise OSError("libcudart.so.13: cannot open shared object file")

if sys.argv[1] == "broken":
    sys.meta_path.insert(0, Unlinked())
"""
USE = """
import torch
from distillgan.audio.torchaudio_compat import torchaudio
assert Unlinked.tried == (sys.argv[1] == "broken"), Unlinked.tried
import torchaudio as again
assert again is torchaudio
bank = torchaudio.functional.melscale_fbanks(513, 0.0, 8000.0, 40, 16000, norm="slaney", mel_scale="slaney")
wave = torch.sin(torch.arange(4000) / 10)
resampled = torchaudio.functional.resample(wave, 2, 3)
stretched = torchaudio.functional.phase_vocoder(
    torch.stft(wave, 512, return_complex=True), 1.5, torch.linspace(0, 3.14 * 128, 257)[:, None])
print(*(f"{float(x.abs().sum()):.6g}" for x in (bank, resampled, stretched)), len(resampled))
"""


def run(code: str, state: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, state], capture_output=True, text=True, check=False)


def test_without_the_extension_all_is_as_with_it():
    broken, whole = (run(BROKEN + USE, state) for state in ("broken", "whole"))
    assert broken.returncode == 0, broken.stderr
    assert whole.returncode == 0, whole.stderr
    assert broken.stdout == whole.stdout
    assert broken.stdout.split()[-1] == "6000"


def test_a_missing_torchaudio_is_not_hidden():
    missing = BROKEN.replace("torchaudio._extension", "torchaudio").replace("OSError", "ModuleNotFoundError")
    result = run(missing + "import distillgan.audio.torchaudio_compat", "broken")
    assert result.returncode == 1
    assert "ModuleNotFoundError" in result.stderr


@pytest.mark.parametrize("norm", ["slaney", None])
def test_the_filterbank_is_a_filterbank(norm):
    from distillgan.audio.torchaudio_compat import torchaudio

    bank = torchaudio.functional.melscale_fbanks(1025, 0.0, 22050.0, 64, 44100, norm=norm, mel_scale="slaney")
    assert bank.shape == (1025, 64)
    area = bank.sum(0) * 22050 / 1024
    wide = slice(24, None)  # narrower bands fall between the bins
    assert norm is None or (area[wide] - 1).abs().max() < 0.05
    assert norm is not None or (bank.max(0).values[wide] > 0.9).all()
