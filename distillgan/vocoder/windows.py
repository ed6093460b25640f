"""Training windows: pieces of mels and the waves that belong to them, aligned."""

import torch
from torch import Tensor


def random_windows(mel: Tensor, wave: Tensor, hop: int, size: int, edge: int, chance: Tensor) -> tuple[Tensor, Tensor]:
    """mel [B, n_mels, T] and wave [B, 1, N ≥ T * hop] → [B, n_mels, size] and [B, 1, size * hop], a window an item.

    `chance` [B] in 0…1 says where each lies. The `edge` frames at either end, which saw the padding, are left out if
    there are others.
    """
    items, _, frames = mel.shape
    edge = min(edge, (frames - size) // 2)
    starts = edge + (chance * (frames - size - 2 * edge + 1)).long()
    window = starts[:, None] + torch.arange(size, device=mel.device)
    rows = torch.arange(items, device=mel.device)[:, None]
    target = wave[:, 0, : frames * hop].unflatten(-1, (frames, hop))[rows, window]
    return mel.transpose(1, 2)[rows, window].transpose(1, 2).contiguous(), target.reshape(items, 1, -1)
