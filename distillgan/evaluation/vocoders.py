"""Evaluation of vocoders, of the package or from outside, on clips: from their true mels, and from the model's own."""

import importlib
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import torch
from rich.console import Console
from torch import Tensor

from distillgan.audio.io import printable
from distillgan.audio.mel import MelSpec, MelSpectrogram, log1p_to_log_clamp, to_log1p, to_log_clamp
from distillgan.control.trajectory import decode, encode
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.evaluation.metrics import METRICS, SPEED, TrueWave, mean, not_installed
from distillgan.models.base import Vocoder
from distillgan.models.vocoders.registry import playable, select
from distillgan.paths import Home, current_kind
from distillgan.progress import transfer_bar
from distillgan.synthesis.renderer import Model
from distillgan.synthesis.request import VocoderRequest

_OUTSIDE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_FORMER = {"griffinlim": "experiments.yardsticks:griffin_lim"}  # a name of earlier versions → its module:callable
SECONDS = 10.0  # of each clip; more would say little more
TRUE, OWN = "true", "own"  # whose mels
PICTURES = 4
_SILENT = 1e-3  # a peak of -60 dBFS at the clip's training gain

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class VocoderAdapter:
    """A vocoder's name and its `play`: log-clamp mel [1, n_mels, T] → wave [T * hop_length] on the CPU."""

    name: str
    play: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, name: str, vocoder: Vocoder) -> "VocoderAdapter":
        return cls(name, lambda mel: vocoder.render(mel)[0, 0].float().cpu())


def vocoder_adapters(
    names: Sequence[str | None],
    vocoder: VocoderRequest,
    model: Model,
    home: Home,
    device: torch.device,
    console: Console,
) -> list[VocoderAdapter]:
    """The vocoders of these names, each once, and each ready before any plays; of `vocoder` where weights are.

    Raises UserError if one cannot be had for this model.
    """
    found: dict[str, VocoderAdapter] = {}
    for name in names:
        if name is not None and ":" in name:
            found[name] = external(name, model.spec, device)
            source = getattr(sys.modules[name.partition(":")[0]], "__file__", "built in")
            console.print(f"vocoder {name}: from outside the package, {source}", markup=False)
            continue
        with transfer_bar(console) as fetching:
            settings = {**asdict(vocoder), "name": name}
            selected = select(settings, model.header.name, model.vocoder, model.spec, home, device, fetching)
        model.spec.require(selected.vocoder.spec, f"model {model.header.name}", "the vocoder")
        console.print(f"vocoder {selected.name}: {selected.reason}")
        found[selected.name] = VocoderAdapter.of(selected.name, selected.vocoder)
    return list(found.values())


def external(name: str, spec: MelSpec, device: torch.device) -> VocoderAdapter:
    """A vocoder from outside the package, by "module:callable".

    The callable is called with `spec`, the model's mel, and gives a `Vocoder`, which plays on `device`, or a function:
    log-clamp mel [1, n_mels, T] on the CPU → wave of T * hop_length samples. This imports the module, also from the
    current folder, and runs its code: `name` comes from the command line, never from a model, a preset or a tag.

    Raises UserError if there is no such module or callable, it gives something else, or its own code fails.
    """
    if not _OUTSIDE.fullmatch(name):
        raise UserError(f"vocoders: {name!r} is no module:callable, such as mine:make")
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    with _theirs(name, "cannot be imported"):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if not f"{module_name}.".startswith(f"{error.name}."):
                raise  # it is there, and misses another
            places = f"the current folder ({os.getcwd()}), PYTHONPATH and what is installed"
            raise UserError(f"vocoders: {name}: there is no module {error.name} in {places}") from error
    try:
        make = getattr(module, attribute)
    except AttributeError as error:
        known = ", ".join(key for key, value in vars(module).items() if callable(value) and key[0] != "_")
        raise UserError(f"vocoders: {name}: {module_name} has no {attribute}; it has {known or 'nothing'}") from error
    if not callable(make):
        raise UserError(f"vocoders: {name} is a {type(make).__name__}, not something to call with the mel's spec")
    with _theirs(name, "failed when called with the mel's spec"):
        made = make(spec)
    if isinstance(made, Vocoder):
        spec.require(made.spec, "the model", f"vocoder {name}")
        return VocoderAdapter.of(name, made.eval().to(device))
    if not callable(made):
        kind = type(made).__name__
        raise UserError(f"vocoders: {name} gave a {kind}, neither a Vocoder nor a function from mel to wave")
    return VocoderAdapter(name, lambda mel: _played(name, made, mel.cpu(), spec))


def _played(name: str, play: Callable[[Tensor], object], mel: Tensor, spec: MelSpec) -> Tensor:
    """Wave [T * hop_length] that a function from outside makes of a mel [1, n_mels, T]."""
    samples = mel.shape[-1] * spec.hop_length
    with _theirs(name, "failed when it played"):
        wave = torch.as_tensor(play(mel)).detach().float().cpu()
    if wave.numel() != samples:
        raise UserError(
            f"vocoders: {name} made a wave of shape {list(wave.shape)} of a mel of {mel.shape[-1]} frames: "
            f"it must have {samples} samples, {spec.hop_length} a frame"
        )
    return wave.reshape(samples)


