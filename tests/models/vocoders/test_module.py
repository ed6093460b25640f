"""The training module: what each step may touch, what it learns, and that a resumed run equals an unbroken one."""

import math
import warnings
from pathlib import Path

import hydra
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from omegaconf import OmegaConf
from support import composed
from torch.utils.data import DataLoader

from distillgan.audio.mel import log1p_to_log_clamp, to_log_clamp
from distillgan.errors import UserError
from distillgan.models.vocoders.hifigan import HiFiGANVocoder
from distillgan.models.vocoders.module import VocoderModule

MEL = {
    "sample_rate": 44100,
    "n_fft": 512,
    "hop_length": 128,
    "n_mels": 32,
    "f_min": 0.0,
    "f_max": 22050.0,
    "log1p_gain": 1000.0,
}
GENERATORS = {
    "hifigan": {
        "generator.upsample_rates": [8, 4, 4],
        "generator.upsample_kernel_sizes": [16, 8, 8],
        "generator.upsample_initial_channel": 16,
        "generator.resblock_kernel_sizes": [3, 5],
        "generator.resblock_dilation_sizes": [[1, 3], [1, 3]],
    },
    "harmonic": {"generator.channels": 32, "generator.layers": 2, "generator.projections": 1},
}
TINY = {
    "discriminators.width": 0.02,
    "mel_multi.n_ffts": [128, 512],
    "mel_multi.n_mels": [16, 64],
    "module.segment_size": 2048,
    "module.warm_learning_rate": 4e-3,
    "module.learning_rate": 2e-3,
    "adversarial_from_step": 0,
    "data.batch_size": 4,
}


def build(name: str = "hifigan", **changes) -> VocoderModule:
    config = composed("train", Path("unused"), f"vocoder={name}")
    config.seed, config.mel = 7, MEL
    OmegaConf.set_struct(config, False)  # a test may add a key that does not belong
    for key, value in (GENERATORS[name] | TINY | {k.replace("__", "."): v for k, v in changes.items()}).items():
        OmegaConf.update(config.vocoder, key, value, force_add=False)
    torch.manual_seed(0)
    return hydra.utils.instantiate(config.vocoder.module, _convert_="all")


def tones(items: int = 4, samples: int = 8192) -> torch.Tensor:
    time = torch.arange(samples) / MEL["sample_rate"]
    hertz = 300.0 * 2 ** torch.arange(items)
    return (0.4 * torch.sin(2 * math.pi * hertz[:, None] * time)).unsqueeze(1)


class Tones(LightningDataModule):
    """The same batches in the same order, from the `first`-th on."""

    def __init__(self, batches: int, first: int = 0, wave=tones):
        super().__init__()
        self.batches = [{"wave": torch.roll(wave(), 97 * i, -1), "name": "x"} for i in range(first, first + batches)]

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    def val_dataloader(self):
        return DataLoader([{"wave": tones(1, 8192 + 77)}], batch_size=None)


def trainer(**options) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Trainer(
            **quiet
            | {"accelerator": "cpu", "max_epochs": 1, "enable_checkpointing": False, "limit_val_batches": 0}
            | options
        )


class Record(Callback):
    """Every training step's logged values, and what came back from it."""

    def __init__(self):
        self.values, self.losses = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append({key: float(value) for key, value in trainer.callback_metrics.items()})
        self.losses.append(float(outputs["loss"]))


pytestmark = pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning")


def fit(module, batches, first=0, wave=tones) -> Record:
    record = Record()
    trainer(callbacks=[record]).fit(module, Tones(batches, first, wave))
    return record


def grads(network) -> float:
    return sum(float(p.grad.abs().sum()) for p in network.parameters() if p.grad is not None)


def weights(network) -> dict:
    return {key: value.detach().clone() for key, value in network.state_dict().items()}


def equal(a: dict, b: dict) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


# --- what a step touches ---------------------------------------------------------------------------------------------


