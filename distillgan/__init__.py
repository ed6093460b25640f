"""distillgan: train a small generative model on your own recordings and play it."""

from pathlib import Path

__version__ = "0.1.0"
__all__ = ["Clip", "Model", "load", "train"]

# distillgan.vendor lies in the package once installed from a wheel, and beside it in a checkout.
if not (Path(__file__).parent / "vendor").is_dir():
    __path__.append(str(Path(__file__).parents[1]))

from distillgan import threads

threads.settle()  # every way into the package comes by here, before torch is loaded

from distillgan.api import Clip, Model, load, train  # noqa: E402
