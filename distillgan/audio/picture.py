"""Spectrogram pictures, drawn with Pillow: matplotlib, which draws all others (`plots`), takes a second to import."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from distillgan.atomic import replace_file
from distillgan.audio.mel import LOG_FLOOR, from_log1p
from distillgan.audio.spec import MelSpec

RANGE_DB = 80  # between the brightest and the darkest colour
GREY = "#7d8590"  # 3.7 times as dark as white, 5.6 times as bright as black: letters are read on any ground
_HERTZ = (100, 1000, 10000, 2000, 5000, 500, 20000, 200, 50, 20)  # those that must be seen first
_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_LEAST_GAP = 0.07  # between two numbers of Hz, of the axis
_SILENCE_DB = -200.0
# Every sixteenth colour of "magma" (Smith and van der Walt 2015), dark to bright, as evenly bright as the eye sees it.
_COLOURS = (
    "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 cf4070 e55064 f4695c fb8761 fea571 fec287 fde0a1 "
    "fcfdbf"
)
# Sizes in pixels: a spectrogram, what is around it, letters.
_WIDTH, _HEIGHT, _LEAST_WIDTH = 400, 150, 520
_LEFT, _TOP, _BETWEEN, _BELOW, _BAR = 56, 36, 24, 22, 14
_BAR_RIGHT = 52  # for the numbers beside the bar
_LARGE, _SMALL = 15, 11


@dataclass(frozen=True)
class Panel:
    """One spectrogram of a picture: where it lies in pixels, and the numbers on its axes.

    levels: dB [n_mels, T], 0 the brightest. box: left, top, right, bottom. hertz: text → y; seconds: text → x.
    """

    name: str
    levels: np.ndarray
    box: tuple[int, int, int, int]
    hertz: dict[str, float]
    seconds: dict[str, float]


def draw_mels(rows: list[dict[str, Tensor]], title: str, spec: MelSpec, frame_rate: float | None = None) -> Image.Image:
    """Named log1p mels [n_mels, T] over seconds and Hz, a row a clip, in dB under the loudest of the row.

    `frame_rate` in frames a second; the spec's where there is none. The ground is transparent.
    """
    lines = panels(rows, spec, frame_rate or spec.frame_rate)
    _, _, right, bottom = lines[-1][-1].box
    image = Image.new("RGBA", (right + _BETWEEN // 2 + _BAR + _BAR_RIGHT, bottom + 2 * _BELOW), (0, 0, 0, 0))
    canvas, large, small = ImageDraw.Draw(image), _font(_LARGE), _font(_SMALL)
    canvas.text((image.width / 2, _TOP // 2), title, GREY, large, anchor="mm")
    for line in lines:
        for panel in line:
            _draw(image, canvas, panel, small, numbered=panel is line[0])
        _draw_bar(image, canvas, line[-1].box, small)
    for panel in lines[-1]:
        middle = (panel.box[0] + panel.box[2]) / 2
        canvas.text((middle, panel.box[3] + 1.5 * _BELOW), "seconds", GREY, small, anchor="mm")
    return image


def panels(rows: list[dict[str, Tensor]], spec: MelSpec, frame_rate: float) -> list[list[Panel]]:
    """The spectrograms of a picture as `draw_mels` lays them out."""
    width = max(_WIDTH, _LEAST_WIDTH // len(rows[0]))
    lines = []
    for number, row in enumerate(rows):
        top, line = _TOP + number * (_HEIGHT + _BETWEEN + _BELOW) + _BETWEEN, []
        for place, (name, levels) in enumerate(zip(row, decibels(list(row.values()), spec), strict=True)):
            left = _LEFT + place * (width + _BETWEEN)
            bands, seconds = len(levels), levels.shape[1] / frame_rate
            hertz = {text: top + _HEIGHT * (1 - (band + 0.5) / bands) for text, band in hertz_ticks(spec).items()}
            times = {text: left + width * value / seconds for text, value in _second_ticks(seconds).items()}
            line.append(Panel(name, levels, (left, top, left + width, top + _HEIGHT), hertz, times))
        lines.append(line)
    return lines


def decibels(mels: Sequence[Tensor], spec: MelSpec) -> list[np.ndarray]:
    """Log1p mels [n_mels, T] of any lengths → the same in dB, at most 0: the loudest there is in any of them."""
    linear = [from_log1p(mel.detach().float().cpu(), spec).numpy() for mel in mels]
    top = max(LOG_FLOOR, *(mel.max() for mel in linear))
    return [20 * np.log10(mel / top, out=np.full_like(mel, _SILENCE_DB / 20), where=mel > LOG_FLOOR) for mel in linear]


def hertz_ticks(spec: MelSpec) -> dict[str, float]:
    """Numbers for an axis of mel bands, in Hz, and their places in bands; none so near another that they touch."""
    found: dict[str, float] = {}
    for hertz in _HERTZ:
        band = spec.band_of(hertz)
        if -0.5 <= band <= spec.n_mels - 0.5 and all(abs(band - o) >= _LEAST_GAP * spec.n_mels for o in found.values()):
            found[f"{hertz // 1000}k" if hertz >= 1000 else str(hertz)] = band
    return found


def coloured(levels: np.ndarray) -> np.ndarray:
    """Levels in dB → colours, uint8 [..., 3]: -RANGE_DB and below the darkest, 0 the brightest."""
    stops = np.frombuffer(bytes.fromhex(_COLOURS), np.uint8).reshape(-1, 3)
    table = np.stack([np.interp(np.linspace(0, len(stops) - 1, 256), range(len(stops)), part) for part in stops.T], 1)
    place = np.rint((levels / RANGE_DB + 1).clip(0, 1) * 255).astype(int)
    return np.rint(table).astype(np.uint8)[place]


def save_picture(image: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all. Raises UserError if the disk refuses."""
    with replace_file(path) as temporary:
        image.save(temporary, format="png")