def test_each_network_gets_gradients_from_its_own_step_alone(monkeypatch):
    module, seen = build(), []
    step = VocoderModule._step

    def watched(self, loss, optimizer):
        self.zero_grad()
        before = weights(self.generator), weights(self.discriminators)
        step(self, loss, optimizer)
        after = weights(self.generator), weights(self.discriminators)
        seen.append(
            {
                "gradients": (grads(self.generator) > 0, grads(self.discriminators) > 0),
                "changed": (not equal(before[0], after[0]), not equal(before[1], after[1])),
            }
        )
        return True

    monkeypatch.setattr(VocoderModule, "_step", watched)
    fit(module, 2)
    of_discriminators = {"gradients": (False, True), "changed": (False, True)}
    of_generator = {"gradients": (True, False), "changed": (True, False)}
    assert seen == [of_discriminators, of_generator] * 2
    assert all(p.requires_grad for p in [*module.generator.parameters(), *module.discriminators.parameters()])


def test_one_generator_forward_serves_both_steps():
    module, calls = build(module__own_mels=0.0), []
    module.generator.register_forward_hook(lambda *_: calls.append(1))
    fit(module, 3)
    assert len(calls) == 3


def test_before_the_adversarial_phase_the_discriminators_rest():
    module, calls = build(adversarial_from_step=2), []
    module.discriminators.register_forward_hook(lambda *_: calls.append(module.steps_done))
    before = weights(module.discriminators)
    record = fit(module, 2)
    assert equal(before, weights(module.discriminators))
    assert calls == []
    assert "train/loss_adv" not in record.values[-1]
    record = fit(module, 1, first=2)
    assert set(calls) == {2}
    assert {"train/loss_adv", "train/loss_fm", "train/loss_disc", "train/disc_real_accuracy"} <= set(record.values[-1])


def test_real_and_fake_pass_through_one_disguise(monkeypatch):
    module, heard = build(), []
    module.discriminators.register_forward_pre_hook(lambda _, args: heard.append(args[0].detach().clone()))
    # A generator that is right already: whatever differs before the discriminators is the disguise.
    monkeypatch.setattr(VocoderModule, "_draw", lambda self, wave, random: (None, wave))
    scale = torch.nn.Parameter(torch.ones(()))
    module.generator.forward = lambda mel: tones() * scale + 0 * module.generator.conv_post.bias
    fit(module, 1)
    real, fake = heard
    assert torch.equal(fake, real)
    assert not torch.allclose(real, tones(), atol=1e-3)


# --- what it learns ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "share"), [("hifigan", 0.6), ("harmonic", 0.85)])
def test_a_short_training_lowers_the_mel_loss_on_fixed_tones(name, share):
    module = build(name, adversarial_from_step=30)
    if name == "harmonic":  # tones it plays without training: it has to learn not to add noise
        module.generator.head.bias.data += 3
    record = fit(module, 45)
    mel = [values["train/loss_mel"] for values in record.values]
    assert sum(mel[25:30]) < share * sum(mel[:5])
    assert sum(mel[40:]) < share * sum(mel[:5])  # and the discriminators do not undo it
    assert module.steps_done == 45
    assert record.values[-1]["train/steps_per_second"] > 0
    shares = ("train/loss_mel_multi", "train/loss_convergence")
    expected = 45 * (mel[0] + sum(record.values[0][name] for name in shares))
    assert record.losses[0] == pytest.approx(expected, rel=1e-4)


def test_the_learning_rate_decays_with_our_own_steps():
    module = build(module__decay_steps=2, module__lr_decay=0.5, adversarial_from_step=1)
    record = fit(module, 5)
    # The first step has the warm rate, twice the later one.
    assert [v["train/learning_rate"] / 2e-3 for v in record.values] == pytest.approx([2, 1, 0.5, 0.5, 0.25])
    rates = [optimizer.param_groups[0]["lr"] for optimizer in module.trainer.optimizers]
    assert rates == pytest.approx([5e-4, 5e-5])


