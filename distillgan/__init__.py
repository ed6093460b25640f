"""distillgan: train a small generative model on your own recordings and play it."""

__version__ = "0.1.0"
