"""HiFi-GAN V2 on a CPU in every form that was a candidate, alternating in one process: how many times faster each is.

python experiments/hifigan_cpu_speed/bench.py [--threads 2] [--repeats 15]
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from distillgan.models.vocoders import hifigan as channels_last
from distillgan.models.vocoders.hifigan import ChannelsLast, HiFiGANGenerator

Form = Callable[[Tensor], Tensor]


def flat_as_images(generator: nn.Module) -> nn.Module:
    """The generator with 2-D convolutions of height 1, for what knows only those."""
    flat = copy.deepcopy(generator)
    for name, conv in list(flat.named_modules()):
        if isinstance(conv, nn.Conv1d | nn.ConvTranspose1d):
            kind = nn.ConvTranspose2d if isinstance(conv, nn.ConvTranspose1d) else nn.Conv2d
            sizes = {part: (1, getattr(conv, part)[0]) for part in ("kernel_size", "stride", "dilation")}
            sizes["padding"] = (0, conv.padding[0])
            wide = kind(conv.in_channels, conv.out_channels, **sizes)
            wide.weight.data, wide.bias.data = conv.weight.data[:, :, None].clone(), conv.bias.data
            parent, _, last = name.rpartition(".")
            setattr(flat.get_submodule(parent), last, wide)
    return flat.eval().requires_grad_(False)


def onnx_runtime(generator: nn.Module, threads: int) -> Form:
    import onnxruntime

    from distillgan.models.vocoders.graph_export import hifigan_graph

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(hifigan_graph(generator, {}), options, providers=["CPUExecutionProvider"])
    return lambda mel: torch.from_numpy(session.run(None, {"mel": mel.numpy()})[0])


def unfolded(generator: nn.Module) -> Form:
    lanes, channels_last._LANES = channels_last._LANES, 1
    try:
        return ChannelsLast(generator)
    finally:
        channels_last._LANES = lanes


def forms(generator: nn.Module, threads: int, mel: Tensor) -> dict[str, Form]:
    found: dict[str, Form] = {"eager": generator}
    found["torch.jit.freeze"] = torch.jit.freeze(torch.jit.trace(generator, mel, check_trace=False))
    found["torch.jit.optimize_for_inference"] = torch.jit.optimize_for_inference(
        torch.jit.trace(generator, mel, check_trace=False)
    )
    if find_spec("onnxruntime") and find_spec("onnx"):
        found["ONNX Runtime"] = onnx_runtime(generator, threads)
    images = flat_as_images(generator).to(memory_format=torch.channels_last)
    found["channels last, same modules"] = lambda x: images(
        x[:, :, None].contiguous(memory_format=torch.channels_last)
    )[:, :, 0]
    found["ChannelsLast, not folded"] = unfolded(generator)
    found["ChannelsLast (chosen)"] = ChannelsLast(generator)
    return found


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    generator = HiFiGANGenerator().eval().requires_grad_(False)
    for parameter in generator.parameters():
        if parameter.dim() > 1:
            parameter.mul_(1.5)
    frames = 256 + 2 * generator.context_frames  # a block as `Vocoder.iterate` renders it
    mel = 2 * torch.randn(1, generator.num_mels, frames) - 4
    candidates, expected = forms(generator, settings.threads, mel), generator(mel)
    differences = {}
    for name, form in candidates.items():
        for _ in range(3):
            wave = form(mel)
        differences[name] = (wave - expected).abs().max().item()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(settings.repeats):
        for name, form in candidates.items():
            begun = time.perf_counter()
            form(mel)
            seconds[name].append(time.perf_counter() - begun)
    audio = frames * generator.hop_length / 44100
    print(f"{torch.backends.cpu.get_cpu_capability()}, {settings.threads} threads, {frames} frames")
    print("| form | ratio: median | least | of the fastest runs | times real time | difference |")
    print("|---|---|---|---|---|---|")
    for name, times in seconds.items():
        ratios = [plain / own for plain, own in zip(seconds["eager"], times, strict=True)]
        print(
            f"| {name} | {statistics.median(ratios):.2f} | {min(ratios):.2f} | "
            f"{min(seconds['eager']) / min(times):.2f} | {audio / min(times):.0f} | {differences[name]:.0e} |"
        )


if __name__ == "__main__":
    main()
