"""A model of telephone recordings alone makes nothing above them, whatever its vocoder does; others are as ever."""

from dataclasses import replace

import numpy as np
import pytest
from crafted import CPU, RATE, header_and_tensors, write_crafted

from distillgan.control.sliders import Controls, Curve
from distillgan.errors import UserError
from distillgan.models.modelfile import read_model, write_model
from distillgan.synthesis.blend import LoadedSource, Rendering
from distillgan.synthesis.renderer import Model, render, render_blocks
from distillgan.synthesis.request import RenderRequest

LIMIT = 4000.0


def limited(folder, name="phone", limit=LIMIT, **options):
    """The file of a loud model, which by itself makes sound all the way up."""
    header, tensors = header_and_tensors(name, **options)
    corpus = header.corpus if limit is None else {**header.corpus, "band_limit_hz": limit}
    write_model(folder / f"{name}.distillgan", replace(header, corpus=corpus), tensors)
    return folder / f"{name}.distillgan"


def dbfs(wave, low, high=RATE):
    window = np.hanning(len(wave))
    power = 2 * np.abs(np.fft.rfft(wave * window)) ** 2 / (window**2).sum() / len(wave)
    hertz = np.fft.rfftfreq(len(wave), 1 / RATE)
    return 10 * np.log10(power[(hertz >= low) & (hertz < high)].sum() + 1e-30)


@pytest.fixture(scope="module")
def phone(tmp_path_factory):
    return Model.load(limited(tmp_path_factory.mktemp("models")), CPU)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same without a limit, as older files are."""
    return Model.load(limited(tmp_path_factory.mktemp("models"), "whole", None), CPU)


def test_nothing_is_made_above_the_limit(phone, whole):
    wave, other = (render(model, model.vocoder, 7.0, 1)[0] for model in (phone, whole))
    assert dbfs(other, LIMIT) > -30 and dbfs(wave, LIMIT) < -120
    assert dbfs(wave, 0, LIMIT) > -10  # and below it there is sound
    assert len(wave) == 7 * RATE


def test_the_same_samples_in_the_same_blocks(phone, whole):
    blocks = list(render_blocks(phone, phone.vocoder, 7.0, 2))
    assert [block.shape for block in blocks] == [block.shape for block in render_blocks(whole, whole.vocoder, 7.0, 2)]
    np.testing.assert_array_equal(np.concatenate(blocks, 1), render(phone, phone.vocoder, 7.0, 2))


def test_a_file_without_a_limit_plays_as_before(whole, tmp_path):
    as_ever = Model.load(write_crafted(tmp_path, "whole"), CPU)
    assert as_ever.band_limit_hz == whole.band_limit_hz == 0.0
    np.testing.assert_array_equal(render(whole, whole.vocoder, 2.0, 3), render(as_ever, as_ever.vocoder, 2.0, 3))


@pytest.mark.parametrize("mode", ["mel", "audio"])
def test_a_blend_reaches_as_far_up_as_the_widest_of_its_models(phone, whole, tmp_path, mode):
    half = Curve((0.0,), (50.0,))
    wider = Model.load(limited(tmp_path, "wider", 11025.0, seed=1), CPU)

    def blended(*models):
        sources = [LoadedSource(model, Controls(), half) for model in models]
        request = RenderRequest(blend=["a:50", "b:50"], blend_mode=mode, duration=4.0)
        return np.concatenate(list(Rendering(sources, whole.vocoder, request).blocks()), 1)[0]

    assert dbfs(blended(phone, wider), 11025.0) < -100 and dbfs(blended(phone, wider), LIMIT, 11000) > -40
    assert dbfs(blended(phone, whole), 11025.0) > -40


def test_both_ears_of_a_place_are_limited(phone):
    rendering = Rendering([LoadedSource(phone, Controls())], phone.vocoder, RenderRequest(duration=4.0))
    first, second = (np.concatenate(list(blocks), 1)[0] for blocks in (rendering.blocks(), rendering.second()))
    assert not np.array_equal(first, second) and max(dbfs(first, LIMIT), dbfs(second, LIMIT)) < -120


@pytest.mark.parametrize("value", [-1.0, 1e6, "4000", True, None])
def test_a_limit_that_is_none_is_refused(tmp_path, value):
    header, tensors = header_and_tensors("phone")
    with pytest.raises(UserError, match=r"corpus.band_limit_hz=.* is no frequency of its mel"):
        write_model(
            tmp_path / "a.distillgan", replace(header, corpus={**header.corpus, "band_limit_hz": value}), tensors
        )
    assert read_model(limited(tmp_path, limit=4000))[0].band_limit_hz == 4000.0
