"""A sound that comes block by block through long filters, in constant memory, whatever the blocks are."""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

_LEAST_STEP = 1 << 14  # samples convolved at once


def evenly(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Blocks [C, n] of any lengths → the same samples in blocks of `size`, the last one shorter.

    What is computed on them cannot depend on how the sound was cut. A block yielded is a copy.
    """
    waiting, held = [], 0
    for block in blocks:
        while block.shape[1]:
            part, block = np.split(block, [size - held], axis=1)
            waiting.append(part)
            held += part.shape[1]
            if held == size:
                yield np.concatenate(waiting, axis=1)
                waiting, held = [], 0
    if held:
        yield np.concatenate(waiting, axis=1)


def convolved(blocks: Iterable[np.ndarray], filters: np.ndarray, lead: int) -> Iterator[np.ndarray]:
    """Blocks float32 [I, n] through `filters` [O, I, K] → blocks float32 [O, n], as many samples in all.

    Each output is the sum of all inputs, each through its own filter, `lead` samples early: what a filter has at
    `lead` happens at once. Nothing comes before the sound's beginning or after its end. Overlap-save (Oppenheim &
    Schafer, "Discrete-Time Signal Processing", 8.7.3), in float64.
    """
    from scipy import fft  # a third of a second that who convolves nothing need not wait

    inputs, taps = filters.shape[1:]
    size = fft.next_fast_len(taps - 1 + max(_LEAST_STEP, 3 * taps), real=True)
    spectra = fft.rfft(filters.astype(np.float64), size)
    before = np.zeros((inputs, taps - 1))
    early = lead  # samples of the output that are still to be left out; as many come after the sound's end
    for block in evenly(chain(blocks, [np.zeros((inputs, lead), np.float32)]), size - taps + 1):
        count = block.shape[1]
        joined = np.concatenate([before, block], axis=1)
        before = joined[:, count:]
        spectrum = np.einsum("oif,if->of", spectra, fft.rfft(joined, size))
        made = fft.irfft(spectrum, size)[:, taps - 1 + early : taps - 1 + count]
        early = 0  # no block but the last is shorter than a filter
        if made.shape[1]:
            yield made.astype(np.float32)
