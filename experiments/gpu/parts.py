"""What check.py runs: each part is a generator of rows, on a device, and small where `tiny` says so."""

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from check import Row, in_words
from networks import SPEC, bigvgan, chirps, config, forget_peak, hifigan, peak
from speed import bigvgan_plays, hifigan_plays, hifigan_steps, vae_steps
from torch import Tensor, nn
from torch.backends import cudnn

from distillgan.audio.mel import MelSpectrogram, to_log1p, to_log_clamp
from distillgan.compute import hardware
from distillgan.errors import UserError
from distillgan.models.base import Vocoder
from distillgan.models.vae.network import VAENetwork
from distillgan.models.vocoders.registry import UNIVERSAL, read_packaged
from distillgan.synthesis.renderer import play

ROOT = Path(__file__).resolve().parents[2]
MACHINE = "machine"
# dB that the difference from the CPU's output must be under the output, both as root mean squares. 24 bits are -144 dB;
# sums of thousands of products in another order lose some 40 of them, and the universal vocoder decides by comparing
# bands which of them carry a partial.
TOLERANCES = {"mel": -100, "VAE": -90, "universal vocoder": -50, "HiFi-GAN": -90, "BigVGAN": -80}
TESTS = ("tests/test_device.py", "tests/vendor/bigvgan/test_fused_cuda.py", "tests/training/test_precision.py")


def machine(device: str, tiny: bool) -> Iterator[Row]:
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(f"PyTorch {torch.__version__} sees no CUDA GPU: --tiny runs on the CPU")
    found = hardware(torch.device(device))
    yield Row("device", str(found["hardware"]))
    yield Row("software", f"PyTorch {found['torch']}" + f", CUDA {torch.version.cuda}" * (device == "cuda"))


def device_tests(device: str, tiny: bool) -> Iterator[Row]:
    """Those of the suite that a GPU changes."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--durations=0"]
    files = TESTS[:1] if tiny else TESTS
    done = subprocess.run(
        [*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=300 if tiny else 70, check=False
    )
    last = next((line for line in reversed(done.stdout.splitlines()) if " in " in line), f"exit {done.returncode}")
    sys.stderr.write(done.stdout if done.returncode else "")
    yield Row("tests that use a GPU", last.strip("= "), done.returncode == 0)


def equality(device: str, tiny: bool) -> Iterator[Row]:
    wave, frames = chirps(0.3 if tiny else 3), 4 if tiny else 64
    mel = MelSpectrogram(SPEC)
    linear = mel(wave)
    heard = to_log_clamp(linear)
    torch.manual_seed(0)
    universal = read_packaged(UNIVERSAL)
    assert universal is not None, "the universal vocoder ships with the package"
    compared: dict[str, tuple[nn.Module, Tensor]] = {
        "mel": (mel, wave),
        "VAE": (_AutoEncoder(VAENetwork(**config(tiny).model.module.network)), to_log1p(linear, SPEC)),
        "universal vocoder": (universal.vocoder(), heard),
        "HiFi-GAN": (hifigan(tiny), heard[..., :frames]),
        "BigVGAN": (bigvgan(tiny), heard[..., :frames]),
    }
    for name, (module, given) in compared.items():
        with torch.no_grad(), cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            expected = module(given)
            found = module.to(device)(given.to(device)).cpu()
        error = 10 * math.log10(float((found - expected).square().mean() / expected.square().mean()) + 1e-30)
        limit = TOLERANCES[name]
        yield Row(f"{name}: off the CPU's", f"{max(error, -200):.0f} dB (at most {limit})", error <= limit)


class _AutoEncoder(nn.Module):
    """What the VAE makes of a mel."""

    def __init__(self, network: VAENetwork):
        super().__init__()
        self.network = network.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.network.decode(self.network.encode(x)[0], x.shape[-1])


def out_of_memory(device: str, tiny: bool) -> Iterator[Row]:
    """It ends in words, and what comes after it has the memory again."""
    forget_peak(device)
    for wanted in (1 << 50, 1):
        vocoder = _Hungry(wanted).to(device)
        try:
            samples = sum(block.shape[1] for block in play(vocoder, [torch.zeros(1, 128, 8)], 8 * 512))
            yield Row("a rendering after it", f"{samples} samples", wanted == 1 and samples == 8 * 512, peak(device))
        except UserError as told:
            yield Row("a rendering that wants too much", in_words(told), wanted > 1)


class _Hungry(Vocoder):
    """Wants `wanted` more floats than it needs."""

    def __init__(self, wanted: int):
        super().__init__(SPEC, 0)
        self.wanted = wanted
        self.register_buffer("here", torch.zeros(1))

    def forward(self, mel: Tensor) -> Tensor:
        return mel.new_empty(self.wanted)[:1].mul(0) + mel.new_zeros(1, 1, mel.shape[-1] * SPEC.hop_length)


# Name, part, seconds that it may take: 450 in all.
PARTS = (
    (MACHINE, machine, 20),
    ("tests", device_tests, 75),
    ("as on the CPU", equality, 60),
    ("VAE", vae_steps, 60),
    ("HiFi-GAN, all discriminators", hifigan_steps, 90),
    ("BigVGAN plays", bigvgan_plays, 80),
    ("HiFi-GAN plays", hifigan_plays, 45),
    ("out of memory", out_of_memory, 20),
)
