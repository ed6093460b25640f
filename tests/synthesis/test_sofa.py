"""SOFA files: the nearest measured direction is heard, in its time and level, and what is no such file is refused."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from placed import AT, RATE, click, noise, placed, spatial
from support import requested

from distillgan.errors import UserError
from distillgan.synthesis.generation import spatial_of
from distillgan.synthesis.spatial.binaural import Sofa

AZIMUTHS = np.arange(0, 360, 30)
HEIGHTS = np.array([-40, 0, 40])
DIRECTIONS = np.array([(azimuth, height, 1.2) for height in HEIGHTS for azimuth in AZIMUTHS], float)
TAPS, FRONT = 200, 12  # the front is DIRECTIONS[12]


def responses(rate: int = RATE) -> np.ndarray:
    """Responses [36, 2, 200]: a smooth pulse a direction, at times and levels that tell which it is.

    The left ear's is late by 0.1 ms for each of them, the right one's by 0.1 ms less.
    """
    time = np.arange(TAPS) / rate
    made = np.zeros((len(DIRECTIONS), 2, TAPS))
    for number in range(len(DIRECTIONS)):
        for ear, late in ((0, 1e-3 + 2e-5 * number), (1, 1e-3 - 1e-5 * number)):
            made[number, ear] = (1 + ear) * np.exp(-0.5 * ((time - late) / 4e-5) ** 2) * 44100 / rate
    return made


def write(path: Path, rate: float = RATE, kind: str | bytes = "spherical", **values) -> Path:
    """A file as SimpleFreeFieldHRIR has it; `values` replace datasets ("IR" for Data.IR …), None leaves one out."""
    datasets = {
        "Data.IR": responses(int(rate) if 1000 < rate < 1e6 else RATE),
        "Data.SamplingRate": [rate],
        "Data.Delay": np.zeros((1, 2)),
        "SourcePosition": DIRECTIONS,
    }
    short = {"IR": "Data.IR", "SamplingRate": "Data.SamplingRate", "Delay": "Data.Delay"}
    datasets |= {short.get(name, name): value for name, value in values.items()}
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"], file.attrs["SOFAConventions"] = "SOFA", "SimpleFreeFieldHRIR"
        for name, value in datasets.items():
            if value is not None:
                file[name] = value
        if "SourcePosition" in file:
            file["SourcePosition"].attrs["Type"] = kind
    return path


def heard(path: Path, **settings) -> np.ndarray:
    place = spatial("binaural", sofa=str(path), **{"reflections": 0, "azimuth": 0, **settings})
    return placed(place, click())


def arrivals(pair: np.ndarray) -> np.ndarray:
    """Seconds [2] after the click: the centres of both pulses."""
    energy = pair.astype(np.float64) ** 2
    return (energy @ np.arange(pair.shape[1]) / energy.sum(1) - AT) / RATE


@pytest.mark.parametrize(("azimuth", "elevation", "number"), [(0, 0, 12), (92, 3, 15), (-31, 0, 23), (178, -35, 6)])
@pytest.mark.parametrize("kind", ["spherical", "cartesian"])
def test_the_nearest_direction_is_heard_with_the_time_between_its_ears(tmp_path, azimuth, elevation, number, kind):
    positions = DIRECTIONS
    if kind == "cartesian":
        a, e = np.radians(DIRECTIONS[:, 0]), np.radians(DIRECTIONS[:, 1])
        positions = 1.2 * np.stack([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)], 1)
    path = write(tmp_path / "head.sofa", kind=kind, SourcePosition=positions)
    left, right = arrivals(heard(path, azimuth=azimuth, elevation=elevation))
    assert left - right == pytest.approx(3e-5 * number, abs=1e-6)
    assert abs(left + right) < 2.5e-4  # the sound begins when it did: the flank, not the middle, of the pulses


@pytest.mark.parametrize("rate", [48000, 96000, 44100])
def test_another_rate_is_resampled(tmp_path, rate):
    """The pulse's width, in seconds, its level and the time between the ears stay."""
    pair = heard(write(tmp_path / "head.sofa", rate=rate))
    left, right = arrivals(pair)
    assert left - right == pytest.approx(3e-5 * FRONT, abs=1e-6)
    ours = heard(write(tmp_path / "ours.sofa"))
    assert np.abs(np.fft.rfft(pair))[:, :2000] == pytest.approx(np.abs(np.fft.rfft(ours))[:, :2000], rel=2e-3)


