"""A place around the listener's head, for headphones: a head, outer ears, a few walls and the air."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from scipy import fft

from distillgan.audio.convolve import convolved
from distillgan.checks import number
from distillgan.errors import UserError
from distillgan.render import air, pinna, room, sphere
from distillgan.render.sofa import Sofa
from distillgan.render.spatial import Spatial, Stereo

NEAREST, FARTHEST = 0.2, 100.0  # m
REFERENCE = 1.5  # m, where a sound is as loud as it is
_LEAD = 2e-3  # s: an ear may be closer to the source than the head's middle, and filters are smooth to both sides
_RESPONSE = 12e-3  # s, of the spherical head with its outer ears
_ROLL_OFF = 0.9  # of half the sampling rate, where the filters begin to close


class Binaural(Spatial):
    """A source near a head, as both ears hear it.

    azimuth: degrees, -180 to 180, as in AES69: 0 is in front, 90 on the left, -90 on the right. elevation: degrees,
        -90 (below) to 90 (above). distance: metres from the middle of the head, 0.2 to 100; at 1.5 the sound is as
        loud as it came, and elsewhere as 1 / distance.
    width: degrees, 0 to 180: the sound comes from two places, azimuth ± width / 2, from each the middle and the side
        of `Stereo`; with 0 from one.
    reflections: 0 (no walls) to 1 (hard walls): what the six nearest walls give back. Far sounds have more of it
        beside what comes directly: it is this, and the air, by which one hears distance.
    sofa: a SOFA file of measured responses; None: `sphere` and `pinna`.

    The sound begins when it did: the time that it would take to the head is left out, all else is kept.
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
        """Raises UserError: a value is out of its limits, or the SOFA file is of no use."""
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
        """Impulse responses [2 ears, sources, K] at `rate` Hz, and the sample of them that is time zero.

        The first source, of two, is the left one. Raises UserError for a direction the SOFA file has no sound of.
        """
        lead = math.ceil(_LEAD * rate)
        seconds = _RESPONSE if self._head is None else self._head.seconds
        seconds += room.latest() / air.SOUND_SPEED if self._reflections else 0
        size = 2 * fft.next_fast_len(lead + math.ceil(seconds * rate / 2), real=True)
        frequencies = np.fft.rfftfreq(size, 1 / rate)
        spectra = np.stack([self._heard(source, frequencies) for source in self._sources()], axis=1)
        closing = np.clip((frequencies / (rate / 2) - _ROLL_OFF) / (1 - _ROLL_OFF), 0, 1)
        spectra *= (1 + np.cos(np.pi * closing)) / 2 * np.exp(-2j * np.pi * frequencies * lead / rate)
        return np.fft.irfft(spectra, size), lead

    def _sources(self) -> list[np.ndarray]:
        """Where the sound comes from: [3] each, metres to the front, the left and above."""
        half = self._width / 2
        azimuths = np.radians([self._azimuth + half, self._azimuth - half] if self.second else [self._azimuth])
        elevation = math.radians(self._elevation)
        flat = math.cos(elevation)
        return [self._distance * np.array([flat * np.cos(a), flat * np.sin(a), math.sin(elevation)]) for a in azimuths]

    def _heard(self, source: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """Complex [2, F]: all that comes to both ears from one source."""
        total = self._arriving(source, frequencies)
        if self._reflections:
            wall = self._reflections * room.reflection(frequencies)
            total = total + wall * sum(self._arriving(image, frequencies) for image in room.images(source))
        # Of two sources each is half: in one place, they are the sound itself again.
        return total / math.sqrt(2) if self.second else total

    def _arriving(self, source: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        """Complex [2, F]: what comes by one way, when it comes: after the direct sound by what that way is longer."""
        distance = float(np.linalg.norm(source))
        late = (distance - self._distance) / air.SOUND_SPEED
        gain = REFERENCE / distance * air.transmission(frequencies, distance)
        if self._head is not None:
            heard = self._head.ears(source, frequencies)
        else:
            heard = sphere.ears(source, frequencies) * pinna.response(source, frequencies)
        return heard * gain * np.exp(-2j * np.pi * frequencies * late)
