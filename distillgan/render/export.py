"""What was rendered as files: a WAV and a picture of it, never over an older one."""

from pathlib import Path

import numpy as np
import torch

from distillgan.audio.io import resample, write_wav
from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log1p
from distillgan.audio.picture import draw_mels, save_figure
from distillgan.errors import UserError

SAMPLE_RATES = (44100, 48000)


def export_wav(wave: np.ndarray, spec: MelSpec, folder: Path, name: str, sample_rate: int) -> tuple[Path, Path]:
    """Write wave float32 [1, N] as 24-bit WAV at `sample_rate` Hz and its mel as PNG; the paths of both.

    Raises:
        UserError: the rate is none of SAMPLE_RATES, or the disk refuses.
    """
    check_rate(sample_rate)
    path = _reserve(folder, name)
    try:
        write_wav(path, resample(wave, spec.sample_rate, sample_rate), sample_rate)
    except BaseException:
        path.unlink()
        raise
    with torch.inference_mode():
        mel = to_log1p(MelSpectrogram(spec)(torch.from_numpy(wave)), spec)[0]
    picture = path.with_suffix(".png")
    save_figure(draw_mels([{"": mel}], path.stem, spec.frame_rate), picture)
    return path, picture


def check_rate(sample_rate: int) -> None:
    """Raises UserError unless files can be written at `sample_rate` Hz."""
    if sample_rate not in SAMPLE_RATES:
        raise UserError(f"export.sample_rate={sample_rate} must be one of {', '.join(map(str, SAMPLE_RATES))} Hz")


def _reserve(folder: Path, name: str) -> Path:
    """`name`.wav in `folder`, or the first `name`-N.wav, where neither it nor its picture was there yet.

    The file is made, empty, so that of two processes at work each gets its own.
    """
    path, number = folder / f"{name}.wav", 2
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            if not path.with_suffix(".png").exists():
                try:
                    path.touch(exist_ok=False)
                    return path
                except FileExistsError:
                    pass
            path, number = folder / f"{name}-{number}.wav", number + 1
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}): choose another paths.home") from error
