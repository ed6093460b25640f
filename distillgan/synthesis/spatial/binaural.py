"""Binaural rendering for headphones: a spherical or measured head, outer ears, first reflections and the air."""

import contextlib
import math
import os
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr
from scipy import fft

from distillgan.audio.filters import convolved
from distillgan.audio.io import printable
from distillgan.errors import UserError, number
from distillgan.synthesis.spatial.placement import Spatial, Stereo

SOUND_SPEED = 343.2  # m/s, at 20 °C
CELSIUS, HUMIDITY = 20.0, 50.0


def absorption(frequencies: np.ndarray, celsius: float = CELSIUS, humidity: float = HUMIDITY) -> np.ndarray:
    """Absorption by air in dB a metre [F] at frequencies in Hz [F], for a `humidity` in percent and 101.325 kPa.

    ISO 9613-1:1993, eq. 3 to 5, B.2 and B.3.
    """
    kelvin = celsius + 273.15
    relative = kelvin / 293.15
    saturation = 10 ** (-6.8346 * (273.16 / kelvin) ** 1.261 + 4.6151)
    water = humidity * saturation  # molar concentration, percent
    oxygen = 24 + 4.04e4 * water * (0.02 + water) / (0.391 + water)  # relaxation, Hz
    nitrogen = relative**-0.5 * (9 + 280 * water * np.exp(-4.170 * (relative ** (-1 / 3) - 1)))
    squared = frequencies**2
    relaxing = 0.01275 * np.exp(-2239.1 / kelvin) / (oxygen + squared / oxygen)
    relaxing = relaxing + 0.1068 * np.exp(-3352.0 / kelvin) / (nitrogen + squared / nitrogen)
    return 8.686 * squared * (1.84e-11 * relative**0.5 + relative**-2.5 * relaxing)


def transmission(frequencies: np.ndarray, metres: float) -> np.ndarray:
    """Share of the amplitude [F] that the air leaves after `metres`, at Hz [F]; 1/r is not in it."""
    return 10 ** (-absorption(frequencies) * metres / 20)


# Brown & Duda 1998, "A structural model for binaural sound synthesis", IEEE Trans. Speech Audio Process. 6(5), Table 1;
# amplitudes and delays in samples at 44.1 kHz.
_RATE = 44100
_GAIN = np.array([0.5, -1.0, 0.5, -0.25, 0.25])
_SWING = np.array([1.0, 5.0, 5.0, 5.0, 5.0])
_MIDDLE = np.array([2.0, 4.0, 7.0, 11.0, 13.0])
_ELEVATION = np.array([1.0, 0.5, 0.5, 0.5, 0.5])


def delays(azimuth: float, elevation: float) -> np.ndarray:
    """Delays [5] in seconds of the outer ear's echoes, for azimuth -π…π and elevation -π/2…π/2 (the paper's τ).

    The paper has them for the front. Behind, where cos(θ/2) is small, they stay near their middle: a source behind
    sounds different from one in front, and its elevation is less audible.
    """
    return (_SWING * np.cos(azimuth / 2) * np.sin(_ELEVATION * (np.pi / 2 - elevation)) + _MIDDLE) / _RATE


