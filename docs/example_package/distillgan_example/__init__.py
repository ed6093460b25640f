"""An example of a package that brings a latent model and a vocoder: see docs/plugins.md of distillgan."""