def _second_ticks(seconds: float) -> dict[str, float]:
    """Three to seven round numbers of seconds from 0 on."""
    step = next((step for step in _SECONDS if seconds / step < 7), _SECONDS[-1])
    return {f"{number * step:g}": number * step for number in range(int(seconds / step + 1e-6) + 1)}


def _draw(image: Image.Image, canvas: ImageDraw.ImageDraw, panel: Panel, font, numbered: bool) -> None:
    left, top, right, bottom = panel.box
    size = (right - left, bottom - top)
    image.paste(Image.fromarray(coloured(panel.levels[::-1])).resize(size, Image.Resampling.BOX), (left, top))
    canvas.text(((left + right) / 2, top - 10), panel.name, GREY, font, anchor="mm")
    for text, x in panel.seconds.items():
        canvas.line((x, bottom, x, bottom + 4), GREY)
        canvas.text((x, bottom + 12), text, GREY, font, anchor="mm")
    for text, y in panel.hertz.items():
        canvas.line((left - 4, y, left, y), GREY)
        if numbered:
            canvas.text((left - 7, y), text, GREY, font, anchor="rm")
    if numbered:
        canvas.text((4, top - 10), "Hz", GREY, font, anchor="lm")


def _draw_bar(image: Image.Image, canvas: ImageDraw.ImageDraw, box: tuple[int, int, int, int], font) -> None:
    """Beside the last spectrogram of a row, which colour is how many dB."""
    _, top, right, bottom = box
    left, height = right + _BETWEEN // 2, bottom - top
    shades = coloured(np.linspace(0, -RANGE_DB, height)[:, None].repeat(_BAR, 1))
    image.paste(Image.fromarray(shades), (left, top))
    for level in range(-RANGE_DB, 1, 20):
        y = top - level / RANGE_DB * (height - 1)
        canvas.line((left + _BAR, y, left + _BAR + 3, y), GREY)
        canvas.text((left + _BAR + 6, y), f"{level}", GREY, font, anchor="lm")
    canvas.text((left, top - 10), "dB", GREY, font, anchor="lm")


def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, which knows more alphabets than Pillow's own."""
    place = Path(find_spec("matplotlib").submodule_search_locations[0], "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(place, size)
