"""What a vocoder has to beat.

python -m distillgan.evaluate … vocoders=[auto,experiments.yardsticks:griffin_lim]
"""

from experiments.yardsticks.phases import griffin_lim

__all__ = ["griffin_lim"]
