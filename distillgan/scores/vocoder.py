"""How well vocoders play the clips that a model was not trained on: from their true mels, and from the model's own."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from distillgan.audio.io import printable
from distillgan.audio.mel import MelSpec, MelSpectrogram, log1p_to_log_clamp, to_log1p, to_log_clamp
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.latent.sounding import decode, encode
from distillgan.render.engine import Model
from distillgan.scores.metrics import METRICS, SPEED, TrueWave, mean, not_installed
from distillgan.scores.players import Player

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
