"""How loud a file becomes: one gain for the whole, to a loudness (EBU R 128) and under a true-peak ceiling."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from distillgan.audio.loudness import DUAL_MONO_LU, Meter
from distillgan.audio.true_peak import TruePeakMeter
from distillgan.checks import number
from distillgan.errors import UserError

SOURCE, OFF = "source", "off"
PEAK = 10 ** (-1 / 20)  # of a sample, -1 dBFS: the only ceiling that there was before there was a true one
_LUFS = (-70.0, 0.0)  # from the gate to what no file under the ceiling comes to
_CEILING = (-20.0, 0.0)  # dBTP
_UNKNOWN = (
    "nothing is known of how loud its recordings were: it stays as loud as it is rendered; export.loudness=-23 brings "
    "it to -23 LUFS"
)
_STEPS = 1000  # of a decibel: what rounding differs by in the 15th digit gives the same gain


@dataclass(frozen=True)
class Target:
    """What a file is to be brought to.

    lufs: its integrated loudness; None: as loud as it is rendered. peak_db: the true peak that it is kept under, in
    dBTP; None: a sample's, -1 dBFS, as it was before there was this setting. note: what is to be known, in words.
    """

    lufs: float | None = None
    peak_db: float | None = None
    note: str = ""

    @classmethod
    def of(cls, loudness: Any, peak: Any, channels: int = 1, source_lufs: float | None = None) -> "Target":
        """From `export.loudness` and `export.peak` for a file of so many channels.

        source_lufs: how loud the recordings are, as heard from two loudspeakers; None if nobody knows.

        Raises:
            UserError: a value is out of range, or of no kind that is known.
        """
        ceiling = None if peak is None else number("export.peak", peak, *_CEILING)
        if loudness == OFF or loudness is False:  # YAML's own word for false
            return cls(None, ceiling)
        if loudness == SOURCE:
            if source_lufs is None:
                return cls(None, ceiling, _UNKNOWN)
            heard = source_lufs - (DUAL_MONO_LU if channels == 1 else 0.0)
            return cls(round(min(max(heard, _LUFS[0]), _LUFS[1]), 2), ceiling)
        if isinstance(loudness, str) or loudness is None:
            raise UserError(f"export.loudness={loudness} must be {SOURCE}, {OFF}, or LUFS such as -23")
        return cls(number("export.loudness", loudness, *_LUFS), ceiling)

    @property
    def setting(self) -> float | str:
        """The value of `export.loudness` that says the same of any model."""
        return OFF if self.lufs is None else self.lufs

    def level(self, heard: "LoudnessMeter") -> "Level":
        """What a sound is to be multiplied by, and what becomes of it. heard: the whole of it.

        It is turned up or down to the loudness, and less far where its peak would pass the ceiling. Silence, which has
        no loudness, is never turned up.
        """
        lufs, peak_db = heard.lufs(), _db(heard.true_peak())
        if self.peak_db is None and self.lufs is None:
            gain = min(1.0, PEAK / heard.peak) if heard.peak else 1.0
            return Level(gain, lufs + _db(gain), peak_db + _db(gain), None, 0.0)
        most = self.peak_db - peak_db if self.peak_db is not None else _db(PEAK) - _db(heard.peak)
        wished = 0.0 if self.lufs is None or not math.isfinite(lufs) else self.lufs - lufs
        gain_db = min(round(wished * _STEPS), math.floor(min(most, 1e3) * _STEPS)) / _STEPS
        short = wished - gain_db if gain_db < wished - 0.5 / _STEPS and self.lufs is not None else 0.0
        return Level(10 ** (gain_db / 20), lufs + gain_db, peak_db + gain_db, self.lufs, short, self.note)


AS_BEFORE = Target()


class LoudnessMeter:
    """How loud a sound is, and its peaks: float32 blocks [C, n] at `rate` Hz go in; a single channel counts as one."""

    def __init__(self, rate: int, channels: int):
        self._meter, self._peaks = Meter(rate, channels, dual_mono=False), TruePeakMeter(channels)

    def add(self, block: np.ndarray) -> None:
        self._meter.add(block)
        self._peaks.add(block)

    def lufs(self) -> float:
        """Integrated loudness; -inf for silence."""
        return self._meter.lufs()

    @property
    def peak(self) -> float:
        """The largest sample, linear."""
        return self._meter.peak

    def true_peak(self) -> float:
        """The largest value of the wave, linear. The sound is over."""
        self._peaks.finish()
        return self._peaks.peak


@dataclass(frozen=True)
class Level:
    """The level of a file, as FFmpeg's `ebur128=peak=true` measures it: a mono file as one channel.

    gain: what the whole was multiplied by. lufs: integrated loudness, -inf for silence; a sound shorter than a gating
    block of 0.4 s is measured as a whole. true_peak_db: in dBTP, of what is handed to the encoder. asked_lufs: what was
    wished for, None if nothing was. short_lu: what it stays below that, so that its peak keeps the ceiling.
    """

    gain: float
    lufs: float
    true_peak_db: float
    asked_lufs: float | None
    short_lu: float
    note: str = ""

    @property
    def gain_db(self) -> float:
        return _db(self.gain)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it: None for what silence has not."""
        values = {"lufs": self.lufs, "true_peak_db": self.true_peak_db, "asked_lufs": self.asked_lufs}
        known = {key: round(value, 2) for key, value in values.items() if value is not None and math.isfinite(value)}
        return {**dict.fromkeys(values), **known, "short_lu": round(self.short_lu, 2), "note": self.note}

    def words(self) -> str:
        """For people: how loud it is, and what was done to it."""
        if not math.isfinite(self.lufs):
            return f"under -70 LUFS, peak {self.true_peak_db:.1f} dBTP"
        turned = f", turned {'up' if self.gain_db > 0 else 'down'} {abs(self.gain_db):.1f} dB" if self.gain_db else ""
        return f"{self.lufs:.1f} LUFS, peak {self.true_peak_db:.1f} dBTP{turned}"

    def warnings(self) -> list[str]:
        """What stands in the way of what was asked for, and what is not known."""
        said = [self.note] if self.note else []
        if self.asked_lufs is not None and not math.isfinite(self.lufs):
            said.append(f"under -70 LUFS it has no loudness, and is not brought to {self.asked_lufs:g} LUFS")
        if self.short_lu:
            said.append(f"{self.short_lu:.1f} LU under {self.asked_lufs:g} LUFS, where its peaks reach the ceiling")
        return said


def _db(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude else -math.inf
