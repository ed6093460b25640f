"""trainer.precision=bf16-mixed: networks in bfloat16 where that is safe, and everything that is measured at 32 bits."""

import pytest
import torch
from support import tiny

from distillgan.errors import UserError
from distillgan.models.modelfile import read_model
from distillgan.models.vae.module import VAEModule
from distillgan.models.vocoders.module import VocoderModule
from distillgan.training.pipeline import train

pytestmark = pytest.mark.slow


def test_mixed_precision_learns_the_same_and_measures_at_32_bits(trained, tmp_path, recordings, monkeypatch):
    seen = {}

    def watch(cls, *parts):
        """Notes the types of what these parts are given, and of what they make of it, while they train."""

        def on_train_start(module, begin=cls.on_train_start):
            for part in parts:
                getattr(module, part).register_forward_hook(
                    lambda _, given, made, part=part: seen.setdefault(part, set()).update(_types([*given, made]))
                )
            begin(module)

        monkeypatch.setattr(cls, "on_train_start", on_train_start)

    watch(VAEModule, "reconstruction_loss", "mel")
    watch(VocoderModule, "mel_l1", "mel_multi", "generator", "discriminators")
    error = train(tiny(tmp_path, recordings, "vocoder=hifigan", "trainer.precision=bf16-mixed"))
    assert seen.pop("discriminators") == {torch.float32, torch.bfloat16}, "waves at 32 bits in, scores and features out"
    assert len(seen) >= 4 and all(types == {torch.float32} for types in seen.values()), seen
    home, error_at_32_bits = trained
    assert error == pytest.approx(error_at_32_bits, rel=0.01)
    plain, mixed = (read_model(place / "models" / "tiny.distillgan", "vae.")[1] for place in (home, tmp_path))
    assert all(plain[name].dtype == mixed[name].dtype for name in plain)
    assert any(not torch.equal(plain[name], mixed[name]) for name in plain), "it was trained at 32 bits"


def _types(values) -> set[torch.dtype]:
    """Of all floating tensors, within lists too."""
    if isinstance(values, torch.Tensor):
        return {values.dtype} if values.is_floating_point() else set()
    return set().union(*map(_types, values)) if isinstance(values, list | tuple) else set()


@pytest.mark.parametrize("precision", ["bf16-true", "16-mixed", "64-true", "16", "null"])
def test_other_precisions_are_refused(tmp_path, recordings, precision):
    said = f"precision={'None' if precision == 'null' else precision} must be 32-true or bf16-mixed"
    with pytest.raises(UserError, match=said):
        train(tiny(tmp_path, recordings, f"trainer.precision={precision}"))
