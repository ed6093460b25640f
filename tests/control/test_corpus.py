"""The corpus as latents: all of it if it is short, an even sample of it if it is long."""

import numpy as np
import pytest
import torch

import distillgan.control.latents as corpus_module
from distillgan.audio.mel import MelSpec, MelSpectrogram, to_log1p
from distillgan.control.latents import CorpusLatents, encode_corpus
from distillgan.data.cache import AudioClip
from distillgan.errors import UserError
from distillgan.models.vae.network import VAENetwork

SPEC = MelSpec()
RATE = SPEC.sample_rate
LATENT = 8 * SPEC.hop_length  # samples a latent frame


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return VAENetwork(128, 4, 16, 1, 2, 16, 1, 8, 7).eval()


@pytest.fixture(scope="module")
def mel():
    return MelSpectrogram(SPEC)


@pytest.fixture
def clip(tmp_path):
    """Makes clips of noise whose loudness rises from start to end, cached as the scan caches them."""

    def make(length: int, gain: float = 1.0) -> AudioClip:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        wave = np.random.default_rng(length).standard_normal(length) * np.linspace(1e-4, 0.3, length)
        np.save(path, wave.astype(np.float32))
        return AudioClip(path, path.stem, length, RATE, gain)

    return make


@pytest.mark.parametrize("lengths", [[2205], [LATENT], [LATENT + 1], [5 * LATENT, 2205, 7 * LATENT + 9]])
def test_short_clips_are_whole(network, mel, clip, lengths):
    clips = [clip(length) for length in lengths]
    latents = encode_corpus(network, mel, clips)
    frames = [-(-length // LATENT) for length in lengths]
    assert latents.starts.tolist() == np.cumsum([0, *frames]).tolist()
    assert latents.z.shape == (sum(frames), 4) and latents.z.dtype == torch.float32
    for number, one in enumerate(clips):
        wave = torch.from_numpy(one.read(0, frames[number] * LATENT))[None]
        mean, _ = network.encode(to_log1p(mel(wave), SPEC))
        assert torch.allclose(latents.chunk(number), mean[0].T, atol=1e-5)


def test_a_clip_of_more_than_a_piece_is_covered_to_its_end(network, mel, clip, monkeypatch):
    monkeypatch.setattr(corpus_module, "_CHUNK_SECONDS", 2.0)
    long = clip(int(7.3 * RATE))
    seen = []
    latents = encode_corpus(network, mel, [long], lambda done, total: seen.append((done, total)))
    assert latents.chunks == 4 and seen == [(n, 4) for n in (1, 2, 3, 4)]
    assert long.length <= len(latents.z) * LATENT <= long.length + 5 * LATENT
    # Each chunk starts where the one before ends.
    wave = torch.from_numpy(long.read(6 * RATE, -(-int(1.3 * RATE) // LATENT) * LATENT))[None]
    assert torch.allclose(latents.chunk(3), network.encode(to_log1p(mel(wave), SPEC))[0][0].T, atol=1e-5)


def test_the_gain_of_a_file_is_heard(network, mel, clip):
    quiet, loud = clip(3 * LATENT, 0.1), clip(3 * LATENT, 1.0)
    assert not torch.allclose(*(encode_corpus(network, mel, [one]).z for one in (quiet, loud)), atol=1e-2)


@pytest.mark.parametrize("limit", [30, 100, 250])
@pytest.mark.parametrize("seconds", [[60.0], [1.0, 2.1] * 25, [2.1, 0.1] * 40, [2.0, 2.0, 0.05] * 20, [0.3] * 200])
def test_a_long_corpus_is_sampled_evenly_and_never_over_the_limit(network, mel, clip, monkeypatch, limit, seconds):
    monkeypatch.setattr(corpus_module, "_CHUNK_SECONDS", 2.0)
    monkeypatch.setattr(corpus_module, "MAX_FRAMES", limit)
    made = {second: clip(int(second * RATE)) for second in set(seconds)}
    latents = encode_corpus(network, mel, [made[second] for second in seconds])
    assert 0.7 * limit - 22 <= len(latents.z) <= limit
    assert latents.starts[-1] == len(latents.z)


def test_a_sample_reaches_from_the_first_minute_to_the_last(network, mel, clip, monkeypatch):
    """The loudness of the one long clip rises, so the levels of the chunks tell where they are from."""
    monkeypatch.setattr(corpus_module, "_CHUNK_SECONDS", 1.0)
    monkeypatch.setattr(corpus_module, "MAX_FRAMES", 110)
    long = clip(60 * RATE)
    starts = []
    monkeypatch.setattr(AudioClip, "read", lambda self, start, count: starts.append(start) or np.zeros(count, "f4"))
    encode_corpus(network, mel, [long])
    assert 8 <= len(starts) <= 10
    seconds = np.array(starts) / RATE
    assert seconds[0] < 12 and seconds[-1] > 52
    assert np.diff(seconds).min() >= 4 and np.diff(seconds).max() <= 8


def test_stored_in_half_precision_and_read_again(network, mel, clip):
    latents = encode_corpus(network, mel, [clip(5 * LATENT), clip(2 * LATENT)])
    tensors = latents.to_tensors()
    assert tensors["latent.z"].dtype == torch.float16
    again = CorpusLatents.from_tensors(tensors, 4, "rain.distillgan")
    assert again.z.dtype == torch.float32 and torch.equal(again.starts, latents.starts)
    assert torch.allclose(again.z, latents.z, atol=2e-3, rtol=1e-3)
    assert torch.equal(again.chunk(1), again.z[5:7])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"latent.z": torch.zeros(7, 5)}, "its latents .7, 5. and their starts .3. are not those of a corpus in 4"),
        ({"latent.z": torch.zeros(28)}, "are not those of a corpus in 4 dimensions"),
        ({"latent.z": None}, "are not those of a corpus in 4 dimensions"),
        ({"latent.starts": None}, "are not those of a corpus"),
        ({"latent.starts": torch.tensor([0.0, 7.0])}, "are not those of a corpus"),
        ({"latent.starts": torch.tensor([0, 8])}, "the starts of its latents do not divide their 7 frames"),
        ({"latent.starts": torch.tensor([1, 7])}, "do not divide"),
        ({"latent.starts": torch.tensor([0, 5, 3, 7])}, "do not divide"),
        ({"latent.starts": torch.tensor([0])}, "do not divide"),
    ],
)
def test_foreign_latents(changes, words):
    tensors = {"latent.z": torch.zeros(7, 4), "latent.starts": torch.tensor([0, 5, 7])}
    CorpusLatents.from_tensors(tensors, 4, "rain.distillgan")
    tensors = {name: value for name, value in {**tensors, **changes}.items() if value is not None}
    with pytest.raises(UserError, match=f"rain.distillgan: .*{words}"):
        CorpusLatents.from_tensors(tensors, 4, "rain.distillgan")
