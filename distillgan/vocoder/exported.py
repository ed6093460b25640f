"""A model's own vocoder as a file that other programs play: ONNX or TorchScript, compared before it is in place."""

import io
import json
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.vocoder.hifigan import HiFiGANVocoder
from distillgan.vocoder.trained import TrainedVocoder

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
    from distillgan.vocoder.onnx_graph import hifigan_graph

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
    for threads in ("intra_op", "inter_op"):  # its threads are to wait as torch's do, see distillgan.threads
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
