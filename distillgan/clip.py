"""A sound in memory, and how it becomes a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillgan.errors import UserError

if TYPE_CHECKING:
    import numpy as np

PathLike = str | os.PathLike


@dataclass(frozen=True)
class Clip:
    """A sound in memory: wave float32 [C, N], as it is rendered, at `sample_rate` Hz.

    origin: what made it. source_lufs: how loud the recordings are that it was learnt from, None if nobody knows.
    """

    wave: np.ndarray
    sample_rate: int
    origin: Mapping[str, Any] | None
    source_lufs: float | None = None

    @property
    def seconds(self) -> float:
        return self.wave.shape[1] / self.sample_rate

    def save(
        self, path: PathLike, *, loudness: float | str = "source", peak: float | None = -1.0, **options: Any
    ) -> Path:
        """Write a WAV, FLAC, OGG or MP3, by the path's suffix, whole or not at all; an older file is replaced.

        loudness, peak: as `export.loudness` and `export.peak` of `generate`: the whole is brought to the loudness of
        the recordings, to so many LUFS, or left ("off"), under a true peak in dBTP; a warning says what is not reached,
        or not known. options: of the format, such as `depth=16` or `quality=5`. The tags say what made the sound.

        Raises:
            UserError: the suffix is none of these, a value or an option is refused, or the disk refuses.
        """
        import hashlib
        import warnings

        import numpy as np

        from distillgan.audio import formats
        from distillgan.audio.tags import Tags
        from distillgan.render.account import comment_of
        from distillgan.render.normalization import LoudnessMeter, Target

        target, kinds = Path(path).expanduser(), {".wav": formats.Wav, ".flac": formats.Flac}
        kinds |= {".ogg": formats.Ogg, ".mp3": formats.Mp3}
        if target.suffix.lower() not in kinds:
            raise UserError(f"{target}: its suffix must be one of {', '.join(kinds)}")
        try:
            form = kinds[target.suffix.lower()](self.sample_rate, **options)
        except TypeError as error:
            raise UserError(f"{target.name} has no such option: {', '.join(options)} ({error})") from error
        goal = Target.of(loudness, peak, len(self.wave), self.source_lufs)
        heard = LoudnessMeter(self.sample_rate, len(self.wave))
        heard.add(self.wave)
        level = goal.level(heard)
        for words in level.warnings():
            warnings.warn(f"{target.name}: {words}", stacklevel=2)
        digest = hashlib.sha256(np.ascontiguousarray(self.wave.T)).hexdigest()
        comment = ""
        if self.origin is not None:
            settings = self.origin["settings"]
            export = {**settings["export"], "name": target.suffix.lower()[1:], **vars(form)}
            export |= {"loudness": goal.setting, "peak": peak}
            comment = comment_of({**self.origin, "settings": {**settings, "export": export}}, digest, False, level)
        tags = Tags(target.stem, date=f"{date.today():%Y-%m-%d}", comment=comment)
        form.write(target, [np.float32(level.gain) * self.wave], self.wave.shape, tags)
        return target