def test_the_front_is_as_loud_as_the_sound_and_1_over_r_holds(tmp_path):
    path = write(tmp_path / "head.sofa", IR=1000 * responses())
    spectra = np.abs(np.fft.rfft(heard(path)))[:, 60:200]  # 300 to 1000 Hz
    assert np.sqrt((spectra**2).mean()) == pytest.approx(1, rel=0.03)
    assert spectra[1] / spectra[0] == pytest.approx(2, rel=1e-3)
    assert np.abs(np.fft.rfft(heard(path, distance=6)))[:, 60:200] == pytest.approx(spectra / 4, rel=0.01)


@pytest.mark.parametrize("shape", [(1, 2), (36, 2)])
def test_delays_come_on_top(tmp_path, shape):
    """Whole and broken ones; what is common to both ears is left out."""
    delay = np.broadcast_to([[20.5, 10.0]], shape)
    with_delay, without = (arrivals(heard(write(tmp_path / "head.sofa", Delay=d))) for d in (delay, None))
    assert with_delay - without == pytest.approx([5.25 / RATE, -5.25 / RATE], abs=2e-7)


def test_reflections_and_width_are_of_measured_directions_too(tmp_path):
    path = write(tmp_path / "head.sofa")
    wave = noise(1)
    dry, wet, wide = (
        placed(spatial("binaural", sofa=str(path), reflections=r, width=w), wave, wave)
        for r, w in ((0, 0), (0.4, 0), (0, 90))
    )
    assert dry.shape == wet.shape == wide.shape == (2, wave.shape[1])
    assert min(np.abs(wet - dry).max(), np.abs(wide - dry).max()) > 0.02


def test_text_of_all_the_kinds_that_writers_have(tmp_path):
    path = write(tmp_path / "head.sofa", kind=b"spherical")
    with h5py.File(path, "a") as file:
        file.attrs["Conventions"] = np.array([b"SOFA"])
    Sofa(path)


