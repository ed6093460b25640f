"""BigVGAN-v2 (Lee et al. 2023): a universal vocoder. `PIN` names the release that it agrees with."""
