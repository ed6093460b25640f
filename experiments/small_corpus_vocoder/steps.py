"""Steps a second of the adversarial training against the textbook loop, same networks, batches and process.

    python experiments/small_corpus_vocoder/steps.py [rounds] [width of the discriminators]

The textbook loop passes real and fake through the discriminators apart, recomputes the features of the real wave with a
graph in the generator's step, and lets gradients flow into the discriminators there. Each variant takes one of these
back alone. Rounds alternate between the variants; the figure is the median of the rounds' ratios.
"""

import statistics
import sys
import time
import warnings

import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from distillgan.paths import conf_dir
from distillgan.training.fit import build
from distillgan.vocoder.module import VocoderModule

STEPS = 4  # a round, after one that warms up


class Apart(VocoderModule):
    """Real and fake in passes of their own."""

    def _discriminator_step(self, real, fake, optimizer):
        reals, fakes = ([score for score, _ in self.discriminators(wave)] for wave in (real, fake))
        loss = self.gan.discriminator(reals, fakes)
        return self._step(loss, optimizer), {"loss_disc": loss}


class RealGraph(VocoderModule):
    """The features of the real wave are recomputed with a graph."""

    def _adversarial_losses(self, real, fake):
        targets = self.discriminators(real)
        self.discriminators.requires_grad_(False)
        verdicts = self.discriminators(fake)
        self.discriminators.requires_grad_(True)
        return self.gan.generator([score for score, _ in verdicts]), self.feature_matching(targets, verdicts)


class Everywhere(VocoderModule):
    """The generator's step makes gradients of the discriminators, too."""

    def _adversarial_losses(self, real, fake):
        with torch.no_grad():
            targets = self.discriminators(real)
        verdicts = self.discriminators(fake)
        return self.gan.generator([score for score, _ in verdicts]), self.feature_matching(targets, verdicts)


class Textbook(Apart):
    """All three, as in the authors' program."""

    def _adversarial_losses(self, real, fake):
        targets, verdicts = self.discriminators(real), self.discriminators(fake)
        # Not detached, as there: the graph of the real features is walked, too.
        matching = sum(
            torch.mean(torch.abs(r - f))
            for (_, reals), (_, fakes) in zip(targets, verdicts, strict=True)
            for r, f in zip(reals, fakes, strict=True)
        )
        return self.gan.generator([score for score, _ in verdicts]), matching


class Clock(Callback):
    def __init__(self):
        self.seconds = []

    def on_train_batch_start(self, *_):
        self._begun = time.perf_counter()

    def on_train_batch_end(self, *_):
        self.seconds.append(time.perf_counter() - self._begun)


def module(kind: type[VocoderModule], name: str, width: float) -> VocoderModule:
    with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
        config = compose("train", overrides=[f"vocoder={name}", f"vocoder.discriminators.width={width}"])
    config.vocoder.max_steps, config.vocoder.adversarial_from_step = 10**6, 0
    config.vocoder.module._target_ = f"{kind.__module__}.{kind.__qualname__}"
    torch.manual_seed(0)
    return build(config.vocoder.module)


def seconds_a_step(model: VocoderModule) -> float:
    batches = [{"wave": 0.1 * torch.randn(8, 1, 65536), "rate": torch.ones(8), "clip": torch.zeros(8)}] * (STEPS + 1)
    clock = Clock()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, callbacks=[clock], **quiet)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model, DataLoader(batches, batch_size=None))
    return min(clock.seconds[1:])


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    width = float(sys.argv[2]) if len(sys.argv) > 2 else 0.125
    for name in ("hifigan", "vocos"):
        kinds = (VocoderModule, Textbook, Apart, RealGraph, Everywhere)
        models = {kind.__name__: module(kind, name, width) for kind in kinds}
        times = {label: [] for label in models}
        for _ in range(rounds):
            for label, model in models.items():
                times[label].append(seconds_a_step(model))
        ours = times["VocoderModule"]
        for label, taken in times.items():
            ratios = [t / o for t, o in zip(taken, ours, strict=True)]
            print(
                f"{name}, width {width}: {label:14} {min(taken):.2f} s a step, "
                f"{statistics.median(ratios):.2f} times ours (least {min(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