def response(source: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Response of either outer ear, complex [F], 1 at 0 Hz. source: [3], metres to the front, the left and above."""
    azimuth = float(np.arctan2(source[1], source[0]))
    elevation = float(np.arctan2(source[2], np.hypot(source[0], source[1])))
    turns = np.outer(delays(azimuth, elevation), frequencies)
    return 1 + _GAIN @ np.exp(-2j * np.pi * turns)


RADIUS = 0.0875  # m
_NEGLIGIBLE = 1e-10  # of a term, against 1


def pressures(ka: np.ndarray, rho: float, cosine: float) -> np.ndarray:
    """Pressures of a point source on a rigid sphere, where it is seen under `cosine`, and opposite: complex [2, F].

    They are relative to the pressure at the sphere's centre without it; e^{+iωt}, so a delay turns the phase down.
    ka: [F], all above 0: 2π · radius / wavelength. rho: the source's distance from the centre, in radii, above 1.

    H = -(ρ/μ) e^{-iμρ} Σ (2m+1) P_m(cos θ) h_m(μρ) / h'_m(μ), with μ = ka: Rabinowitz, Maxwell, Shao & Wei 1993,
    J. Acoust. Soc. Am. 93, 1320; Duda & Martens 1998, J. Acoust. Soc. Am. 104, 3048, eq. 3 to 7 (their e^{-iωt} is
    turned round here). h_m overflows where m is far above ka; only ratios are computed, by the recurrence of h_m
    divided by h_m, which is stable upwards (Abramowitz & Stegun 10.1.19). The sum ends where nothing is added any more.
    """
    if rho <= 1:
        raise ValueError(f"the source must be outside of the sphere: rho is {rho}")
    far = ka * rho
    # h_m over h_{m-1}, of both arguments; h_m(μρ) e^{-iμρ} / h_m(μ)
    step_near, step_far = 1 / ka - 1j, 1 / far - 1j
    ratio = np.exp(-1j * ka) / rho
    slope = 1j - 1 / ka  # h'_m / h_m at μ
    before, legendre = 0.0, 1.0
    sums = np.zeros((2, len(ka)), complex)
    order = 0
    while True:
        term = (2 * order + 1) * ratio / slope / ka
        sums[order % 2] += legendre * term
        if np.abs(term).max() * rho < _NEGLIGIBLE:
            break
        before, legendre = legendre, ((2 * order + 1) * cosine * legendre - order * before) / (order + 1)
        order += 1
        ratio = ratio * step_far / step_near
        slope = 1 / step_near - (order + 1) / ka
        step_near, step_far = (2 * order + 1) / ka - 1 / step_near, (2 * order + 1) / far - 1 / step_far
    even, odd = sums
    return np.conj(-rho * np.stack([even + odd, even - odd]))


def ears(source: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Pressures at the ears of a spherical head, at ± 90°, over that at its centre without it: complex [2, F].

    source: [3], metres from the head's centre to the front, the left and above. frequencies: Hz [F]; the static limit
    stands at 0.
    """
    distance = float(np.linalg.norm(source))
    ka = 2 * np.pi * np.maximum(frequencies, 1e-2) * RADIUS / SOUND_SPEED
    return pressures(ka, distance / RADIUS, source[1] / distance)


MOST_DIRECTIONS = 100_000
MOST_TAPS = 1 << 17
_MOST_DELAY = 1 << 14  # samples
_RATES = (8000, 384_000)  # Hz
_MOST_AT_ONCE = 1 << 26  # numbers
_ONSET = 0.1  # of a response's peak
_CALM = (250.0, 1500.0)  # Hz, where a head and its ears colour least
_AHEAD = 32  # samples of silence before a response, for what resampling puts there


class Sofa:
    """A file (AES69) of head-related impulse responses in free field, to the left ear, then the right.

    Positions and sizes are checked and read at once, responses when they are used. Only numbers are read.
    """

    def __init__(self, path: Path):
        """Raises UserError if h5py is missing, or the file cannot be used."""
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
        """Responses of the nearest measured direction, complex [2, F], left and right.

        Time 0 is the mean arrival at both ears; the response from the front is 0 dB where a head colours least.
        source: [3], metres to the front, the left and above; only its direction counts. frequencies: Hz [F], evenly
        from 0 to half a sampling rate, close enough together for `seconds`.

        Raises UserError if the file has changed, or the responses are silent, or have NaN or infinite samples.
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
        """Root mean square of the spectra of a response [2, K] in the calm band."""
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
        """Delays [count, 2] of the responses in samples; 0 if the file has none."""
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


# Metres from the head to the walls: front and back, left and right, ceiling and floor. All different, so that no two
# reflections come together and colour the sound.
WALLS = ((4.7, -3.9), (3.4, -4.3), (1.9, -1.5))
_BEHIND = 1.1  # m a wall stands behind a source that is farther away than it
_DULL = 5000.0  # Hz, where a wall takes half of what it else gives back


def images(source: np.ndarray) -> np.ndarray:
    """Mirror images [6, 3] of the first order in a shoebox, metres (Allen & Berkley 1979, J. Acoust. Soc. Am. 65, 943).

    source: [3], metres from the head to the front, the left and above. A source beyond a wall moves that wall back
    behind it, so every reflection comes within twice the farthest wall's distance of the direct sound.
    """
    mirrored = []
    for axis, walls in enumerate(WALLS):
        ends = max(walls[0], source[axis] + _BEHIND), min(walls[1], source[axis] - _BEHIND)
        for wall in ends:
            image = source.copy()
            image[axis] = 2 * wall - source[axis]
            mirrored.append(image)
    return np.stack(mirrored)


def latest() -> float:
    """Metres by which a reflection's path may at most be longer than the direct one."""
    return 2 * max(abs(wall) for walls in WALLS for wall in walls)


def reflection(frequencies: np.ndarray) -> np.ndarray:
    """Reflection factor of a wall, complex [F]: a first-order low-pass, 1 at 0 Hz."""
    return 1 / (1 + 1j * frequencies / _DULL)


NEAREST, FARTHEST = 0.2, 100.0  # m
REFERENCE = 1.5  # m, where a sound is as loud as it is
_LEAD = 2e-3  # s: an ear may be closer to the source than the head's middle, and filters are smooth to both sides
_RESPONSE = 12e-3  # s, of the spherical head with its outer ears
_ROLL_OFF = 0.9  # of half the sampling rate, where the filters begin to close


class Binaural(Spatial):
    """A source near a head, as both ears hear it, without the time that its sound takes to the head.

    azimuth: degrees, -180 to 180, as in AES69: 0 is in front, 90 on the left. elevation: degrees, -90 (below) to 90.
    distance: metres from the middle of the head, 0.2 to 100; the gain is 1.5 / distance.
    width: degrees, 0 to 180: the channels of `Stereo` come from azimuth ± width / 2; with 0 the sound from one place.
    reflections: 0 (no walls) to 1 (hard walls) of the six nearest walls: by these, and the air, distance is audible.
    sofa: a SOFA file of measured responses; None for the spherical head and its outer ears.
    """

    channels = 2

    def __init__(
        self,
        azimuth: float,
        elevation: float,
        distance: float,
        width: float,
        reflections: float,
        sofa: str | None = None,
        name: str = "binaural",
    ):
        """Raises UserError if a value is out of its limits, or the SOFA file cannot be used."""
        super().__init__(name)
        self._azimuth = number("spatial.azimuth", azimuth, -180, 180)
        self._elevation = number("spatial.elevation", elevation, -90, 90)
        self._distance = number("spatial.distance", distance, NEAREST, FARTHEST)
        self._width = number("spatial.width", width, 0, 180)
        self._reflections = number("spatial.reflections", reflections, 0, 1)
        if sofa is not None and not str(sofa).strip():
            raise UserError("spatial.sofa= names no file")
        self._head = None if sofa is None else Sofa(Path(str(sofa)).expanduser())
        self.second = self._width > 0

    def place(
        self, blocks: Iterable[np.ndarray], second: Iterable[np.ndarray] | None, rate: int
    ) -> Iterator[np.ndarray]:
        filters, lead = self.filters(rate)
        if self.second:
            blocks = Stereo(1.0).place(blocks, second, rate)
        yield from convolved(blocks, filters, lead)

    def filters(self, rate: int) -> tuple[np.ndarray, int]:
        """Impulse responses [2 ears, sources, K] at `rate` Hz, the left source first, and their sample of time zero.

        Raises UserError for a direction without sound in the SOFA file.
        """
        lead = math.ceil(_LEAD * rate)
        seconds = _RESPONSE if self._head is None else self._head.seconds
        seconds += latest() / SOUND_SPEED if self._reflections else 0
        size = 2 * fft.next_fast_len(lead + math.ceil(seconds * rate / 2), real=True)
        frequencies = np.fft.rfftfreq(size, 1 / rate)
        spectra = np.stack([self._response(source, frequencies) for source in self._sources()], axis=1)
        closing = np.clip((frequencies / (rate / 2) - _ROLL_OFF) / (1 - _ROLL_OFF), 0, 1)
        spectra *= (1 + np.cos(np.pi * closing)) / 2 * np.exp(-2j * np.pi * frequencies * lead / rate)
        return np.fft.irfft(spectra, size), lead

    def _sources(self) -> list[np.ndarray]:
        """Positions [3] of the sources, metres to the front, the left and above."""
        half = self._width / 2
        azimuths = np.radians([self._azimuth + half, self._azimuth - half] if self.second else [self._azimuth])
        elevation = math.radians(self._elevation)
        flat = math.cos(elevation)
        return [self._distance * np.array([flat * np.cos(a), flat * np.sin(a), math.sin(elevation)]) for a in azimuths]

    def _response(self, source: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """Response of both ears to one source with its reflections, complex [2, F]."""
        total = self._arriving(source, frequencies)
        if self._reflections:
            wall = self._reflections * reflection(frequencies)
            total = total + wall * sum(self._arriving(image, frequencies) for image in images(source))
        # Each of two sources is half: in one place, they are the sound itself again.
        return total / math.sqrt(2) if self.second else total

    def _arriving(self, source: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """Response of both ears to one path, complex [2, F], delayed by as much as it is longer than the direct one."""
        distance = float(np.linalg.norm(source))
        late = (distance - self._distance) / SOUND_SPEED
        gain = REFERENCE / distance * transmission(frequencies, distance)
        if self._head is not None:
            head = self._head.ears(source, frequencies)
        else:
            head = ears(source, frequencies) * response(source, frequencies)
        return head * gain * np.exp(-2j * np.pi * frequencies * late)