WRONG = {
    "no Data.IR": ({"IR": None}, "it has no Data.IR"),
    "text": ({"IR": "hello"}, "Data.IR does not hold numbers"),
    "empty": ({"IR": h5py.Empty("f")}, "Data.IR does not hold numbers"),
    "no responses": ({"IR": np.zeros((0, 2, 100))}, r"Data.IR is \[0, 2, 100\]"),
    "flat": ({"IR": np.zeros(100)}, r"Data.IR is \[100\], not directions"),
    "three ears": ({"IR": np.ones((36, 3, 50))}, "responses to 3 receivers: two are wanted"),
    "too long": ({"IR": np.ones((1, 2, 200000), "i1"), "SourcePosition": [[0.0, 0, 1]]}, "more than the limit"),
    "NaN": ({"IR": np.full((36, 2, 50), np.nan)}, "Data.IR has NaN or infinite samples"),
    "silence": ({"IR": np.zeros((36, 2, 50))}, "the response from the front is silent"),
    "no positions": ({"SourcePosition": None}, "it has no SourcePosition"),
    "too few positions": ({"SourcePosition": DIRECTIONS[:5]}, r"SourcePosition is \[5, 3\]"),
    "NaN positions": ({"SourcePosition": DIRECTIONS * np.nan}, "SourcePosition has NaN"),
    "strange positions": ({"kind": "polar"}, "of the type 'polar', not spherical or cartesian"),
    "middle of the head": ({"kind": "cartesian", "SourcePosition": 0 * DIRECTIONS}, "in the middle of the head"),
    "no rate": ({"SamplingRate": None}, "it has no Data.SamplingRate"),
    "rate of 0": ({"SamplingRate": [0.0]}, "one number from 8000 to 384000 Hz"),
    "NaN rate": ({"SamplingRate": [np.nan]}, "one number from 8000 to 384000 Hz"),
    "many rates": ({"SamplingRate": np.linspace(44100, 48000, 36)}, "one number from 8000"),
    "long delay": ({"Delay": np.full((1, 2), 1e9)}, "Data.Delay must lie from 0 to 16384 samples"),
    "early delay": ({"Delay": np.full((1, 2), -5.0)}, "Data.Delay must lie from 0"),
    "NaN delay": ({"Delay": np.full((1, 2), np.nan)}, "Data.Delay must lie from 0"),
    "odd delay": ({"Delay": np.zeros((7, 2))}, r"Data.Delay is \[7, 2\]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_wrong_is_refused_with_its_name_and_what_is_wrong(tmp_path, case):
    values, words = WRONG[case]
    path = write(tmp_path / "head.sofa", **values)
    with pytest.raises(UserError, match=rf"spatial\.sofa=.*head\.sofa: .*{words}"):
        Sofa(path)


def test_a_direction_that_is_broken_or_silent_is_refused_when_it_is_wanted(tmp_path):
    for value, words in ((np.inf, "NaN or infinite samples .direction 15"), (0, "response 15 is silent at an ear")):
        broken = responses()
        broken[15, 1] = value
        path = write(tmp_path / "head.sofa", IR=broken)
        assert np.isfinite(heard(path)).all()
        with pytest.raises(UserError, match=words):
            heard(path, azimuth=90)


def test_what_is_no_sofa_file_is_refused(tmp_path):
    cases = [(tmp_path / "none.sofa", "no such file"), (tmp_path, "is a directory")]
    for name, content in (
        ("text.sofa", b"hello" * 100),
        ("nothing.sofa", b""),
        ("signature.sofa", b"\x89HDF\r\n\x1a\n"),
    ):
        (tmp_path / name).write_bytes(content)
        cases.append((tmp_path / name, "unreadable: damaged" if name == "signature.sofa" else "not HDF5"))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["Data.IR"] = responses()
    cases.append((tmp_path / "other.h5", "HDF5, but not SOFA"))
    for path, words in cases:
        with pytest.raises(UserError, match=words):
            Sofa(path)


def test_a_damaged_file_is_refused_or_read_but_never_crashes(tmp_path):
    """Cut off anywhere, or with a piece of it overwritten with zeros."""
    whole = write(tmp_path / "head.sofa").read_bytes()
    path, refused = tmp_path / "damaged.sofa", 0
    holes = [whole[:at] + bytes(256) + whole[at + 256 :] for at in range(0, 12000, 256)]
    for content in [*(whole[:end] for end in range(0, len(whole), len(whole) // 40)), *holes]:
        path.write_bytes(content)
        try:
            Sofa(path).ears(np.array([1.0, 0, 0]), np.fft.rfftfreq(2048, 1 / RATE))
        except UserError as error:
            refused += 1
            assert "damaged.sofa" in str(error)
    assert refused > 45


def test_stray_bytes_in_a_text_can_be_printed(tmp_path):
    path = write(tmp_path / "head.sofa", kind=b"spher\xffcal")
    with pytest.raises(UserError, match="of the type") as caught:
        Sofa(path)
    str(caught.value).encode("ascii")


def test_what_lies_in_another_file_is_not_followed(tmp_path):
    write(tmp_path / "head.sofa")
    path = write(tmp_path / "link.sofa", IR=None)
    with h5py.File(path, "a") as file:
        file["Data.IR"] = h5py.ExternalLink(str(tmp_path / "head.sofa"), "Data.IR")
    with pytest.raises(UserError, match=r"it has no Data\.IR"):
        Sofa(path)
    path = write(tmp_path / "raw.sofa", IR=None)
    with h5py.File(path, "a") as file:
        size = 36 * 2 * 10 * 8
        file.create_dataset("Data.IR", (36, 2, 10), "f8", external=[(str(tmp_path / "head.sofa"), 0, size)])
    with pytest.raises(UserError, match="lies in another file"):
        Sofa(path)


def test_a_bomb_is_not_unpacked(tmp_path):
    """100 MB on paper, some kB on the disk, all in one piece."""
    path = write(tmp_path / "bomb.sofa", IR=None, SourcePosition=np.ones((4000, 3)))
    with h5py.File(path, "a") as file:
        shape = (4000, 2, 30000)
        file.create_dataset("Data.IR", shape, "f8", chunks=shape, compression="gzip")
    with pytest.raises(UserError, match="too many to be read at once"):
        Sofa(path)


def test_without_h5py_the_message_says_what_to_install(tmp_path, monkeypatch):
    path = write(tmp_path / "head.sofa")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"spatial\.sofa wants h5py: pip install 'distillgan\[sofa\]'"):
        Sofa(path)


def test_one_that_cannot_be_read_is_said_through_the_configuration_too(tmp_path):
    with pytest.raises(UserError, match=r"spatial.sofa=.*none.sofa: unreadable: no such file or directory"):
        spatial_of(requested(tmp_path, "spatial=binaural", f"spatial.sofa={tmp_path}/none.sofa").spatial)