def test_gradients_are_clipped_to_the_configured_norm():
    module, norms = build(module__gradient_clip=1e-3), []

    class Norm(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms.append(torch.stack([g.norm() for g in grads]).norm().item())

    record = Norm()
    trainer(callbacks=[record]).fit(module, Tones(1))
    assert norms == pytest.approx([1e-3, 1e-3], rel=1e-2)


def test_a_loss_that_is_not_finite_steps_nothing_and_is_told():
    module = build()
    before = weights(module)
    record = fit(module, 1, wave=lambda: tones() * torch.nan)
    assert math.isnan(record.losses[0])
    assert module.steps_done == 0
    learned = {key: value for key, value in weights(module).items() if not key.endswith(("_u", "_v"))}
    assert equal(learned, before)


# --- windows and own mels ---------------------------------------------------------------------------------------------


def test_windows_are_aligned_inside_and_their_wave_is_the_true_one():
    module = build(own_mels=0.0)
    hop, size = 128, 2048
    wave = torch.randn(200, 1, 64 * hop) * 0.1
    mel, target = module._draw(wave, torch.Generator().manual_seed(0))
    assert mel.shape == (200, 32, 16)
    assert target.shape == (200, 1, size)
    whole = to_log_clamp(module.mel(wave))
    starts = []
    for item in range(200):
        blocks = wave[item, 0].unfold(0, size, hop)
        start = int((blocks - target[item, 0]).abs().sum(dim=-1).argmin())
        assert torch.equal(blocks[start], target[item, 0])
        assert torch.equal(whole[item, :, start : start + 16], mel[item])
        starts.append(start)
    # Two frames at each end saw the padding of 192 samples.
    assert (min(starts), max(starts)) == (2, 64 - 16 - 2)
    assert len(set(starts)) > 35


def test_a_wave_of_just_one_window_is_used_and_a_shorter_one_refused():
    module = build()
    _, target = module._draw(tones(2, 2048), torch.Generator().manual_seed(0))
    assert torch.equal(target, tones(2, 2048))
    with pytest.raises(ValueError, match="1920 samples are too short for segment_size=2048"):
        module._draw(tones(2, 1920), torch.Generator().manual_seed(0))


def test_the_configured_share_of_mels_is_the_models_own():
    module = build(own_mels=0.25)
    wave = torch.randn(400, 1, 2048) * 0.1
    real, _ = module._draw(wave, torch.Generator().manual_seed(0))
    module.set_reconstruct(lambda x: x * 0.9)
    mixed, target = module._draw(wave, torch.Generator().manual_seed(0))
    assert torch.equal(target, wave)
    own = (mixed != real).flatten(1).any(dim=1)
    assert 0.18 < own.float().mean() < 0.32
    x = torch.log1p(MEL["log1p_gain"] * module.mel(wave[own]))
    assert torch.allclose(mixed[own], log1p_to_log_clamp(x * 0.9, module.spec), atol=1e-5)


def test_the_reconstruction_is_no_part_of_the_module():
    module = build()
    keys, parameters = set(module.state_dict()), len(list(module.parameters()))
    module.set_reconstruct(torch.nn.Conv1d(32, 32, 1))
    assert set(module.state_dict()) == keys
    assert len(list(module.parameters())) == parameters
    assert "reconstruct" not in str(dict(module.hparams))


# --- validation and preview -------------------------------------------------------------------------------------------


def test_validation_measures_real_and_own_mels():
    module = build()
    (without,) = trainer(limit_val_batches=1.0).validate(module, Tones(1), verbose=False)
    assert set(without) == {"val/mel_error", "val/mel_l1"}
    module.set_reconstruct(lambda x: x)
    (same,) = trainer(limit_val_batches=1.0).validate(module, Tones(1), verbose=False)
    assert same["val/mel_error_own"] == pytest.approx(same["val/mel_error"], rel=1e-3)
    module.averaged.module.forward = lambda mel: tones(1, 8192)
    (perfect,) = trainer(limit_val_batches=1.0).validate(module, Tones(1), verbose=False)
    assert perfect["val/mel_error"] == 0
    assert perfect["val/mel_l1"] == 0
    assert without["val/mel_error"] > 0.1


def test_preview_gives_what_a_listener_compares():
    module = build()
    wave = tones(1, 8192 + 77)
    shown = module.preview(wave)
    assert torch.equal(shown["target"], wave[..., :8192])
    assert shown["generated"].shape == (1, 1, 8192)
    assert shown["target_mel"].shape == shown["generated_mel"].shape == (32, 64)
    assert not shown["generated"].requires_grad


# --- resume -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATORS)
def test_stopped_and_resumed_equals_unbroken(name, tmp_path):
    """6 steps, and 3 + save + load + 3, across the start of the adversarial phase and a decay."""
    options = {"adversarial_from_step": 2, "module__decay_steps": 2, "module__lr_decay": 0.5}
    reconstruct = torch.nn.Identity()

    unbroken = build(name, **options)
    unbroken.set_reconstruct(reconstruct)
    first = fit(unbroken, 6)

    half = build(name, **options)
    half.set_reconstruct(reconstruct)
    run = trainer()
    run.fit(half, Tones(3))
    run.save_checkpoint(tmp_path / "half.ckpt")

    resumed = build(name, **options)
    resumed.set_reconstruct(reconstruct)
    torch.manual_seed(999)  # the global state plays no part
    record = Record()
    trainer(max_epochs=2, callbacks=[record]).fit(
        resumed, Tones(3, first=3), ckpt_path=tmp_path / "half.ckpt", weights_only=True
    )
    assert resumed.steps_done == unbroken.steps_done == 6
    assert record.losses == pytest.approx(first.losses[3:], rel=1e-5)
    for key, value in unbroken.state_dict().items():
        assert (value - resumed.state_dict()[key]).abs().max() < 1e-6, key
    assert not equal(weights(half), weights(resumed))


def test_a_checkpoint_holds_plain_types_only(tmp_path):
    module = build()
    run = trainer()
    run.fit(module, Tones(1))
    run.save_checkpoint(tmp_path / "one.ckpt")
    content = torch.load(tmp_path / "one.ckpt", weights_only=True)
    assert content["steps_done"] == 1
    assert content["hyper_parameters"]["betas"] == [0.8, 0.99]
    assert "generator" not in content["hyper_parameters"]


def test_what_was_trained_becomes_a_vocoder():
    module = build()
    fit(module, 2)
    state = module.generator.export_state()
    vocoder = HiFiGANVocoder.from_state(module.generator.args, state, module.spec)
    mel = torch.randn(1, 32, 20)
    assert torch.allclose(vocoder(mel), module.generator(mel), atol=1e-6)


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"module__segment_size": 1000}, "segment_size=1000 must be a multiple of mel.hop_length=128"),
        ({"own_mels": 1.5}, "own_mels=1.5 must be a number from 0 to 1"),
        ({"module__loss_weights": {"loss_mel": 1, "mell": 3}}, "loss_weights has"),
        ({"generator__num_mels": 80}, "num_mels=80, but the mel has n_mels=32"),
        ({"generator__upsample_rates": [8, 4, 8]}, "it makes 256 samples a frame"),
    ],
)
def test_a_wrong_value_is_named(changes, said):
    with pytest.raises((UserError, hydra.errors.InstantiationException), match=said):
        build(**changes)


def test_the_default_configuration_builds_v2_and_no_vocoder_is_a_choice():
    config = composed("train", Path("unused"), "vocoder=hifigan")
    config.vocoder.max_steps, config.vocoder.adversarial_from_step = 3, 0
    module = hydra.utils.instantiate(config.vocoder.module, _convert_="all")
    assert config.vocoder.data.segment_frames * 512 > module.hparams.segment_size == 8192
    assert module.generator.args["upsample_rates"] == [8, 8, 2, 2, 2]
    assert module.max_steps == config.vocoder.max_steps
    assert composed("train", Path("unused")).vocoder.name is None
