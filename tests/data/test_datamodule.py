"""What a training hears: the same stream however it is loaded, split over ranks, or broken off and resumed."""

from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import soundfile
import torch

from distillgan.audio.augment import Augment
from distillgan.audio.mel import MelSpec
from distillgan.data.datamodule import AudioDataModule
from distillgan.data.manifest import HELD_OUT, TRAIN
from distillgan.data.scan import scan
from distillgan.errors import UserError

SPEC = MelSpec()
RATE, HOP = SPEC.sample_rate, SPEC.hop_length
FRAMES = 16
SAMPLES = FRAMES * HOP
LENGTHS = (SAMPLES * 3, SAMPLES * 5 + 77, SAMPLES * 2, SAMPLES * 4, SAMPLES * 6 + 1, SAMPLES, SAMPLES * 3 + 9)


def augment(**values) -> Augment:
    settings = {
        "shift_probability": 0.0,
        "pitch_semitones": 2.0,
        "time_stretch": (0.9, 1.1),
        "gain_db": 0.0,
        "noise_probability": 0.0,
        "noise_snr_db": (20.0, 50.0),
        "polarity_probability": 0.0,
    }
    return Augment(**{**settings, **values})


ALL = augment(shift_probability=0.5, gain_db=6.0, noise_probability=0.3, polarity_probability=0.5)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """(train, held out) clips of seven files, each a tone of its own frequency, 500 Hz apart."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, length in enumerate(LENGTHS):
        wave = 0.3 * np.sin(2 * np.pi * 500 * (number + 1) * np.arange(length) / RATE)
        soundfile.write(folder / f"{number}.wav", wave, RATE, subtype="FLOAT")
    manifest = scan(folder / ".", folder / "cache")
    clips = {split: manifest.clips(folder / "cache", split) for split in (TRAIN, HELD_OUT)}
    assert (len(clips[TRAIN]), len(clips[HELD_OUT])) == (6, 1)
    return clips


def clips_of(tmp_path, *waves: np.ndarray):
    """One training clip each, as the real road makes it; its gain is undone, so that samples stay what they are."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, wave in enumerate(waves):
        soundfile.write(folder / f"{number}.wav", wave, RATE, subtype="FLOAT")
    clips = scan(folder, tmp_path / "cache").clips(tmp_path / "cache", TRAIN)
    assert [clip.length for clip in clips] == [len(wave) for wave in waves]
    return clips


def module(train, held_out=(), **values) -> AudioDataModule:
    settings = {
        "spec": SPEC,
        "augment": augment(),
        "batch_size": 4,
        "segment_frames": FRAMES,
        "epoch_steps": 5,
        "validation_seconds": 10.0,
        "num_workers": 0,
        "seed": 1,
    }
    return AudioDataModule(train, held_out, **{**settings, **values})


def at_step(data: AudioDataModule, steps: int, world: int = 1, rank: int = 0) -> AudioDataModule:
    """The module as a trainer of `world` ranks sees it after `steps` training steps."""
    data.trainer = SimpleNamespace(
        world_size=world, global_rank=rank, lightning_module=SimpleNamespace(steps_done=steps)
    )
    return data


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def pitch(wave: torch.Tensor) -> float:
    """Hz of the strongest bin."""
    spectrum = np.abs(np.fft.rfft(wave.numpy().ravel() * np.hanning(wave.numel()), 1 << 15))
    return int(spectrum.argmax()) * RATE / (1 << 15)


def test_an_item_is_a_pure_function_of_seed_and_index(corpus):
    first, second = (module(corpus[TRAIN], augment=ALL).segments for _ in range(2))
    late = [first[index]["wave"] for index in (9, 3)]
    assert torch.equal(second[3]["wave"], late[1]) and torch.equal(second[9]["wave"], late[0])
    assert not torch.equal(*late)
    other = module(corpus[TRAIN], augment=ALL, seed=2).segments
    assert not torch.equal(other[3]["wave"], second[3]["wave"])


def test_shapes(corpus):
    data = module(corpus[TRAIN], augment=ALL, batch_size=3)
    batches = list(data.train_dataloader())
    assert len(batches) == len(data.train_dataloader()) == 5
    for batch in batches:
        assert batch["wave"].shape[:2] == (3, 1) and batch["wave"].dtype == torch.float32
        assert batch["rate"].shape == batch["clip"].shape == (3,)
        assert batch["wave"].shape[2] // HOP >= FRAMES * float(batch["rate"].max())
    plain = next(iter(module(corpus[TRAIN]).train_dataloader()))
    assert plain["wave"].shape == (4, 1, SAMPLES) and (plain["rate"] == 1).all()


