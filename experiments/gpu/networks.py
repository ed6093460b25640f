"""What the parts of check.py share: networks, batches, and how rows are made of them."""

import math
from collections.abc import Callable, Iterator

import torch
from check import Row, in_words
from omegaconf import DictConfig
from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.cli.hydra_app import composed
from distillgan.models.vocoders.hifigan import HiFiGANGenerator
from distillgan.vendor.bigvgan.generator import BigVGANGenerator

SPEC = MelSpec()


def config(tiny: bool) -> DictConfig:
    """A training with a HiFi-GAN and discriminators of the paper's width that join at once."""
    steps = ["model.max_steps=1000", "vocoder.max_steps=1000", "vocoder.adversarial_from_step=0"]
    sizes = ["data.batch_size=32", "vocoder.data.batch_size=16", "vocoder.discriminators.width=1"]
    if tiny:
        sizes = ["data.batch_size=2", "vocoder.data.batch_size=1", "vocoder.discriminators.width=0.03"]
        sizes += ["model.module.network.channels=32", "model.module.network.fine_channels=16"]
        sizes += [f"vocoder.{key}={value}" for key, value in _SMALL.items()]
        sizes += ["vocoder.module.segment_size=2048", "vocoder.data.segment_frames=16", "data.segment_frames=32"]
    return composed("train", ["vocoder=hifigan", *sizes, *steps])


_SMALL = {
    "channels": 32,
    "generator.resblock_kernel_sizes": "[3]",
    "generator.resblock_dilation_sizes": "[[1,3]]",
}


def hifigan(tiny: bool) -> HiFiGANGenerator:
    small = {"upsample_initial_channel": 32, "resblock_kernel_sizes": (3,), "resblock_dilation_sizes": ((1, 3),)}
    return HiFiGANGenerator(**(small if tiny else {})).eval()


def bigvgan(tiny: bool) -> BigVGANGenerator:
    """The topology of bigvgan_v2_44khz_128band_512x, with weights drawn at random."""
    return BigVGANGenerator(
        resblock="1",
        upsample_rates=(8, 4, 2, 2, 2, 2),
        upsample_kernel_sizes=(16, 8, 4, 4, 4, 4),
        upsample_initial_channel=64 if tiny else 1536,
        resblock_kernel_sizes=(3,) if tiny else (3, 7, 11),
        resblock_dilation_sizes=((1,),) if tiny else ((1, 3, 5),) * 3,
        num_mels=128,
        activation="snakebeta",
        snake_logscale=True,
        use_tanh_at_final=False,
        use_bias_at_final=False,
    ).eval()


def chirps(seconds: float) -> Tensor:
    """Two rising tones over quiet noise, [1, N]."""
    time = torch.arange(int(seconds * SPEC.sample_rate)) / SPEC.sample_rate
    tones = [torch.sin(2 * math.pi * low * (2**time - 1) / math.log(2)) for low in (110, 1300)]
    random = torch.Generator().manual_seed(0)
    return (0.2 * sum(tones) + 0.003 * torch.randn(len(time), generator=random))[None]


def noise(items: int, samples: int) -> Tensor:
    return 0.1 * torch.randn(items, 1, samples, generator=torch.Generator().manual_seed(0))


def guarded(what: str, measure: Callable[..., Row], *arguments) -> Iterator[Row]:
    """The row of what `measure` says, or one in words: a form that fails leaves the other forms their turn."""
    try:
        yield measure(what, *arguments)
    except Exception as fault:
        yield Row(what, in_words(fault), good=False)


def compiler(tiny: bool) -> dict[str, str]:
    """Arguments of torch.compile. Tiny: traced as for a compiler, not compiled: that takes minutes, and a g++."""
    torch._dynamo.config.recompile_limit = 64  # layers of other widths share their code
    return {"backend": "eager"} if tiny else {}


def forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak(device: str) -> float | None:
    """MiB of the GPU that tensors took at most since `forget_peak`."""
    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
