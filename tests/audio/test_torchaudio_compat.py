"""torchaudio's Python parts work whether or not its compiled part can be loaded."""

import contextlib
import io
import subprocess
import sys

import pytest

from distillgan.audio.torchaudio_compat import torchaudio

# A torchaudio whose extension cannot be linked, as the registry's wheel beside a CPU build of torch.
BROKEN = """
import importlib.abc, sys

class Unlinked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torchaudio._extension":
            sys.stderr.write("refused")
            raise OSError("libcudart.so.13: cannot open shared object file")

sys.meta_path.insert(0, Unlinked())
"""
USE = """
import torch
from distillgan.audio.torchaudio_compat import torchaudio
import torchaudio as again
assert again is torchaudio
bank = torchaudio.functional.melscale_fbanks(513, 0.0, 8000.0, 40, 16000, norm="slaney", mel_scale="slaney")
wave = torch.sin(torch.arange(4000) / 10)
resampled = torchaudio.functional.resample(wave, 2, 3)
spectrum = torch.stft(wave, 512, window=torch.ones(512), return_complex=True)
stretched = torchaudio.functional.phase_vocoder(spectrum, 1.5, torch.linspace(0, 3.14 * 128, 257)[:, None])
print(*(f"{float(x.abs().sum()):.4g}" for x in (bank, resampled, stretched)), len(resampled))
"""


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_the_extension_all_is_as_here():
    broken = run(BROKEN + USE)
    assert broken.returncode == 0, broken.stderr
    assert broken.stderr.startswith("refused")
    here = io.StringIO()
    with contextlib.redirect_stdout(here):
        exec(USE, {})
    assert broken.stdout == here.getvalue()
    assert broken.stdout.split()[-1] == "6000"


def test_a_missing_torchaudio_is_not_hidden():
    missing = BROKEN.replace("torchaudio._extension", "torchaudio").replace("OSError", "ModuleNotFoundError")
    result = run(missing + "import distillgan.audio.torchaudio_compat")
    assert result.returncode == 1
    assert "ModuleNotFoundError" in result.stderr


@pytest.mark.parametrize("norm", ["slaney", None])
def test_the_filterbank_is_a_filterbank(norm):
    bank = torchaudio.functional.melscale_fbanks(1025, 0.0, 22050.0, 64, 44100, norm=norm, mel_scale="slaney")
    assert bank.shape == (1025, 64)
    wide = bank[:, 24:]  # narrower bands fall between the bins
    if norm == "slaney":
        assert (wide.sum(0) * 22050 / 1024 - 1).abs().max() < 0.05  # area 1
    else:
        assert wide.max(0).values.min() > 0.9 and wide.max() <= 1  # height 1
