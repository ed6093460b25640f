"""Steps a second of the adversarial training against the textbook loop, same networks, batches and process.

    OMP_NUM_THREADS=1 python experiments/small_corpus_vocoder/steps.py [rounds] [width of the discriminators]

The textbook loop judges real and fake once for the discriminators' step and once more for the generator's, recomputes
there the features of the real wave with a graph, and lets gradients flow into the discriminators, whose grouped
convolutions are PyTorch's; so are those of hifigan's generator. The other variants take a part of that back. Rounds
alternate between the variants; the figures are the medians of the rounds' ratios, of processor time (with one thread
other work on the machine hardly touches it) and of the clock's.
"""

import functools
import statistics
import sys
import time
import warnings

import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback, Trainer
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from distillgan.configuration import build
from distillgan.models.vocoders import module as training
from distillgan.models.vocoders.discriminators import FoldedConv1d
from distillgan.models.vocoders.losses import discriminator_loss, generator_loss
from distillgan.models.vocoders.module import VocoderModule, accuracies, adversarial_losses
from distillgan.paths import conf_dir

STEPS = 4  # a round, after one that warms up


def textbook(discriminators, real, fake, change, weights, frozen=False, real_graph=True):
    """All of it, as in the authors' program.

    Without `real_graph` the features of the real wave are recomputed without a graph; `frozen`, the discriminators get
    no gradients in the generator's step.
    """
    reals, fakes = (discriminators(change(wave)) for wave in (real, fake))
    scores = ([score for score, _ in outputs] for outputs in (reals, fakes))
    metrics = {"loss_disc": discriminator_loss(*scores), **accuracies(reals, fakes)}
    wave = fake.clone().requires_grad_()
    discriminators.requires_grad_(not frozen)
    with torch.set_grad_enabled(real_graph):
        targets = discriminators(change(real))
    outputs = discriminators(change(wave))
    # Not detached, as there: the graph of the real features is walked, too.
    pairs = zip(targets, outputs, strict=True)
    matching = sum(F.l1_loss(f, r) for (_, rs), (_, fs) in pairs for r, f in zip(rs, fs, strict=True))
    adv = generator_loss([score for score, _ in outputs])
    touched = [wave] if frozen else [wave, *discriminators.parameters()]
    gradient, *_ = torch.autograd.grad(weights["loss_adv"] * adv + weights["loss_fm"] * matching, touched)
    discriminators.requires_grad_(True)
    return metrics, {"loss_adv": adv.detach(), "loss_fm": matching.detach()}, gradient


no_real_graph = functools.partial(textbook, real_graph=False)
second_pass = functools.partial(textbook, frozen=True, real_graph=False)


# The losses of each variant, whether its grouped convolutions are folded, and its generator has the channels last.
VARIANTS = {
    "ours": (adversarial_losses, True, True),
    "textbook": (textbook, False, False),
    "ours, plain generator": (adversarial_losses, True, False),
    "ours, plain grouped convolutions": (adversarial_losses, False, True),
    "textbook, folded convolutions": (textbook, True, False),
    "no graph of the real features": (no_real_graph, False, False),
    "and discriminators frozen in the generator's step": (second_pass, False, False),
}


class Clock(Callback):
    """The processor's and the wall's seconds of each step."""

    def __init__(self):
        self.seconds = []

    def on_train_batch_start(self, *_):
        self._begun = _now()

    def on_train_batch_end(self, *_):
        self.seconds.append([now - begun for now, begun in zip(_now(), self._begun, strict=True)])


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def module(folded: bool, fast: bool, name: str, width: float) -> VocoderModule:
    with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
        config = compose("train", overrides=[f"vocoder={name}", f"vocoder.discriminators.width={width}"])
    config.vocoder.max_steps, config.vocoder.adversarial_from_step = 10**6, 0
    torch.manual_seed(0)
    made = build(config.vocoder.module)
    for layer in made.discriminators.modules():
        if isinstance(layer, FoldedConv1d) and not folded:
            layer.forward = functools.partial(nn.Conv1d.forward, layer)
    # Out of training mode hifigan's generator takes its plain form; nothing else in either depends on the mode.
    made.generator.train(fast)
    return made


def seconds_a_step(model: VocoderModule) -> list[float]:
    """Processor's and clock's, each of its quickest step."""
    batches = [{"wave": 0.1 * torch.randn(8, 1, 65536), "rate": torch.ones(8), "clip": torch.zeros(8)}] * (STEPS + 1)
    clock = Clock()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, callbacks=[clock], **quiet)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model, DataLoader(batches, batch_size=None))
    return [min(taken) for taken in zip(*clock.seconds[1:], strict=True)]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    width = float(sys.argv[2]) if len(sys.argv) > 2 else 0.125
    for name in ("hifigan", "harmonic"):
        models = {label: module(*kind, name, width) for label, (_, *kind) in VARIANTS.items()}
        times = {label: [] for label in models}
        for _ in range(rounds):
            for label, model in models.items():
                training.adversarial_losses = VARIANTS[label][0]
                times[label].append(seconds_a_step(model))
        for label, taken in times.items():
            told = (
                _told(*pair) for pair in zip(zip(*taken, strict=True), zip(*times["ours"], strict=True), strict=True)
            )
            print(f"{name}, width {width}: {label:50}", *told, flush=True)


def _told(taken: tuple[float, ...], ours: tuple[float, ...]) -> str:
    ratios = [t / o for t, o in zip(taken, ours, strict=True)]
    return f"{min(taken):.2f} s a step, {statistics.median(ratios):.2f} times ours (least {min(ratios):.2f});"


if __name__ == "__main__":
    main()
