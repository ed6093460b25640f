"""Vocoders judged on clips: what plays, and how well.

What plays the mels that are judged: vocoders by name, chosen as in rendering, and any from outside.

How well vocoders play the clips that a model was not trained on: from their true mels, and from the model's own.
"""

import importlib
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import torch
from omegaconf import DictConfig, ListConfig
from rich.console import Console
from torch import Tensor

from distillgan.audio.io import printable
from distillgan.audio.mel import MelSpec, MelSpectrogram, log1p_to_log_clamp, to_log1p, to_log_clamp
from distillgan.control.trajectory import decode, encode
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.evaluation.metrics import METRICS, SPEED, TrueWave, mean, not_installed
from distillgan.models.base import Vocoder
from distillgan.models.vocoders.registry import NAMES, select
from distillgan.paths import Home
from distillgan.progress import transfer_bar
from distillgan.synthesis.renderer import Model

_OUTSIDE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_LEFT = {"griffinlim": "experiments.yardsticks:griffin_lim"}  # what was once a name → what to say instead


@dataclass(frozen=True)
class Player:
    """A vocoder's name and how it plays: log-clamp mel [1, n_mels, T] → wave [T * hop_length] on the CPU."""

    name: str
    play: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, name: str, vocoder: Vocoder) -> "Player":
        return cls(name, lambda mel: vocoder.render(mel)[0, 0].float().cpu())


def players(config: DictConfig, model: Model, home: Home, device: torch.device, console: Console) -> list[Player]:
    """Those that `vocoders` lists, else the one that `vocoder` asks for; each once, and each ready before any plays.

    Raises:
        UserError: one is unknown, or cannot be had for this model.
    """
    names = _names(config)
    # The nodes of trained vocoders have nothing that select needs but the name; the others' keys may be set on any.
    shared = {key: config.vocoder.get(key) for key in ("pin", "weights_dir")}
    found: dict[str, Player] = {}
    for name in names:
        if name is not None and ":" in name:
            found[name] = external(name, model.spec, device)
            source = getattr(sys.modules[name.partition(":")[0]], "__file__", "built in")
            console.print(f"vocoder {name}: from outside the package, {source}", markup=False)
            continue
        with transfer_bar(console) as fetching:
            settings = {**shared, "name": name}
            selected = select(settings, model.header.name, model.vocoder, model.spec, home, device, fetching)
        model.spec.require(selected.vocoder.spec, f"model {model.header.name}", "the vocoder")
        console.print(f"vocoder {selected.name}: {selected.reason}")
        found[selected.name] = Player.of(selected.name, selected.vocoder)
    return list(found.values())


def external(name: str, spec: MelSpec, device: torch.device) -> Player:
    """A vocoder from outside the package, by "module:callable".

    The callable is called with `spec`, the model's mel, and gives a `Vocoder`, which plays on `device`, or a function:
    log-clamp mel [1, n_mels, T] on the CPU → wave of T * hop_length samples. This imports the module, so that its code
    runs: `name` comes from whoever asks for the judgement, never out of a model, a preset or a tag. The current folder
    is looked in, too, after all others.

    Raises:
        UserError: there is no such module or callable, it gives something else, or its own code fails.
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
        return Player.of(name, made.eval().to(device))
    if not callable(made):
        kind = type(made).__name__
        raise UserError(f"vocoders: {name} gave a {kind}, neither a Vocoder nor a function from mel to wave")
    return Player(name, lambda mel: _played(name, made, mel.cpu(), spec))


def _played(name: str, play: Callable[[Tensor], object], mel: Tensor, spec: MelSpec) -> Tensor:
    """The wave [T * hop_length] that a function from outside makes of a mel [1, n_mels, T]."""
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
    """Within the block code runs that is not ours: what it raises is told with its place."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error} ({at.filename}, line {at.lineno})"
        raise UserError(f"vocoders: {name} {what}: {said}") from error


def _names(config: DictConfig) -> list[str | None]:
    if config.vocoders is None:
        return [config.vocoder.name]
    names = list(config.vocoders) if isinstance(config.vocoders, ListConfig) else [config.vocoders]
    known = f"{', '.join(NAMES)}, or module:callable for one from outside"
    for name in names:
        if isinstance(name, str) and name in _LEFT:
            raise UserError(
                f"vocoders={names}: {name} is no vocoder of the package any more. In the folder of a clone of the "
                f"repository the yardstick is {_LEFT[name]}: vocoders=[auto,{_LEFT[name]}]"
            )
    if not names or any(name not in NAMES and not (isinstance(name, str) and ":" in name) for name in names):
        raise UserError(f"vocoders={names}: list one or more of {known}")
    return names


