"""Measured heads: impulse responses of many directions, from a SOFA file (AES69). Wants the package h5py."""

import contextlib
import math
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr

from distillgan.audio.io import printable
from distillgan.errors import UserError

MOST_DIRECTIONS = 100_000
MOST_TAPS = 1 << 17
_MOST_DELAY = 1 << 14  # samples
_RATES = (8000, 384_000)  # Hz
_MOST_AT_ONCE = 1 << 26  # numbers
_ONSET = 0.1  # of a response's peak
_CALM = (250.0, 1500.0)  # Hz, where a head and its ears colour least
_AHEAD = 32  # samples of silence before a response, for what resampling puts there


class Sofa:
    """A file of head-related impulse responses in free field, two receivers: the left ear, then the right.

    Positions and sizes are checked and read at once, responses when they are asked for. Only numbers are read.
    """

    def __init__(self, path: Path):
        """Raises UserError: h5py is missing, or the file is none that can be used."""
        if find_spec("h5py") is None:
            raise UserError("spatial.sofa wants h5py: pip install 'distillgan[sofa]'")
        self._path = path
        with self._open() as file:
            if _text(file.attrs.get("Conventions")) != "SOFA":
                raise self._refused("HDF5, but not SOFA: its attribute Conventions does not say so")
            responses = self._numbers(file, "Data.IR")
            if responses.ndim != 3 or 0 in responses.shape:
                raise self._refused(f"Data.IR is {list(responses.shape)}, not directions × 2 ears × samples")
            count, receivers, taps = responses.shape
            if receivers != 2:
                raise self._refused(f"responses to {receivers} receivers: two are wanted, the left ear and the right")
            if count > MOST_DIRECTIONS or taps > MOST_TAPS:
                limit = f"{MOST_DIRECTIONS} directions and {MOST_TAPS} samples"
                raise self._refused(f"Data.IR is {list(responses.shape)}, more than the limit of {limit}")
            self._rate = self._sampling_rate(file)
            self._directions = self._read_directions(file, count)
            self._delays = self._read_delays(file, count)
            front = self._nearest(np.array([1.0, 0.0, 0.0]))
            self._full = self._level(self._row(responses, front))
        if not self._full:
            raise self._refused("the response from the front is silent")
        self.seconds = (taps + self._delays.max() + 2 * _AHEAD) / self._rate

    def ears(self, source: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """Complex [2, F], left and right, of the nearest measured direction. The mean arrival at both ears is time 0;
        the response from the front is 0 dB where a head and its ears colour least.

        source: [3], metres to the front, the left and above; only its direction counts. frequencies: Hz [F], evenly
        from 0 to half a sampling rate, which must be close enough together for `seconds`.

        Raises:
            UserError: the file has changed, or this direction has NaN or infinite samples, or none above 0.
        """
        nearest = self._nearest(source)
        with self._open() as file:
            row = self._row(self._numbers(file, "Data.IR"), nearest) / self._full
        if not np.abs(row).max(1).all():
            raise self._refused(f"the response {nearest} is silent at an ear: every direction must be heard by both")
        rate, delays = round(2 * frequencies[-1]), self._delays[nearest]
        onsets = (np.abs(row) >= _ONSET * np.abs(row).max(1, keepdims=True)).argmax(1)
        arrival = (onsets + delays).mean() / self._rate
        padded = np.pad(row, ((0, 0), (_AHEAD, _AHEAD)))
        if rate != self._rate:
            # A filter of more samples a second has as much less in each.
            padded = soxr.resample(padded.T, self._rate, rate, "VHQ").T * (self._rate / rate)
        spectra = np.fft.rfft(padded, 2 * (len(frequencies) - 1))
        late = (delays[:, None] - _AHEAD) / self._rate - arrival
        return spectra * np.exp(-2j * np.pi * frequencies * late)

    def _nearest(self, source: np.ndarray) -> int:
        return int((self._directions @ source).argmax())

    def _level(self, row: np.ndarray) -> float:
        """[2, K] → root mean square of its spectrum in the calm band, of both ears."""
        size = max(row.shape[1], round(self._rate / 50))
        frequencies = np.fft.rfftfreq(size, 1 / self._rate)
        calm = (frequencies >= _CALM[0]) & (frequencies <= _CALM[1])
        return float(np.sqrt((np.abs(np.fft.rfft(row, size)[:, calm]) ** 2).mean()))

    def _row(self, responses, index: int) -> np.ndarray:
        row = np.asarray(responses[index], np.float64)
        if not np.isfinite(row).all():
            raise self._refused(f"Data.IR has NaN or infinite samples (direction {index})")
        return row

    def _sampling_rate(self, file) -> float:
        values = np.unique(self._numbers(file, "Data.SamplingRate")[()])
        if len(values) != 1 or not _RATES[0] <= values[0] <= _RATES[1]:
            raise self._refused(f"Data.SamplingRate must be one number from {_RATES[0]} to {_RATES[1]} Hz")
        return float(values[0])

    def _read_directions(self, file, count: int) -> np.ndarray:
        """Unit vectors [count, 3] from the head to the sources: front, left, above (AES69, SourcePosition)."""
        positions = self._numbers(file, "SourcePosition")
        if positions.shape not in ((count, 3), (1, 3)):
            raise self._refused(
                f"SourcePosition is {list(positions.shape)}, not a position for each of {count} responses"
            )
        kind = _text(positions.attrs.get("Type", "spherical"))
        values = np.broadcast_to(np.asarray(positions[()], np.float64), (count, 3))
        if not np.isfinite(values).all():
            raise self._refused("SourcePosition has NaN or infinite numbers")
        if kind == "spherical":
            azimuth, elevation = np.radians(values[:, 0]), np.radians(values[:, 1])
            flat = np.cos(elevation)
            return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)
        if kind == "cartesian":
            lengths = np.linalg.norm(values, axis=1, keepdims=True)
            if not lengths.all():
                raise self._refused("SourcePosition has a source in the middle of the head")
            return values / lengths
        raise self._refused(f"SourcePosition is of the type {kind[:40]!a}, not spherical or cartesian")

    def _read_delays(self, file, count: int) -> np.ndarray:
        """Samples [count, 2] that come before each response; none if the file does not say."""
        if "Data.Delay" not in file:
            return np.zeros((count, 2))
        delays = self._numbers(file, "Data.Delay")
        if delays.shape not in ((count, 2), (1, 2)):
            raise self._refused(f"Data.Delay is {list(delays.shape)}, not directions × 2 ears")
        values = np.asarray(delays[()], np.float64)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= _MOST_DELAY):
            raise self._refused(f"Data.Delay must lie from 0 to {_MOST_DELAY} samples")
        return np.broadcast_to(values, (count, 2))

    def _numbers(self, file, name: str):
        """A dataset that the file holds itself. Raises UserError."""
        import h5py

        # A link that leads into another file would be followed without a word.
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise self._refused(f"it has no {name}")
        data = file[name]
        if not isinstance(data, h5py.Dataset) or data.shape is None or data.dtype.kind not in "fiu":
            raise self._refused(f"{name} does not hold numbers")
        if data.external or data.is_virtual:
            raise self._refused(f"{name} lies in another file: it must be in this one")
        # Responses are read one by one, but never less than what was packed together; all else is read whole.
        packed = math.prod(data.chunks or (1,))
        if packed > _MOST_AT_ONCE or (name != "Data.IR" and data.size > 3 * MOST_DIRECTIONS):
            raise self._refused(f"{name} is {list(data.shape)} numbers: too many to be read at once")
        return data

    @contextlib.contextmanager
    def _open(self) -> Iterator:
        import h5py

        try:
            with open(self._path, "rb"):  # first in Python, for the operating system's own words
                pass
            if not h5py.is_hdf5(self._path):
                raise self._refused("not HDF5, which every SOFA file is: was it downloaded whole?")
            with h5py.File(self._path, "r") as file:
                yield file
        except UserError:
            raise
        except OSError as error:  # h5py's own, too, for damage
            words = os.strerror(error.errno).lower() if error.errno else "damaged"
            raise self._refused(f"unreadable: {words}") from error
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            raise self._refused(f"damaged ({type(error).__name__})") from error

    def _refused(self, words: str) -> UserError:
        return UserError(f"spatial.sofa={printable(self._path)}: {words}")


def _text(value: object) -> str:
    """An attribute as a text, in whichever of HDF5's ways it is written."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
