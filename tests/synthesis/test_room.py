"""Six walls: each image is the source mirrored, and none comes too late."""

import numpy as np
import pytest

from distillgan.synthesis.spatial.binaural import WALLS, images, latest, reflection


def test_an_image_is_as_far_from_the_ear_as_the_way_by_its_wall():
    """The shortest way from the source by a wall to the head, sought on the wall."""
    source = np.array([1.2, -0.7, 0.4])
    for image, (axis, wall) in zip(images(source), [(a, w) for a in range(3) for w in WALLS[a]], strict=True):
        grid = np.linspace(-6, 6, 1201)
        spots = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1)
        spots = np.insert(spots.reshape(-1, 2), axis, wall, axis=1)
        ways = np.linalg.norm(spots - source, axis=1) + np.linalg.norm(spots, axis=1)
        assert np.linalg.norm(image) == pytest.approx(ways.min(), abs=1e-4)
        assert image[axis] * wall > 0  # and heard from where the wall is


def test_reflections_are_later_than_the_source_and_within_the_bound():
    rng = np.random.default_rng(0)
    for distance in np.geomspace(0.2, 100, 40):
        directions = np.concatenate([rng.standard_normal((20, 3)), np.eye(3), -np.eye(3)])
        for direction in directions / np.linalg.norm(directions, axis=1, keepdims=True):
            longer = np.linalg.norm(images(distance * direction), axis=1) - distance
            assert longer.shape == (6,) and longer.min() > 0 and longer.max() <= latest() + 1e-9


def test_no_two_reflections_of_a_source_in_front_come_together():
    ways = np.sort(np.linalg.norm(images(np.array([1.5, 0.0, 0.0])), axis=1))
    assert np.diff(ways).min() > 0.2


def test_walls_take_the_highs():
    assert np.abs(reflection(np.array([0.0, 5000.0]))) == pytest.approx([1, np.sqrt(0.5)])