@contextmanager
def _theirs(name: str, what: str) -> Iterator[None]:
    """A block of code that is not ours: what it raises becomes a UserError with its place."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error} ({at.filename}, line {at.lineno})"
        raise UserError(f"vocoders: {name} {what}: {said}") from error


def vocoder_names(given: object) -> tuple[str, ...]:
    """The value of `vocoders`, one name or several, as they are called now. Raises UserError if one is none's."""
    names = [current_kind(name) for name in (given if isinstance(given, list | tuple) else [given])]
    known = f"{', '.join(playable())}, or module:callable for one from outside"
    for name in names:
        if isinstance(name, str) and name in _FORMER:
            raise UserError(
                f"vocoders={names}: {name} is no vocoder of the package any more. In the folder of a clone of the "
                f"repository the yardstick is {_FORMER[name]}: vocoders=[auto,{_FORMER[name]}]"
            )
    if not names or any(name not in playable() and not (isinstance(name, str) and ":" in name) for name in names):
        raise UserError(f"vocoders={names}: list one or more of {known}")
    return tuple(names)


@dataclass(frozen=True)
class VocoderEvaluation:
    """The result for the reports, and log1p mels [n_mels, T] of the first clips, by name."""

    result: dict
    pictures: list[dict[str, Tensor]] = field(default_factory=list)


@torch.inference_mode()
def evaluate_vocoders(
    model: Model,
    clips: list[AudioClip],
    adapters: list[VocoderAdapter],
    device: torch.device,
    progress: Progress | None = None,
) -> VocoderEvaluation:
    """Each vocoder on each clip's true mels and on those of the VAE's posterior mean, compared with the clip itself.

    The first ten seconds of a clip count, in whole mel frames, at its training gain; clips silent there are left out,
    and named. `progress` gets seconds of sound done and in all. Only one clip's waves are in memory at a time. Apart
    from the real-time factor the same inputs give the same numbers, on one device.

    Raises UserError if no clip has sound, or a vocoder makes NaN.
    """
    spec, mels = model.spec, MelSpectrogram(model.spec)
    rows, pictures, silent, done = [], [], [], 0.0
    total = sum(_seconds(clip) for clip in clips) * 2 * len(adapters)
    for clip in clips:
        wave = torch.from_numpy(clip.read(0, _samples(clip, spec)))
        if wave.abs().max() < _SILENT:
            silent.append(clip.name)
            total -= _seconds(clip) * 2 * len(adapters)
            continue
        true, linear = TrueWave(wave, spec), mels(wave[None])
        z = encode(model.network, to_log1p(linear[0].to(device), spec))
        own = log1p_to_log_clamp(decode(model.network, z, linear.shape[-1]), spec)
        inputs = {TRUE: to_log_clamp(linear), OWN: own}
        # Between two dollars matplotlib would read formulas.
        picture = {printable(clip.name).replace("$", r"\$"): to_log1p(linear[0], spec)}
        for adapter in adapters:
            waves, seconds = _timed(adapter, inputs)
            for source, made in waves.items():
                about = {"path": clip.name, "vocoder": adapter.name, "mels": source, "pitched": true.pitched}
                about["seconds"] = len(wave) / clip.sample_rate
                try:
                    rows.append({**about, **true.compare(made), SPEED: about["seconds"] / seconds})
                except ValueError as error:
                    raise UserError(f"vocoder {adapter.name} on {clip.name}, {source} mels: {error}") from error
                picture[f"{adapter.name}, {source} mels"] = to_log1p(mels(made[None])[0], spec)
                done += _seconds(clip)
                if progress is not None:
                    progress(done, total)
        if len(pictures) < PICTURES:
            pictures.append(picture)
    if not rows:
        raise UserError(f"none of the {len(clips)} clips has sound in its first {SECONDS:g} s: nothing to judge by")
    return VocoderEvaluation(_result(model, clips, adapters, rows, silent), pictures)


def _timed(adapter: VocoderAdapter, inputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    """Waves of mels of one length, and the seconds that the last took: the first of its length builds kernels."""
    waves, seconds = {}, 0.0
    for source, mel in inputs.items():
        begun = time.perf_counter()
        waves[source] = adapter.play(mel)
        seconds = time.perf_counter() - begun
    return waves, seconds


def _seconds(clip: AudioClip) -> float:
    return min(clip.length / clip.sample_rate, SECONDS)


def _samples(clip: AudioClip, spec: MelSpec) -> int:
    """Samples that are compared: whole frames. Clips of a corpus are long enough for a mel, 50 ms at least."""
    return int(_seconds(clip) * clip.sample_rate) // spec.hop_length * spec.hop_length


def _result(
    model: Model, clips: list[AudioClip], adapters: list[VocoderAdapter], rows: list[dict], silent: list[str]
) -> dict:
    means = []
    for adapter in adapters:
        for source in (TRUE, OWN):
            mine = [row for row in rows if (row["vocoder"], row["mels"]) == (adapter.name, source)]
            line = {"vocoder": adapter.name, "mels": source, "clips": len(mine)}
            line |= {metric.key: mean([row[metric.key] for row in mine]) for metric in METRICS}
            # Of all together: the mean of ratios would count short clips as much as long ones.
            line[SPEED] = sum(r["seconds"] for r in mine) / sum(r["seconds"] / r[SPEED] for r in mine)
            means.append(line)
    return {
        "model": model.header.name,
        "fingerprint": model.header.fingerprint,
        "metrics": [asdict(metric) for metric in METRICS],
        "not_installed": not_installed(),
        "limit_seconds": SECONDS,
        "shortened": [clip.name for clip in clips if clip.length / clip.sample_rate > SECONDS],
        "silent": silent,
        "means": means,
        "files": rows,
    }