def test_epochs_count_on(corpus):
    data = module(corpus[TRAIN], augment=ALL)
    stream = [item for steps in (0, 5, 10) for item in at_step(data, steps).train_dataloader()]
    long = list(module(corpus[TRAIN], augment=ALL, epoch_steps=15).train_dataloader())
    assert len(stream) == 15 and all(same(a, b) for a, b in zip(stream, long, strict=True))
    assert not any(same(a, b) for a, b in zip(stream[:5], stream[5:10], strict=True))


class Listener(L.LightningModule):
    """Keeps what it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.steps_done = 0
        self.heard, self.judged = [], []

    def training_step(self, batch, batch_idx):
        self.heard.append(batch)
        self.steps_done += 1
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.judged.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_save_checkpoint(self, checkpoint):
        checkpoint["steps_done"] = self.steps_done

    def on_load_checkpoint(self, checkpoint):
        self.steps_done = checkpoint["steps_done"]


def trainer(steps: int, folder) -> L.Trainer:
    return L.Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        devices=1,
        logger=False,
        check_val_every_n_epoch=None,
        val_check_interval=3,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stop", [5, 7])
def test_a_resumed_training_hears_what_an_unbroken_one_hears(corpus, tmp_path, stop):
    """Twelve steps in epochs of five, broken off at the end of one or within one."""
    unbroken = Listener()
    trainer(12, tmp_path).fit(unbroken, module(corpus[TRAIN], corpus[HELD_OUT], augment=ALL))
    numbered = module(corpus[TRAIN], augment=ALL, epoch_steps=12)
    assert all(same(a, b) for a, b in zip(unbroken.heard, numbered.train_dataloader(), strict=True))
    assert len(unbroken.judged) == 4

    broken, resumed = Listener(), Listener()
    first = trainer(stop, tmp_path)
    first.fit(broken, module(corpus[TRAIN], augment=ALL))
    first.save_checkpoint(tmp_path / "last.ckpt")
    second = trainer(12, tmp_path)
    second.fit(resumed, module(corpus[TRAIN], augment=ALL), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert len(broken.heard) == stop
    assert all(same(a, b) for a, b in zip(broken.heard + resumed.heard, unbroken.heard, strict=True))


def test_ranks_share_the_stream(corpus):
    """Three ranks with batches of 2 hear, step by step, what one process with batches of 6 hears."""
    whole = at_step(module(corpus[TRAIN], augment=ALL, batch_size=6), 4)
    ranks = [at_step(module(corpus[TRAIN], augment=ALL, batch_size=2), 4, world=3, rank=rank) for rank in range(3)]
    for batch, *parts in zip(whole.train_dataloader(), *(data.train_dataloader() for data in ranks), strict=True):
        alone = sorted(wave.numpy().tobytes() for wave in batch["wave"])
        shared = sorted(wave.numpy().tobytes() for part in parts for wave in part["wave"])
        assert alone == shared and len(set(alone)) == 6


def test_workers_load_the_same(corpus):
    alone = list(module(corpus[TRAIN], augment=ALL).train_dataloader())
    workers = list(module(corpus[TRAIN], augment=ALL, num_workers=2).train_dataloader())
    assert all(same(a, b) for a, b in zip(alone, workers, strict=True))


def test_clips_are_drawn_by_length(tmp_path):
    """A clip shorter than a segment counts as one segment."""
    rng = np.random.default_rng(6)
    clips = clips_of(tmp_path, *(0.1 * rng.standard_normal(length) for length in (8 * SAMPLES, 3 * SAMPLES, 2205)))
    segments = module(clips).segments
    drawn = np.bincount([segments[index]["clip"] for index in range(2400)], minlength=3) / 2400
    assert drawn == pytest.approx([8 / 12, 3 / 12, 1 / 12], abs=0.035)


def test_a_short_clip_is_padded_at_random_places(tmp_path):
    wave = 0.3 * np.random.default_rng(7).uniform(-1, 1, 3000).astype(np.float32)
    (clip,) = clips_of(tmp_path, wave)
    segments = module([clip]).segments
    places = []
    for index in range(200):
        made = segments[index]["wave"].numpy()[0]
        assert made.shape == (SAMPLES,)
        place = int(made.nonzero()[0][0])
        places.append(place)
        assert np.array_equal(made[place : place + 3000], wave * np.float32(clip.gain))
        assert not made[:place].any() and not made[place + 3000 :].any()
    spare = SAMPLES - 3000
    assert min(places) < spare * 0.05 and max(places) > spare * 0.95
    assert np.histogram(places, bins=4, range=(0, spare))[0].min() > 30


def test_every_part_of_a_file_is_heard_its_ends_included(tmp_path):
    """Each sample's value tells its place; the ends are no rarer than a place in the middle, within a factor."""
    length = 10 * SAMPLES
    wave = (0.4 * np.sin(60 * np.pi * (1 + np.arange(length) / length) ** 2)).astype(np.float32)
    (clip,) = clips_of(tmp_path, wave)
    scaled = wave * np.float32(clip.gain)
    segments = module([clip]).segments
    heard = np.zeros(length, int)
    for index in range(600):
        made = segments[index]["wave"].numpy()[0]
        start = int(np.argmin(sum(np.abs(scaled[at : length - SAMPLES + 1 + at] - made[at]) for at in range(8))))
        assert np.allclose(made, scaled[start : start + SAMPLES], atol=1e-6)
        heard[start : start + SAMPLES] += 1
    assert heard.min() > 0
    assert heard[[0, -1]].min() > 0.05 * np.median(heard)


