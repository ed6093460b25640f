"""After the VAE: the corpus's moments are described and each slider is tried, on sound that the model renders."""

import time

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from torch import Tensor

from distillgan.audio.lowpass import band_limited
from distillgan.audio.mel import MelSpec, silent_above
from distillgan.checks import number, whole
from distillgan.latent.analysis import Analyser
from distillgan.latent.corpus import CorpusLatents
from distillgan.latent.sliders import Analysis, Slider
from distillgan.progress import progress_bar
from distillgan.vae.network import VAENetwork
from distillgan.vocoder.base import Vocoder
from distillgan.vocoder.weights_file import UNIVERSAL, read_packaged


def analyse(
    network: VAENetwork,
    spec: MelSpec,
    corpus: CorpusLatents,
    own: Vocoder | None,
    settings: DictConfig,
    console: Console,
    limit: float = 0.0,
) -> Analysis | None:
    """What `latent/` finds in the corpus, heard through the universal vocoder, or the model's own for another mel.

    settings: the node `analysis`; limit: Hz, above which new sound has nothing, 0 for none.

    None, with a word on why, if there is no vocoder for this mel.
    Raises UserError if a setting is out of range.
    """
    seconds, seeds, probes = checked(settings)
    universal, vocoder = read_packaged(UNIVERSAL), own
    if universal is not None and universal.spec == spec:
        vocoder = universal.vocoder().to(next(network.parameters()).device)
    if vocoder is None:
        console.print("analysis: no vocoder for this mel yet, so the model has no sliders; train one, then train again")
        return None

    def play(mel: Tensor) -> np.ndarray:
        if not limit:
            return vocoder.render(mel)[0, 0].float().cpu().numpy()
        wave = vocoder.render(silent_above(mel, spec, limit))[0].float().cpu().numpy()
        return next(band_limited([wave], spec.sample_rate, limit, wave.shape[1]))[0]

    begun = time.perf_counter()
    with progress_bar(console, "analysis") as progress:
        analysis = Analyser(network, spec, corpus, play, seconds, seeds, probes).run(progress)
    console.print(f"analysis: {_found(analysis)} ({time.perf_counter() - begun:.0f} s)", markup=False)
    return analysis


def checked(settings: DictConfig) -> tuple[float, int, int]:
    """Seconds, seeds and probes. Raises UserError if one is out of range."""
    return (
        number("analysis.seconds", settings.seconds, 0.2, 60),
        whole("analysis.seeds", settings.seeds, 1, 100),
        whole("analysis.probes", settings.probes, 1, 1000),
    )


def _found(analysis: Analysis) -> str:
    sliders = [slider for slider in analysis.sliders() if not slider.name.startswith("axis")]
    active = [slider.name for slider in sliders if slider.reason is None]
    return f"{len(analysis.axes.spread)} axes; sliders {', '.join(active) or 'none'}" + _inactive(sliders)


def _inactive(sliders: list[Slider]) -> str:
    names = [slider.name for slider in sliders if slider.reason is not None]
    return f"; inactive {', '.join(names)}" if names else ""
