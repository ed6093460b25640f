"""The outline of a sound: its events in their places, its ends exact, whatever the length and the blocks."""

import numpy as np
import pytest

from distillgan.synthesis.export import COLUMNS, Thumbnail


def outline(frames: np.ndarray, cuts=(), gain: float = 1.0) -> np.ndarray:
    thumbnail = Thumbnail()
    for part in np.split(frames, cuts):
        if len(part):
            thumbnail.add(part)
    return np.frombuffer(thumbnail.to_bytes(gain), np.int8).reshape(-1, 2)


@pytest.mark.parametrize("samples", [1, 1000, 1024, 44100, 1024 * 800, 1024 * 800 + 1, 3_000_001])
def test_never_more_columns_than_there_is_room_for_and_the_ends_are_kept(samples):
    frames = np.random.default_rng(1).uniform(-0.4, 0.4, (samples, 2)).astype(np.float32)
    frames[samples // 2, 1], frames[samples // 3, 0] = 0.9, -0.8
    columns = outline(frames)
    assert 1 <= len(columns) <= COLUMNS and (samples < 1024 * COLUMNS or len(columns) >= COLUMNS // 2)
    assert columns[:, 1].max() == round(0.9 * 127) and columns[:, 0].min() == round(-0.8 * 127)


def test_the_blocks_do_not_matter():
    frames = np.random.default_rng(2).uniform(-1, 1, (2_000_000, 1)).astype(np.float32)
    assert (outline(frames) == outline(frames, [1, 500, 1024, 1_000_003])).all()


def test_events_are_where_they_are():
    frames = np.zeros((4_000_000, 1), np.float32)
    frames[1_000_000:2_000_000] = 0.5
    loud = np.flatnonzero(outline(frames)[:, 1]) / len(outline(frames))
    assert loud.min() == pytest.approx(0.25, abs=0.01) and loud.max() == pytest.approx(0.5, abs=0.01)


def test_gain_and_full_scale():
    frames = np.array([[2.0], [-2.0], [0.5]], np.float32)
    assert outline(frames).tolist() == [[-127, 127]] and outline(frames, gain=0.25).tolist() == [[-64, 64]]
