"""A vocoder for other programs: ONNX and TorchScript.

HiFi-GAN's generator as an ONNX graph, written node by node from its layers. Wants the package onnx.

A model's own vocoder as a file that other programs play: ONNX or TorchScript, compared before it is in place.
"""

import io
import json
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.models.vocoders.hifigan import HiFiGANVocoder
from distillgan.models.vocoders.trained import TrainedVocoder

_OPSET, _IR = 17, 8  # what ONNX Runtime has read since 1.12


def hifigan_graph(generator: nn.Module, metadata: dict[str, str]) -> bytes:
    """The graph "mel" [batch, num_mels, frames] → "wave" [batch, 1, samples], of any size but for the bands."""
    graph = _Graph()
    slope, final_slope = generator.slopes
    parallel = len(generator.resblocks) // len(generator.ups)
    share = graph.constant(np.float32(1 / parallel))
    x = graph.convolution("mel", generator.conv_pre)
    for stage, up in enumerate(generator.ups):
        start = graph.convolution(graph.node("LeakyRelu", x, alpha=slope), up)
        x = None
        for block in generator.resblocks[stage * parallel : (stage + 1) * parallel]:
            y = start
            for convs in block.steps():
                h = y
                for conv in convs:
                    h = graph.convolution(graph.node("LeakyRelu", h, alpha=slope), conv)
                y = graph.node("Add", h, y)
            x = y if x is None else graph.node("Add", x, y)
        x = graph.node("Mul", x, share)
    x = graph.convolution(graph.node("LeakyRelu", x, alpha=final_slope), generator.conv_post)
    graph.nodes.append(helper.make_node("Tanh", [x], ["wave"]))
    return graph.model(("batch", generator.num_mels, "frames"), ("batch", 1, "samples"), metadata)


class _Graph:
    """Nodes and their weights, as they are added."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def constant(self, value: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def convolution(self, x: str, conv: nn.Conv1d | nn.ConvTranspose1d) -> str:
        kind = "ConvTranspose" if isinstance(conv, nn.ConvTranspose1d) else "Conv"
        return self.node(
            kind,
            x,
            self.constant(conv.weight.detach().numpy()),
            self.constant(conv.bias.detach().numpy()),
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=2 * list(conv.padding),
            dilations=list(conv.dilation),
        )

    def model(self, mel: tuple, wave: tuple, metadata: dict[str, str]) -> bytes:
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("mel", mel), ("wave", wave))]
        graph = helper.make_graph(self.nodes, "vocoder", ends[:1], ends[1:], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        return model.SerializeToString()


SUFFIXES = {"onnx": ".onnx", "torchscript": ".ts"}
MEL_KEY = "mel_spec"  # under this name a file holds the mel's description as JSON
TOLERANCE = 1e-4
_COMPARED = (1, 2, 31, 64)  # frames
_EXTRA = ("onnx", "onnxruntime")


def check_format(kind: str) -> None:
    """Raises UserError if there is no such format, or what it wants is not installed."""
    if kind not in SUFFIXES:
        raise UserError(f"format={kind} is none that a vocoder can be exported to: choose {' or '.join(SUFFIXES)}")
    missing = [name for name in _EXTRA if kind == "onnx" and find_spec(name) is None]
    if missing:
        raise UserError(f"format=onnx wants {' and '.join(missing)}: pip install 'distillgan[onnx]'")


def export_vocoder(vocoder: TrainedVocoder, kind: str, path: Path) -> float:
    """Write log-clamp mel [1, n_mels, T] → wave [1, 1, T * hop_length] for any T; return the largest difference.

    The file is read again and compared with the vocoder at several T before it takes its place.

    Raises:
        UserError: the format is unknown or wants a package that is not there, this vocoder cannot be told in it, the
            file plays something else, or it could not be written.
    """
    check_format(kind)
    metadata = {MEL_KEY: json.dumps(vocoder.spec.to_dict())}
    data = _WRITERS[kind](vocoder, metadata)
    with replace_file(path) as temporary:
        temporary.write_bytes(data)
        difference = _difference(vocoder, _READERS[kind](temporary))
        if not difference <= TOLERANCE:
            raise UserError(
                f"{path} is not written: it would differ from the vocoder by {difference:.2g}, more than {TOLERANCE:g}"
            )
    return difference


def _onnx(vocoder: TrainedVocoder, metadata: dict[str, str]) -> bytes:
    if not isinstance(vocoder, HiFiGANVocoder):
        raise UserError(f"{type(vocoder).__name__} has no ONNX form yet: use format=torchscript")
    pass

    return hifigan_graph(vocoder.generator, metadata)


def _torchscript(vocoder: TrainedVocoder, metadata: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes taken for constants: the comparison at several T finds those
        traced = torch.jit.trace(vocoder.generator, torch.zeros(1, vocoder.spec.n_mels, 32), check_trace=False)
        torch.jit.save(traced, buffer, _extra_files=metadata)
    return buffer.getvalue()


def _read_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    for threads in ("intra_op", "inter_op"):  # its threads are to wait as torch's do, see distillgan.process
        options.add_session_config_entry(f"session.{threads}.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda mel: torch.from_numpy(session.run(["wave"], {"mel": mel.numpy()})[0])


def _read_torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(str(path), map_location="cpu")


_WRITERS = {"onnx": _onnx, "torchscript": _torchscript}
_READERS = {"onnx": _read_onnx, "torchscript": _read_torchscript}


@torch.no_grad()
def _difference(vocoder: TrainedVocoder, function: Callable[[Tensor], Tensor]) -> float:
    """The largest difference between samples of both, infinite if there are others or none."""
    random, differences = torch.Generator().manual_seed(0), []
    for frames in _COMPARED:
        mel = 2 * torch.randn(1, vocoder.spec.n_mels, frames, generator=random) - 4
        expected = vocoder.generator(mel)
        try:
            wave = function(mel)
        except RuntimeError:  # a size that was taken for a constant
            return float("inf")
        if wave.shape != expected.shape or not wave.isfinite().all():
            return float("inf")
        differences.append((wave - expected).abs().max().item())
    return max(differences)
