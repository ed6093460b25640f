"""What a HiFi-GAN costs by its width.

    python experiments/hifigan_width/speed.py

Processor time of one thread: of a step of the generator on mel losses (4 windows of 8192 samples), and of playing a
second of sound; each the least of five rounds in which the widths alternate.
"""

import time

import torch

from distillgan.audio.mel import MelSpec
from distillgan.cli.hydra_app import composed
from distillgan.configuration import build
from distillgan.models.vocoders.losses import MelL1

WIDTHS, ROUNDS = (64, 128, 256), 5


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    spec = MelSpec()
    loss, mel, wave = MelL1(spec), torch.randn(4, spec.n_mels, 16), torch.randn(4, 1, 8192) * 0.1
    long = torch.randn(1, spec.n_mels, round(spec.frame_rate))
    generators = {
        width: build(composed("train", ["vocoder=hifigan", f"vocoder.channels={width}"]).vocoder.generator)
        for width in WIDTHS
    }
    trained, played = {width: [] for width in WIDTHS}, {width: [] for width in WIDTHS}
    for _ in range(ROUNDS):
        for width, generator in generators.items():
            begun = time.process_time()
            loss([generator.train()(mel)], wave).backward()
            trained[width].append(time.process_time() - begun)
            begun = time.process_time()
            with torch.inference_mode():
                generator.eval()(long)
            played[width].append(time.process_time() - begun)
    print("| channels | M parameters | s a step | s a second of sound |\n|---|---|---|---|")
    for width, generator in generators.items():
        size = sum(parameter.numel() for parameter in generator.parameters()) / 1e6
        print(f"| {width} | {size:.2f} | {min(trained[width]):.2f} | {min(played[width]):.3f} |")


if __name__ == "__main__":
    main()
