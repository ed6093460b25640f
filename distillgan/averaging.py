"""Weights averaged over a training: steadier than any single step's, and what is judged and packed."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the network's weights; call `update_parameters(network)` after each step.

    The decay rises from 0.1 to `decay`, so that the first weights do not linger in a short run.
    """

    @torch.no_grad()
    def update(average: list[Tensor], current: list[Tensor], count) -> None:
        ramp = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(average, current, 1 - ramp)

    return AveragedModel(network, multi_avg_fn=update).requires_grad_(False)
