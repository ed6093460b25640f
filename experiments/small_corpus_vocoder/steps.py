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
from distillgan.models.vocoders.discriminators import FoldedConv1d
from distillgan.models.vocoders.module import Adversary, VocoderModule, accuracies
from distillgan.paths import conf_dir

STEPS = 4  # a round, after one that warms up


class Textbook(Adversary):
    """All of it, as in the authors' program."""

    frozen, real_graph = False, True

    def judge(self, real, fake, disguise):
        reals, fakes = (self.discriminators(disguise(wave)) for wave in (real, fake))
        scores = ([score for score, _ in verdicts] for verdicts in (reals, fakes))
        judged = {"loss_disc": self.gan.discriminator(*scores), **accuracies(reals, fakes)}
        heard = fake.clone().requires_grad_()
        self.discriminators.requires_grad_(not self.frozen)
        with torch.set_grad_enabled(self.real_graph):
            targets = self.discriminators(disguise(real))
        verdicts = self.discriminators(disguise(heard))
        # Not detached, as there: the graph of the real features is walked, too.
        pairs = zip(targets, verdicts, strict=True)
        matching = sum(F.l1_loss(f, r) for (_, rs), (_, fs) in pairs for r, f in zip(rs, fs, strict=True))
        adv = self.gan.generator([score for score, _ in verdicts])
        touched = [heard] if self.frozen else [heard, *self.discriminators.parameters()]
        pull, *_ = torch.autograd.grad(self.weight_adv * adv + self.weight_fm * matching, touched)
        self.discriminators.requires_grad_(True)
        return judged, {"loss_adv": adv.detach(), "loss_fm": matching.detach()}, pull


class NoRealGraph(Textbook):
    """The features of the real wave are recomputed, but without a graph."""

    real_graph = False


class SecondPass(Textbook):
    """A second pass for the generator, but only what it needs: no graph for the real wave, frozen discriminators."""

    frozen, real_graph = True, False


# How each variant judges, whether its grouped convolutions are folded, and its generator has the channels last.
VARIANTS = {
    "ours": (Adversary, True, True),
    "textbook": (Textbook, False, False),
    "ours, plain generator": (Adversary, True, False),
    "ours, plain grouped convolutions": (Adversary, False, True),
    "textbook, folded convolutions": (Textbook, True, False),
    "no graph of the real features": (NoRealGraph, False, False),
    "and discriminators frozen in the generator's step": (SecondPass, False, False),
}


class Clock(Callback):
    def __init__(self):
        self.seconds = []

    def on_train_batch_start(self, *_):
        self._begun = _now()

    def on_train_batch_end(self, *_):
        self.seconds.append([now - begun for now, begun in zip(_now(), self._begun, strict=True)])


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def module(adversary: type[Adversary], folded: bool, fast: bool, name: str, width: float) -> VocoderModule:
    with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
        config = compose("train", overrides=[f"vocoder={name}", f"vocoder.discriminators.width={width}"])
    config.vocoder.max_steps, config.vocoder.adversarial_from_step = 10**6, 0
    torch.manual_seed(0)
    made = build(config.vocoder.module)
    made.adversary = adversary(made.discriminators, made.adversary.weight_adv, made.adversary.weight_fm)
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
    for name in ("hifigan", "vocos"):
        models = {label: module(*kind, name, width) for label, kind in VARIANTS.items()}
        times = {label: [] for label in models}
        for _ in range(rounds):
            for label, model in models.items():
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
