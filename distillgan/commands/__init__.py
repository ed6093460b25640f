"""Verbs of the `distillgan` command that keep house: no Hydra, no torch unless they need it."""
