"""Speeds: steps a second of the two trainings, and how many times real time the vocoders play."""

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator

import lightning as L
import torch
from check import Row
from networks import SPEC, bigvgan, compiler, config, forget_peak, guarded, hifigan, noise, peak
from torch import Tensor, nn
from torch.backends import cudnn
from torch.utils.data import DataLoader

from distillgan.configuration import build

SAME = 1e-3  # of the loudest sample, that a compiled form may be off the plain one
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def vae_steps(device: str, tiny: bool) -> Iterator[Row]:
    wanted = config(tiny)
    size, samples = wanted.data.batch_size, (math.ceil(wanted.data.segment_frames * 1.25) + 1) * SPEC.hop_length

    def made() -> tuple[L.LightningModule, list[nn.Module]]:
        module = build(wanted.model.module, spec=SPEC.to_dict())
        return module, [module.network.encoder, module.network.decoder]

    yield from _trained(made, {"wave": noise(size, samples), "rate": torch.ones(size)}, device, tiny)


def hifigan_steps(device: str, tiny: bool) -> Iterator[Row]:
    """With all discriminators, from the first step on."""
    wanted = config(tiny)
    size, samples = wanted.vocoder.data.batch_size, wanted.vocoder.data.segment_frames * SPEC.hop_length

    def made() -> tuple[L.LightningModule, list[nn.Module]]:
        module = build(wanted.vocoder.module)
        return module, [module.generator, module.discriminators]

    yield from _trained(made, {"wave": noise(size, samples)}, device, tiny)


def _trained(made: Callable, batch: dict[str, Tensor], device: str, tiny: bool) -> Iterator[Row]:
    for compiled in (False, True):
        for precision in ("32-true", "bf16-mixed"):
            what = f"batch {len(batch['wave'])}, {precision}{', compiled' * compiled}"
            if tiny and compiled and "rate" not in batch:
                yield Row(what, "not in --tiny: to trace it takes a processor minutes")
                continue
            yield from guarded(what, _steps, made, batch, device, tiny, compiled, precision)


def _steps(
    what: str, made: Callable, batch: dict[str, Tensor], device: str, tiny: bool, compiled: bool, precision: str
) -> Row:
    torch.manual_seed(0)
    module, parts = made()
    for part in parts if compiled else []:
        part.compile(**compiler(tiny))
    forget_peak(device)
    clock = _Clock(*((1, 1) if tiny else (8, 40)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        trainer = L.Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision=precision,
            max_epochs=1,
            callbacks=[clock],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader([batch] * clock.last, batch_size=None))
    sound = all(parameter.isfinite().all() for parameter in module.parameters()) and module.steps_done == clock.last
    words = f"{clock.speed:.1f} steps a second" + ", and then its weights are no numbers" * (not sound)
    return Row(what, words, sound, peak(device))


class _Clock(L.Callback):
    """Times the steps after the first `warm`, in which what is to be compiled is compiled."""

    def __init__(self, warm: int, steps: int):
        self.warm, self.last = warm, warm + steps
        self.begun = self.speed = 0.0

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if batch_idx + 1 in (self.warm, self.last):
            if module.device.type == "cuda":
                torch.cuda.synchronize()
            if batch_idx + 1 == self.warm:
                self.begun = time.perf_counter()
            else:
                self.speed = (self.last - self.warm) / (time.perf_counter() - self.begun)


def bigvgan_plays(device: str, tiny: bool) -> Iterator[Row]:
    yield from _played(bigvgan(tiny), device, tiny)


def hifigan_plays(device: str, tiny: bool) -> Iterator[Row]:
    yield from _played(hifigan(tiny), device, tiny)


def _played(generator: nn.Module, device: str, tiny: bool) -> Iterator[Row]:
    plain = generator.requires_grad_(False).to(device)
    compiled = torch.compile(plain, dynamic=False, **compiler(tiny))
    for items in (1, 8):
        mel = torch.randn(items, SPEC.n_mels, 2 if tiny else 128, generator=torch.Generator().manual_seed(0)) - 4
        mel, runs = mel.to(device), 1 if tiny else 7
        yield from guarded(f"batch {items}, eager", _plays, lambda _: plain, plain, mel, runs)
        yield from guarded(f"batch {items}, compiled", _plays, lambda _: compiled, plain, mel, runs)
        if device == "cuda":
            yield from guarded(f"batch {items}, CUDA graph", _plays, lambda m: _graphed(plain, m), plain, mel, runs)
        else:
            yield Row(f"batch {items}, CUDA graph", "not on a CPU")


@torch.no_grad()
def _plays(what: str, make: Callable[[Tensor], Callable], plain: nn.Module, mel: Tensor, runs: int) -> Row:
    """The median after two runs that warm up, and whether it is the plain form's sound.

    As `Vocoder.stream` plays a block: without TF32, the same at every run.
    """
    device = mel.device.type
    seconds = mel.shape[0] * mel.shape[-1] / SPEC.frame_rate
    with cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        expected = plain(mel)
        forget_peak(device)
        function = make(mel)
        for _ in range(2):
            wave = function(mel)
        off = float((wave - expected).abs().max() / expected.abs().max())
        times = sorted(_timed(function, mel) for _ in range(runs))
    words = f"{seconds / times[len(times) // 2]:.1f} times real time" + f", {off:.2g} off the plain form" * (off > SAME)
    return Row(what, words, off <= SAME, peak(device))


def _timed(function: Callable, mel: Tensor) -> float:
    """Seconds of one run; on a GPU between two events in its stream."""
    if mel.device.type != "cuda":
        begun = time.perf_counter()
        function(mel)
        return time.perf_counter() - begun
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    function(mel)
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def _graphed(function: Callable, mel: Tensor) -> Callable[[Tensor], Tensor]:
    """The function recorded for one shape, so that its kernels are started all at once (torch.cuda.CUDAGraph)."""
    given, graph, side = mel.clone(), torch.cuda.CUDAGraph(), torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function(given)
    torch.cuda.current_stream().wait_stream(side)
    with torch.cuda.graph(graph):
        made = function(given)

    def replay(new: Tensor) -> Tensor:
        given.copy_(new)
        graph.replay()
        return made

    return replay
