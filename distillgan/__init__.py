"""distillgan: train a small generative model on your own recordings and play it."""

import sys

__version__ = "0.2.0"
__all__ = ["Clip", "Model", "load", "train"]

from distillgan import process

process.settle()  # every way into the package comes by here, before torch is loaded

if sys.argv[:1] == ["-m"] and "".join(sys.orig_argv).partition("-m")[2].startswith("distillgan"):
    # `python -m distillgan.train`: this comes before that module, which takes seconds to be imported.
    from distillgan.process import leave_while_importing

    leave_while_importing()

from distillgan.api import Clip, Model, load, train  # noqa: E402