SECONDS = 10.0  # of each clip; more would say little more
TRUE, OWN = "true", "own"  # whose mels
PICTURES = 4
_SILENT = 1e-3  # a peak of -60 dBFS at the clip's training gain

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Judged:
    """What came of it: `result` for the reports, and of the first clips log1p mels [n_mels, T] by name, to be drawn."""

    result: dict
    pictures: list[dict[str, Tensor]] = field(default_factory=list)


@torch.inference_mode()
def judge(
    model: Model, clips: list[AudioClip], players: list[Player], device: torch.device, progress: Progress | None = None
) -> Judged:
    """Each player on each clip's true mels and on those of the VAE's posterior mean, beside the clip itself.

    The first ten seconds of a clip count, in whole mel frames, at its training gain; clips silent there are left out,
    and named. `progress` is told of seconds of sound done and in all. Only one clip's waves are in memory at a time.
    Apart from the real-time factor the same inputs give the same numbers, on one device.

    Raises:
        UserError: no clip has sound, or a vocoder makes NaN.
    """
    spec, mels = model.spec, MelSpectrogram(model.spec)
    rows, pictures, silent, done = [], [], [], 0.0
    total = sum(_seconds(clip) for clip in clips) * 2 * len(players)
    for clip in clips:
        wave = torch.from_numpy(clip.read(0, _samples(clip, spec)))
        if wave.abs().max() < _SILENT:
            silent.append(clip.name)
            total -= _seconds(clip) * 2 * len(players)
            continue
        true, linear = TrueWave(wave, spec), mels(wave[None])
        inputs = {TRUE: to_log_clamp(linear), OWN: _own(model, linear[0], device)}
        picture = {_title(clip): to_log1p(linear[0], spec)}
        for player in players:
            waves, seconds = _timed(player, inputs)
            for source, made in waves.items():
                about = {"path": clip.name, "vocoder": player.name, "mels": source, "pitched": true.pitched}
                about["seconds"] = len(wave) / clip.sample_rate
                try:
                    rows.append({**about, **true.compare(made), SPEED: about["seconds"] / seconds})
                except ValueError as error:
                    raise UserError(f"vocoder {player.name} on {clip.name}, {source} mels: {error}") from error
                picture[f"{player.name}, {source} mels"] = to_log1p(mels(made[None])[0], spec)
                done += _seconds(clip)
                if progress is not None:
                    progress(done, total)
        if len(pictures) < PICTURES:
            pictures.append(picture)
    if not rows:
        raise UserError(f"none of the {len(clips)} clips has sound in its first {SECONDS:g} s: nothing to judge by")
    return Judged(_result(model, clips, players, rows, silent), pictures)


def _timed(player: Player, inputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    """The waves of mels of one length, and the seconds that the last took: the first of its length builds kernels."""
    waves, seconds = {}, 0.0
    for source, mel in inputs.items():
        begun = time.perf_counter()
        waves[source] = player.play(mel)
        seconds = time.perf_counter() - begun
    return waves, seconds


def _title(clip: AudioClip) -> str:
    """A name that matplotlib takes letter by letter: between two dollars it would read formulas."""
    return printable(clip.name).replace("$", r"\$")


def _own(model: Model, linear: Tensor, device: torch.device) -> Tensor:
    """Linear mel [n_mels, T] → what the VAE makes of it, log-clamp [1, n_mels, T]."""
    z = encode(model.network, to_log1p(linear.to(device), model.spec))
    return log1p_to_log_clamp(decode(model.network, z, linear.shape[-1]), model.spec)


def _seconds(clip: AudioClip) -> float:
    return min(clip.length / clip.sample_rate, SECONDS)


def _samples(clip: AudioClip, spec: MelSpec) -> int:
    """How many are judged: whole frames. Clips of a corpus are long enough for a mel, 50 ms at least."""
    return int(_seconds(clip) * clip.sample_rate) // spec.hop_length * spec.hop_length


def _result(model: Model, clips: list[AudioClip], players: list[Player], rows: list[dict], silent: list[str]) -> dict:
    means = []
    for player in players:
        for source in (TRUE, OWN):
            mine = [row for row in rows if (row["vocoder"], row["mels"]) == (player.name, source)]
            line = {"vocoder": player.name, "mels": source, "clips": len(mine)}
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
