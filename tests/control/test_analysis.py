"""A tiny model of known sounds is analysed: twice the same, small, and with reasons for what it cannot."""

import numpy as np
import pytest
import torch
from materials import starts_of

from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log1p
from distillgan.control.analysis import Analyser
from distillgan.control.latents import CorpusLatents, Segments
from distillgan.control.sliders import POSITIONS, Analysis
from distillgan.features.descriptors import NAMES
from distillgan.models.vae.network import VAENetwork
from distillgan.models.vocoders.registry import UNIVERSAL, read_packaged

SPEC = MelSpec()
BANDS = 16


class Loudspeaker(torch.nn.Module):
    """A decoder whose latent dimensions are levels of bands: low dimensions low bands. Frames know no neighbours."""

    def __init__(self, dimensions: int, stride: int = 8):
        super().__init__()
        self.stride, self.context_frames, self.latent_dim = stride, 0, dimensions
        self.level = torch.nn.Parameter(torch.zeros(1))

    def decode(self, z: torch.Tensor, frames: int) -> torch.Tensor:
        bands = z.repeat_interleave(128 // z.shape[1], 1).clamp(0, 8)
        return bands.repeat_interleave(self.stride, -1)[..., :frames]


class NoiseVocoder:
    """Log-clamp mel [1, 128, T] → always the same white noise, as loud in each band and at each time as the mel is."""

    def __init__(self):
        bank = MelSpectrogram(SPEC).bank
        self.mixing = (bank / bank.sum(0).clamp(min=1e-9)).T
        self.stft = {"n_fft": SPEC.n_fft, "hop_length": SPEC.hop_length, "window": torch.hann_window(SPEC.n_fft)}

    def __call__(self, mel: torch.Tensor) -> np.ndarray:
        samples = mel.shape[-1] * SPEC.hop_length
        noise = torch.randn(samples, generator=torch.Generator().manual_seed(0))
        # Padded with zeros: to be reflected, the shortest mels are too short.
        spectrum = torch.stft(noise, **self.stft, center=True, pad_mode="constant", return_complex=True)
        gain = self.mixing @ mel[0].exp()
        gain = torch.cat([gain, gain[:, -1:]], 1)
        return torch.istft(spectrum * gain, **self.stft, length=samples).numpy()


@pytest.fixture(scope="module")
def play():
    return NoiseVocoder()


def sounds(*lengths: int, dimensions: int = BANDS, tilt: float = 1.5, seed: int = 0) -> CorpusLatents:
    """Noises of a slowly changing slope of their spectrum, dark to bright."""
    rng = np.random.default_rng(seed)
    chunks = []
    for length in lengths:
        slope = np.repeat(rng.uniform(-tilt, tilt, -(-length // 16)), 16)[:length]
        chunks.append(
            3 + np.outer(slope, np.linspace(-1, 1, dimensions)) + 0.1 * rng.standard_normal((length, dimensions))
        )
    return CorpusLatents(torch.from_numpy(np.concatenate(chunks).astype(np.float32)), starts_of(*lengths))


def analysed(corpus: CorpusLatents, play, seconds: float = 0.5, seeds: int = 1) -> tuple[Analysis, list]:
    told = []
    network = Loudspeaker(corpus.z.shape[1]).eval()
    analyser = Analyser(network, SPEC, corpus, play, seconds=seconds, seeds=seeds)
    return analyser.run(lambda done, total: told.append((done, total))), told


@pytest.fixture(scope="module")
def varied(play):
    """Half a minute that goes from dark to bright, analysed with sounds of 3 s."""
    corpus = sounds(80, 48, 96, 40, 64)
    return corpus, *analysed(corpus, play, seconds=3.0)


def test_progress_goes_step_by_step_to_its_total(varied):
    _, _, told = varied
    totals = {total for _, total in told}
    assert len(totals) == 1 and [done for done, _ in told] == list(range(1, totals.pop() + 1))


def test_sizes(varied):
    corpus, analysis, _ = varied
    segments, dimensions, count = len(Segments.of(corpus)), corpus.z.shape[1], len(NAMES)
    assert analysis.values.shape == (segments, count) and analysis.known.shape == (count,)
    assert analysis.directions.shape == (count, dimensions) and analysis.delivered.shape == (count,)
    assert analysis.response.shape == (count, len(POSITIONS), count)
    assert all(np.isfinite(getattr(analysis, name)).all() for name in ("values", "percentiles", "response"))
    tensors = analysis.to_tensors()
    assert sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) < 50_000
    again = Analysis.from_tensors(tensors, dimensions, segments, "rain.distillgan")
    assert [slider.reason for slider in again.sliders()] == [slider.reason for slider in analysis.sliders()]


def test_it_hears_what_the_corpus_is_like(varied):
    """Brightness follows the slope that the segments were made with; noise is never tense or rhythmic by much."""
    corpus, analysis, _ = varied
    means = Segments.of(corpus).means(corpus.z.numpy())
    slope = means[:, BANDS // 2 :].mean(1) - means[:, : BANDS // 2].mean(1)
    assert np.corrcoef(analysis.values[:, 0], slope)[0, 1] > 0.9
    assert np.corrcoef(analysis.values[:, 1], slope)[0, 1] < -0.8
    assert (analysis.known[:7] == 1).all()
    assert len(analysis.axes.spread) == 1
    assert (
        abs(analysis.axes.directions[0] @ np.linspace(-1, 1, BANDS)) / np.linalg.norm(np.linspace(-1, 1, BANDS)) > 0.98
    )


def test_brightness_can_be_moved_and_its_direction_is_towards_high_bands(varied):
    _, analysis, _ = varied
    brightness = analysis.sliders()[0]
    assert brightness.rank == 1 and np.diff(brightness.shown).min() > 0
    assert brightness.shown[-1] > 1.3 * brightness.shown[0]
    assert ((analysis.delivered >= 0) & (analysis.delivered <= 1)).all()
    assert not analysis.directions[4:].any() and not analysis.delivered[4:].any()


def test_a_real_network_twice_the_same(play):
    """Of random weights: what it plays has no meaning, but is the same each time."""
    torch.manual_seed(0)
    network, corpus = VAENetwork(128, 4, 16, 1, 2, 16, 1, 8, 7).eval(), sounds(40, 24, dimensions=4)
    first, second = (Analyser(network, SPEC, corpus, play, seconds=0.5, seeds=1).run() for _ in range(2))
    for name, tensor in first.to_tensors().items():
        assert torch.equal(tensor, second.to_tensors()[name]) and torch.isfinite(tensor).all(), name
    assert not any(parameter.grad is not None for parameter in network.parameters())


def test_more_seeds_are_more_renders(play):
    """One more for each slider at each of its positions but the middle one, which all share."""
    corpus = sounds(24)
    once, twice = (analysed(corpus, play, seconds=0.2, seeds=seeds) for seeds in (1, 2))
    assert len(twice[1]) - len(once[1]) == 1 + len(NAMES) * (len(POSITIONS) - 1)
    assert (once[0].values == twice[0].values).all() and not (once[0].response == twice[0].response).all()


def test_progress_may_be_left_out(play):
    corpus = sounds(20)
    analysis = Analyser(Loudspeaker(BANDS), SPEC, corpus, play, seconds=0.2, seeds=1).run()
    assert len(analysis.values) == len(Segments.of(corpus))


@pytest.mark.parametrize("level", [0.0, 3.0], ids=["silence", "a steady noise"])
def test_a_corpus_without_any_variation(play, level):
    corpus = CorpusLatents(torch.full((80, BANDS), level), starts_of(40, 40))
    analysis, told = analysed(corpus, play)
    sliders = analysis.sliders()
    assert len(sliders) == len(NAMES) and told[-1][0] == told[-1][1]
    assert all(slider.reason for slider in sliders[:4])
    if level == 0:
        assert all(slider.reason for slider in sliders)
        assert all("have one" in slider.reason for slider in sliders[:4])


@pytest.mark.parametrize("frames", [1, 5, 15])
def test_one_piece_shorter_than_a_window(play, frames):
    analysis, told = analysed(sounds(frames), play)
    assert analysis.values.shape == (1, len(NAMES)) and np.isfinite(analysis.response).all()
    assert all(slider.reason for slider in analysis.sliders())
    assert told[-1][0] == told[-1][1]


def test_descriptors_are_of_what_is_played():
    """The mel of a sine, through the vocoder that ships: as bright in the analysis as its frequency."""
    vocoder = read_packaged(UNIVERSAL).vocoder()
    at = np.arange(SPEC.hop_length * 160) / SPEC.sample_rate
    wave = torch.from_numpy((0.3 * np.sin(2 * np.pi * 1500 * at)).astype(np.float32))[None]
    x = to_log1p(MelSpectrogram(SPEC)(wave), SPEC)[0]
    corpus = CorpusLatents(x[:, ::8].T.contiguous(), starts_of(20))
    analysis, _ = analysed(corpus, lambda mel: vocoder.render(mel)[0, 0].numpy(), seconds=0.2)
    assert 2 ** analysis.values[:, 0] == pytest.approx(1500, rel=0.15)