def test_a_segment_as_long_as_its_clip_is_the_clip(tmp_path):
    wave = (0.3 * np.random.default_rng(8).standard_normal(SAMPLES)).astype(np.float32)
    (clip,) = clips_of(tmp_path, wave)
    segments = module([clip]).segments
    for index in range(20):
        assert np.array_equal(segments[index]["wave"].numpy()[0], wave * np.float32(clip.gain))


def test_held_out_clips_are_judged_and_never_trained_on(corpus):
    data = module(corpus[TRAIN], corpus[HELD_OUT], epoch_steps=40)
    (judged,) = list(data.val_dataloader())
    hidden = 500 * (int(corpus[HELD_OUT][0].name[0]) + 1)
    assert pitch(judged["wave"]) == pytest.approx(hidden, abs=3)
    heard = {round(pitch(wave) / 500) for batch in data.train_dataloader() for wave in batch["wave"]}
    assert heard == {int(clip.name[0]) + 1 for clip in corpus[TRAIN]}
    assert hidden // 500 not in heard


def test_without_held_out_clips_the_training_clips_are_judged(corpus):
    data = module(corpus[TRAIN])
    assert [int(batch["clip"]) for batch in data.val_dataloader()] == list(range(6))


def test_whole_clips_are_padded_to_frames(corpus):
    clips = corpus[TRAIN]
    for clip, batch in zip(clips, module(clips).val_dataloader(), strict=True):
        wave = batch["wave"][0, 0].numpy()
        assert batch["wave"].shape == (1, 1, -(-clip.length // HOP) * HOP)
        assert np.array_equal(wave[: clip.length], clip.read(0, clip.length))
        assert not wave[clip.length :].any()


def test_of_a_long_clip_its_first_seconds_are_judged(corpus):
    seconds = 2 * SAMPLES / RATE
    waves = [batch["wave"] for batch in module(corpus[TRAIN], validation_seconds=seconds).val_dataloader()]
    assert max(wave.shape[-1] for wave in waves) <= 2 * SAMPLES
    assert sum(wave.shape[-1] > SAMPLES for wave in waves) == 6 - sum(c.length <= SAMPLES for c in corpus[TRAIN])
    assert np.array_equal(waves[0][0, 0].numpy(), corpus[TRAIN][0].read(0, waves[0].shape[-1]))


def test_the_shortest_clip_is_long_enough_for_a_mel(tmp_path):
    (clip,) = clips_of(tmp_path, np.float32(0.1) * np.sin(np.arange(2205, dtype=np.float32)))
    (batch,) = list(module([clip], validation_seconds=0.001).val_dataloader())
    assert batch["wave"].shape[-1] == 4 * HOP


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batch_size": 0}, "batch_size=0 must be a whole number of at least 1"),
        ({"segment_frames": 7}, "segment_frames=7 must be a whole number of at least 8"),
        ({"epoch_steps": 0}, "epoch_steps=0 must be a whole number of at least 1"),
        ({"num_workers": -1}, "num_workers=-1 must be a whole number of at least 0"),
        ({"seed": -1}, "seed=-1 must be a whole number of at least 0"),
    ],
)
def test_impossible_values(corpus, values, words):
    with pytest.raises(UserError, match=words):
        module(corpus[TRAIN], **values)
