"""Two processes against one, the same batch for each: how much of the second one's work is gained.

    OMP_NUM_THREADS=1 python experiments/weak_scaling/scaling.py [rounds] [steps a round]

Rounds alternate within one pair of processes: in one half the first trains alone while the second sleeps, in the other
both train by DDP (gloo). An efficiency of 1 is twice the segments in the same time. By the clock it needs two free
cores; by processor time it tells what DDP itself costs, whatever else the machine does, but not how long each waits for
the other.
"""

import statistics
import sys
import time
import warnings

import lightning as L
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from distillgan.configuration import build
from distillgan.paths import conf_dir
from distillgan.training.distributed import Place, Team

SEGMENT = 71680  # samples: 128 frames, and what stretching wants beyond


class Clock(L.Callback):
    """(processor's, clock's) seconds of the steps after the first."""

    def __init__(self):
        self.seconds = []

    def on_train_batch_end(self, *_):
        now = time.process_time(), time.perf_counter()
        self.seconds.append(now)

    def a_step(self) -> tuple[float, float]:
        count = len(self.seconds) - 1
        return tuple((last - first) / count for first, last in zip(self.seconds[0], self.seconds[-1], strict=True))


def a_step(config: DictConfig, which: str, steps: int, options: dict) -> tuple[float, float]:
    torch.manual_seed(0)
    settings = config.model if which == "vae" else config.vocoder
    module = build(settings.module, spec=config.mel) if which == "vae" else build(settings.module)
    items = 16 if which == "vae" else 8
    batch = {"wave": 0.1 * torch.randn(items, 1, SEGMENT), "rate": torch.ones(items), "clip": torch.zeros(items)}
    clock, loader = Clock(), DataLoader([batch] * (steps + 1), batch_size=None)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "use_distributed_sampler": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        L.Trainer(max_epochs=1, callbacks=[clock], **quiet, **options(module)).fit(module, loader)
    return clock.a_step()


def measure(config: DictConfig, team: Team) -> None:
    with team:
        for which in ("vae", "vocoder"):
            pairs = []
            for _ in range(config.rounds):
                alone = team.on_first(
                    lambda which=which: a_step(
                        config, which, config.steps, lambda _: {"accelerator": "cpu", "devices": 1}
                    )
                )
                pairs.append((alone, a_step(config, which, config.steps, team.options_for)))
            if team.first:
                for number, name in enumerate(("processor", "clock")):
                    found = [alone[number] / both[number] for alone, both in pairs]
                    quickest = min(alone[number] for alone, _ in pairs), min(both[number] for _, both in pairs)
                    told = f"alone {quickest[0]:.2f} s a step, both {quickest[1]:.2f}"
                    efficiency = (
                        f"efficiency {statistics.median(found):.2f}, best {max(found):.2f}, least {min(found):.2f}"
                    )
                    print(f"{which}, by the {name}: {told}; {efficiency}", flush=True)


def follow(index: int, config: DictConfig, port: int) -> None:
    measure(config, Team(config, follow, Place(index + 1, port)))


def main() -> None:
    overrides = ["trainer=ddp", "trainer.devices=2", "device=cpu", "vocoder=harmonic", "model.max_steps=1000"]
    overrides += ["vocoder.max_steps=1000", "vocoder.adversarial_from_step=0"]
    rounds, steps = [*sys.argv[1:], *("5", "4")[len(sys.argv) - 1 :]][:2]
    overrides += [f"+rounds={rounds}", f"+steps={steps}"]
    with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
        config = compose("train", overrides=overrides)
    measure(config, Team(config, follow))


if __name__ == "__main__":
    main()
