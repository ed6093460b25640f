"""The DataModule of both trainings: random segments to train on, whole clips to validate on."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from distillgan.audio.augment import Augment
from distillgan.audio.mel import MelSpec
from distillgan.data.manifest import AudioClip
from distillgan.errors import number, whole

_HIDDEN_SHARE = 0.5  # of the segments that go all the way up, the part seen up to another clip's limit


def learnt_limits(clips: Sequence[AudioClip]) -> np.ndarray | None:
    """The frequencies in Hz up to which each clip can be learnt from, [clips]: its own limit, or infinity for all.

    None where all are alike. Where no clip goes all the way up, the widest ones show that there is nothing above them.
    """
    limits = np.array([clip.band_limit_hz or np.inf for clip in clips])
    limits[limits == limits.max()] = np.inf
    return limits if np.isfinite(limits).any() else None


class Segments(Dataset):
    """Segment number i, a pure function of (seed, i): which clip, where, how augmented.

    So every number drawn for a run follows from its step, and a resumed run sees what an unbroken one would have seen.

    Item: {"wave": float32 [1, samples], "rate": source mel frames per frame made (see `stretch_mel`), "clip": int}.
    Clips are drawn by length (one shorter than a segment counts as one segment and is padded, at a random place), times
    their `weights`, where there are any.

    Where some clips do not go as far up as others an item has two frequencies in Hz besides, infinity for none:
    "limit", up to which it shows what sound is, and "seen", up to which a model should look at it. For half of those
    that go all the way up that is the limit of another clip, so that a model learns what is likely to be above.
    """

    def __init__(
        self,
        clips: Sequence[AudioClip],
        samples: int,
        augment: Augment,
        seed: int,
        weights: Sequence[float] | None = None,
    ):
        self.clips = list(clips)
        self.samples = samples
        self.augment = augment
        self.seed = seed
        shares = np.array([max(clip.length, samples) for clip in self.clips], dtype=np.float64)
        shares *= 1.0 if weights is None else np.asarray(weights)
        self.cumulative = np.cumsum(shares / shares.sum())
        self.limits = learnt_limits(self.clips)

    def __getitem__(self, index: int) -> dict:
        rng = np.random.default_rng([self.seed, index])
        number = min(int(np.searchsorted(self.cumulative, rng.random(), side="right")), len(self.clips) - 1)
        change = self.augment.draw(rng)
        source = self._cut(self.clips[number], self.augment.source_length(self.samples, change), rng)
        wave = self.augment.wave(source, self.samples, change, rng)
        item = {"wave": torch.from_numpy(wave)[None], "rate": np.float32(change.rate), "clip": number}
        if self.limits is not None:
            item["limit"] = np.float32(change.pitch * self.limits[number])
            item["seen"] = min(item["limit"], self._hidden(rng))
        return item

    def _hidden(self, rng: np.random.Generator) -> np.float32:
        hidden = rng.choice(self.limits[np.isfinite(self.limits)])
        return np.float32(hidden if rng.random() < _HIDDEN_SHARE else np.inf)

    def _cut(self, clip: AudioClip, count: int, rng: np.random.Generator) -> np.ndarray:
        spare = clip.length - count
        if spare < 0:
            wave = np.zeros(count, np.float32)
            place = int(rng.integers(0, -spare + 1))
            wave[place : place + clip.length] = clip.read(0, clip.length)
            return wave
        # Draws past the ends are moved onto them: otherwise the first attack and the last decay are hardly ever seen.
        reach = count // 8
        start = int(np.clip(rng.integers(-reach, spare + reach + 1), 0, spare))
        return clip.read(start, count)


class StepSampler(Sampler[int]):
    """Segment numbers of one virtual epoch, counted on from the training steps already done, a share for each rank."""

    def __init__(self, data: "AudioDataModule"):
        self.data = data

    def __len__(self) -> int:
        return self.data.epoch_steps * self.data.batch_size

    def __iter__(self) -> Iterator[int]:
        trainer = self.data.trainer
        world = trainer.world_size if trainer else 1
        rank = trainer.global_rank if trainer else 0
        first = (trainer.lightning_module.steps_done if trainer else 0) * self.data.batch_size
        for index in range(first, first + len(self)):
            yield index * world + rank


class WholeClips(Dataset):
    """Each clip from its start, at most `seconds` long, padded to whole mel frames: {"wave": [1, samples], "clip"}.

    Where some of them have a limit also "limit": the frequency in Hz up to which it holds anything, infinity for all.
    """

    def __init__(self, clips: Sequence[AudioClip], spec: MelSpec, seconds: float):
        self.clips = list(clips)
        self.hop = spec.hop_length
        self.limit = max(self.hop * 4, int(seconds * spec.sample_rate) // self.hop * self.hop)
        self.limited = any(clip.band_limit_hz for clip in self.clips)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> dict:
        clip = self.clips[number]
        frames = max(4, -(-min(clip.length, self.limit) // self.hop))
        item = {"wave": torch.from_numpy(clip.read(0, frames * self.hop))[None], "clip": number}
        return item | ({"limit": np.float32(clip.band_limit_hz or np.inf)} if self.limited else {})


class AudioDataModule(LightningDataModule):
    """Batches {"wave": float32 [B, 1, samples], "rate": [B], "clip": [B]} and what else Segments has.

    Args:
        train, held_out: clips to train on and to validate on; without held-out clips these are the training clips.
        spec: the mel of the run.
        augment: the changes drawn for each segment.
        batch_size: segments a step (on each rank).
        segment_frames: mel frames of a segment after stretching; waves are cut `augment.widest_rate` times longer.
        epoch_steps: steps of a virtual epoch.
        validation_seconds: the longest piece of a clip that is validated on.
        num_workers: loading processes; 0 loads in the training process.
        seed: of the segments.
        weights: of the training clips, how much more often than by its length each is drawn.
    """

    def __init__(
        self,
        train: Sequence[AudioClip],
        held_out: Sequence[AudioClip],
        spec: MelSpec,
        augment: Augment,
        batch_size: int,
        segment_frames: int,
        epoch_steps: int,
        validation_seconds: float,
        num_workers: int,
        seed: int,
        weights: Sequence[float] | None = None,
    ):
        super().__init__()
        whole("batch_size", batch_size, 1)
        whole("segment_frames", segment_frames, 8)
        whole("epoch_steps", epoch_steps, 1)
        whole("num_workers", num_workers, 0)
        whole("seed", seed, 0)
        number("validation_seconds", validation_seconds, 0.001)
        self.batch_size = batch_size
        self.epoch_steps = epoch_steps
        self.num_workers = num_workers
        stretched = augment.widest_rate != 1.0
        frames = int(np.ceil(segment_frames * augment.widest_rate)) + 1 if stretched else segment_frames
        self.segments = Segments(train, frames * spec.hop_length, augment, seed, weights)
        self.judged_on = "held-out files" if held_out else "training files"
        self.judged = WholeClips(held_out or train, spec, validation_seconds)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(
            self.segments,
            batch_size=self.batch_size,
            sampler=StepSampler(self),
            num_workers=self.num_workers,
            persistent_workers=False,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader:
        # Of several processes each takes all: the same clips with the same weights, so one result.
        return DataLoader(self.judged, batch_size=1, shuffle=False)
