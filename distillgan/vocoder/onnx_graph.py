"""HiFi-GAN's generator as an ONNX graph, written node by node from its layers. Wants the package onnx."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

_OPSET, _IR = 17, 8  # what ONNX Runtime has read since 1.12


def hifigan_graph(generator: nn.Module, metadata: dict[str, str]) -> bytes:
    """ "mel" [batch, num_mels, frames] → "wave" [batch, 1, samples], all three sizes but the bands free."""
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
