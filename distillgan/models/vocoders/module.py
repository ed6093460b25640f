"""Training of a vocoder against its discriminators, by manual optimisation (HiFi-GAN, Kong et al. 2020, 2.4)."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.parametrize import is_parametrized
from torch.optim import AdamW, Optimizer

from distillgan.audio.filters import below
from distillgan.audio.mel import MelSpec, MelSpectrogram, log1p_to_log_clamp, to_log1p, to_log_clamp
from distillgan.errors import UserError, number, pair, whole
from distillgan.models.base import averaged, check_tensors
from distillgan.models.vocoders.discriminators import DiscriminatorOutput, Discriminators
from distillgan.models.vocoders.losses import (
    MelL1,
    MultiScaleMelLoss,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    random_windows,
)
from distillgan.models.vocoders.trained import check_mel

_ANGLES = 33  # that a random phase response is drawn through, evenly spaced over the frequencies
_LOSSES = ("loss_mel", "loss_mel_multi", "loss_convergence", "loss_adv", "loss_fm")
_SPEED_MEMORY = 0.9
_VALIDATED_SAMPLES = 65536  # of a held-out clip, by the discriminators


@dataclass(frozen=True)
class WaveChange:
    """One random change of waves [B, 1, N]: gain [B, 1, 1], phase response [B, 1, N / 2 + 1] or None, noise [B, 1, N].

    Real and fake must pass through the same one, or the discriminators would learn to recognise changes.
    """

    gain: Tensor
    angle: Tensor | None
    noise: Tensor

    def __call__(self, wave: Tensor) -> Tensor:
        if self.angle is not None:
            turn = torch.polar(torch.ones_like(self.angle), self.angle)
            wave = torch.fft.irfft(torch.fft.rfft(wave) * turn, wave.shape[-1])
        return wave * self.gain + self.noise


class DiscriminatorAugment:
    """Random changes before the discriminators, which keep them from learning a small corpus by heart.

    After Karras et al. 2020, "Training GANs with limited data", section 2.

    Args:
        gain_db: the gain lies within ± this.
        phase_degrees: each frequency's phase is turned by an angle within ± this, smooth over the frequencies (after
            Lee et al. 2023, "PhaseAug", section 2): the sound stays, the wave does not. 0: not at all.
        noise_probability, noise_snr_db: white noise at an SNR uniform between these, relative to each item's real wave.

    Raises UserError if a value is out of range.
    """

    def __init__(
        self, gain_db: float, phase_degrees: float, noise_probability: float, noise_snr_db: tuple[float, float]
    ):
        key = "vocoder.discriminator_augment"
        self.gain_db = number(f"{key}.gain_db", gain_db, 0, 60)
        self.phase_degrees = number(f"{key}.phase_degrees", phase_degrees, 0, 180)
        self.noise_probability = number(f"{key}.noise_probability", noise_probability, 0, 1)
        self.noise_snr_db = pair(f"{key}.noise_snr_db", noise_snr_db)

    def draw(self, real: Tensor, random: torch.Generator) -> WaveChange:
        """`real` is the wave [B, 1, N] of the batch; every random number comes from `random`, on real's device."""
        shape = (real.shape[0], 1, 1)
        gain_db, snr, chance = (torch.rand(shape, generator=random, device=real.device) for _ in range(3))
        noise = torch.randn(real.shape, generator=random, device=real.device)
        angles = torch.rand((real.shape[0], 1, _ANGLES), generator=random, device=real.device)
        low, high = self.noise_snr_db
        gain = 10 ** ((2 * gain_db - 1) * self.gain_db / 20)
        level = (real * gain).square().mean(dim=-1, keepdim=True).sqrt() * 10 ** (-(low + (high - low) * snr) / 20)
        angle = None
        if self.phase_degrees:
            angles = (2 * angles - 1) * math.radians(self.phase_degrees)
            angle = F.interpolate(angles, size=real.shape[-1] // 2 + 1, mode="linear", align_corners=True)
        return WaveChange(gain, angle, noise * level * (chance < self.noise_probability))


def adversarial_losses(
    discriminators: Discriminators, real: Tensor, fake: Tensor, change: WaveChange, weights: Mapping[str, float]
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """One pass of the discriminators over waves [B, 1, N], from which both networks learn.

    Returns metrics, "loss_disc" among them with its graph; the generator's "loss_adv" and "loss_fm", without; and the
    gradient [B, 1, N] of the sum of these two, times their `weights`, with respect to `fake`.

    The textbook runs the discriminators again after their step, which costs as much again; here the generator learns
    from discriminators that are one step younger.
    """
    fake = fake.requires_grad_()
    reals, fakes = discriminators(change(real)), discriminators(change(fake))
    losses = {"loss_adv": generator_loss(_scores(fakes)), "loss_fm": feature_matching_loss(reals, fakes)}
    # With respect to the wave alone: none of the discriminators' own gradients, half of the work, is made.
    total = weights["loss_adv"] * losses["loss_adv"] + weights["loss_fm"] * losses["loss_fm"]
    (gradient,) = torch.autograd.grad(total, fake, retain_graph=True)
    metrics = {"loss_disc": discriminator_loss(_scores(reals), _scores(fakes)), **accuracies(reals, fakes)}
    return metrics, {name: loss.detach() for name, loss in losses.items()}, gradient


def accuracies(reals: Sequence[DiscriminatorOutput], fakes: Sequence[DiscriminatorOutput]) -> dict[str, Tensor]:
    """The shares of scores on the right side of 0.5, which lies between fake and real; the mean of all discriminators.

    On training data far above those on held-out sounds: the discriminators have learnt the corpus by heart.
    """
    return {
        "disc_real_accuracy": sum((score > 0.5).float().mean() for score in _scores(reals)) / len(reals),
        "disc_fake_accuracy": sum((score < 0.5).float().mean() for score in _scores(fakes)) / len(fakes),
    }


def _scores(outputs: Sequence[DiscriminatorOutput]) -> list[Tensor]:
    """At 32 bits, whatever precision they were found at."""
    return [score.float() for score, _ in outputs]


class VocoderModule(LightningModule):
    """Trains a generator on waves: {"wave": [B, 1, N] in -1…1} → logged losses; N at least `segment_size` samples.

    Steps are generator steps, counted in `steps_done` (Lightning's global_step counts every optimizer step). Every
    random number of a step comes from (seed, steps_done, rank), so a resumed run equals an unbroken one. Under mixed
    precision the discriminators alone work in bfloat16: a wave of 8 bits' precision would be noise to its own losses.

    Args:
        mel: the fields of MelSpec.
        generator: any as TrainedVocoder wants it, without weight norm; its weights are the starting point.
        loss_weights: a weight for each loss, keyed like the logged metrics.
        segment_size: samples of the window trained on, a multiple of the hop.
        own_mels: share of items whose mel has passed through `reconstruct` (see `set_reconstruct`), 0…1.
        adversarial_from_step: before this step the mel losses alone train the generator.
        warm_learning_rate: of the generator before that step: the mel losses alone bear more.
        learning_rate, discriminator_learning_rate, betas: of the two AdamW.
        lr_decay: factor on the learning rates after every `decay_steps` steps.
        ema_decay: of the averaged generator, which is what is validated, previewed and packed.
        gradient_clip: largest gradient norm of either network; None for no limit.
        max_steps: where the run ends; read by a callback.

    Raises UserError if the generator does not fit the mel, or a value does not fit its range.
    """

    def __init__(
        self,
        mel: dict,
        generator: torch.nn.Module,
        discriminators: Discriminators,
        mel_multi: MultiScaleMelLoss,
        augment: DiscriminatorAugment,
        loss_weights: dict[str, float],
        segment_size: int,
        own_mels: float,
        adversarial_from_step: int,
        warm_learning_rate: float,
        learning_rate: float,
        discriminator_learning_rate: float,
        betas: tuple[float, float],
        lr_decay: float,
        decay_steps: int,
        gradient_clip: float | None,
        ema_decay: float,
        max_steps: int,
        seed: int,
    ):
        super().__init__()
        self.save_hyperparameters(ignore=["generator", "discriminators", "mel_multi", "augment"])
        self.automatic_optimization = False
        self.spec = MelSpec.from_dict(mel)
        check_mel(generator, self.spec)
        if set(loss_weights) != set(_LOSSES):
            raise UserError(f"vocoder loss_weights has {sorted(loss_weights)}, expected {list(_LOSSES)}")
        for name, weight in loss_weights.items():
            number(f"loss_weights.{name}", weight, 0)
        whole("segment_size", segment_size, 1)
        number("own_mels", own_mels, 0, 1)
        if segment_size % self.spec.hop_length:
            raise UserError(
                f"vocoder segment_size={segment_size} must be a multiple of mel.hop_length={self.spec.hop_length}"
            )
        for key in ("warm_learning_rate", "learning_rate", "discriminator_learning_rate"):
            number(key, self.hparams[key], 0)
        pair("betas", betas, 0, 0.999999)
        number("lr_decay", lr_decay, 0, 1)
        whole("decay_steps", decay_steps, 1)
        number("ema_decay", ema_decay, 0, 1)
        generator.add_weight_norm()
        self.generator = generator
        self.averaged = averaged(generator, ema_decay)
        self.discriminators = discriminators
        self.mel = MelSpectrogram(self.spec)
        self.mel_l1 = MelL1(self.spec)
        self.mel_multi = mel_multi
        self.augment = augment
        self.max_steps = max_steps
        self.judged_from = 0
        self.steps_done = 0
        self._rate = 1.0
        self._reconstruct: Callable[[Tensor], Tensor] | None = None
        self._last_step_at: float | None = None
        self._steps_per_second: float | None = None

    def start_from(self, tensors: Mapping[str, Tensor], origin: str, rate: float) -> None:
        """Begin with a generator's plain weights, and `rate` times its learning rates.

        Raises UserError, naming `origin`, unless they are those of this generator.
        """
        check_tensors(tensors, self.generator.export_state(), origin)
        with torch.no_grad():
            for name, tensor in tensors.items():
                layer, _, leaf = name.rpartition(".")
                owner = self.generator.get_submodule(layer)
                if is_parametrized(owner, leaf):
                    setattr(owner, leaf, tensor)  # splits it into its norm and direction
                else:
                    getattr(owner, leaf).copy_(tensor)
        self.averaged = averaged(self.generator, self.hparams.ema_decay)
        self._rate = rate

    def set_reconstruct(self, reconstruct: Callable[[Tensor], Tensor] | None) -> None:
        """Give the model's own reconstruction, log1p mel [B, n_mels, T] → log1p mel [B, n_mels, T], on x's device.

        It is no part of this module: not in its parameters, its state or its checkpoints. None: real mels only.
        """
        # Past nn.Module.__setattr__, which would register a network as a child.
        object.__setattr__(self, "_reconstruct", reconstruct)

    def configure_optimizers(self) -> list[AdamW]:
        def adamw(network: torch.nn.Module, rate: float) -> AdamW:
            return AdamW(network.parameters(), lr=rate, betas=tuple(self.hparams.betas), fused=True)

        return [
            adamw(self.generator, self.hparams.learning_rate),
            adamw(self.discriminators, self.hparams.discriminator_learning_rate),
        ]

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["steps_done"], checkpoint["rate"] = self.steps_done, self._rate

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.steps_done, self._rate = checkpoint["steps_done"], checkpoint["rate"]

    def on_train_start(self) -> None:
        self._last_step_at = None

    def on_validation_end(self) -> None:
        self._last_step_at = None

    def training_step(self, batch: Mapping, batch_idx: int) -> dict[str, Tensor]:
        """One step of the generator, after one of the discriminators once they have joined.

        Returns {"loss": the generator's}, NaN if a loss was not finite: then that network was not stepped nor the step
        counted, so the last good weights survive for the callback that stops the run.
        """
        random = self._random()
        generator_optimizer, discriminator_optimizer = self.optimizers()
        decay = self.hparams.lr_decay ** (self.steps_done // self.hparams.decay_steps)
        adversarial = self.steps_done >= self.hparams.adversarial_from_step
        rate = self.hparams.learning_rate if adversarial else self.hparams.warm_learning_rate
        rates = (rate * self._rate * decay, self.hparams.discriminator_learning_rate * decay)
        for optimizer, rate in zip((generator_optimizer, discriminator_optimizer), rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate
        with torch.autocast(self.device.type, enabled=False):
            with torch.no_grad():
                mel, real = self._draw(batch["wave"], random)
            draws = self.generator.draws(mel, random)
            real, *draws = below([real, *draws], batch.get("limit"), self.spec.sample_rate)
            losses = {"loss_mel": self.mel_l1(draws, real)}
            losses["loss_mel_multi"], losses["loss_convergence"] = self.mel_multi.with_convergence(draws, real)
        loss, logged, finite = self._weighted(losses), {"learning_rate": rates[0]}, True
        if adversarial:
            change = self.augment.draw(real, random)
            metrics, adversarial, gradient = adversarial_losses(
                self.discriminators, real, draws[0].detach(), change, self.hparams.loss_weights
            )
            finite = self._step(metrics["loss_disc"], discriminator_optimizer)
            # A loss whose gradient with respect to the wave is the one that the discriminators have given already.
            loss = loss + (draws[0] * gradient).sum()
            losses, logged = losses | adversarial, logged | metrics
        finite = finite and self._step(loss, generator_optimizer)
        if finite:
            self.averaged.update_parameters(self.generator)
            self.steps_done += 1
        self._log_step(losses | logged, batch["wave"].shape[0])
        total = self._weighted(losses).detach()
        return {"loss": total if finite else torch.full_like(total, torch.nan)}

    def _weighted(self, losses: Mapping[str, Tensor]) -> Tensor:
        return sum(self.hparams.loss_weights[name] * value for name, value in losses.items())

    def _step(self, loss: Tensor, optimizer: Optimizer) -> bool:
        """Step `optimizer` down `loss`, unless it is not finite on some process; returns whether it did."""
        # All processes step or none does: one alone would wait for the others' gradients.
        if not self.trainer.strategy.reduce_boolean_decision(math.isfinite(loss.detach())):
            return False
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.hparams.gradient_clip is not None:
            # Lightning refuses to for a fused optimizer under mixed precision; bfloat16 has no scaled gradients.
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.hparams.gradient_clip)
        optimizer.step()
        return True

    def _random(self) -> torch.Generator:
        """The source of this step's random numbers, on this device."""
        seed = (self.hparams.seed * 1_000_003 + self.steps_done) * 1009 + self.global_rank
        return torch.Generator(self.device).manual_seed(seed % 2**63)

    def _draw(self, wave: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Wave [B, 1, N] → log-clamp mel [B, n_mels, S] and the wave [B, 1, S * hop] of one random window each.

        The mel is that of the whole wave, so that a window's frames see their true surroundings.
        """
        hop, size = self.spec.hop_length, self.hparams.segment_size // self.spec.hop_length
        if wave.shape[-1] // hop < size:
            raise ValueError(f"waves of {wave.shape[-1]} samples are too short for segment_size={size * hop}")
        items, device = wave.shape[0], wave.device
        mel = self.mel(wave)
        clamped = to_log_clamp(mel)
        own = torch.rand(items, generator=random, device=device) < self.hparams.own_mels
        if self._reconstruct is not None and own.any():
            reconstructed = self._reconstruct(to_log1p(mel[own], self.spec))
            clamped[own] = log1p_to_log_clamp(reconstructed, self.spec).to(clamped.dtype)
        chance = torch.rand(items, generator=random, device=device)
        return random_windows(clamped, wave, hop, size, math.ceil(self.mel.pad / hop), chance)

    def validation_step(self, batch: Mapping, batch_idx: int) -> None:
        """Logs val/mel_error (multi-scale), val/mel_l1, val/mel_error_own of a whole held-out clip {"wave": [1, 1, N]}.

        Once the discriminators have joined also val/disc_real_accuracy and val/disc_fake_accuracy.
        """
        with torch.autocast(self.device.type, enabled=False):
            hop, limit, rate = self.spec.hop_length, batch.get("limit"), self.spec.sample_rate
            wave = batch["wave"][..., : batch["wave"].shape[-1] // hop * hop]
            mel = self.mel(wave)
            wave, fake = below([wave, self.averaged(to_log_clamp(mel))], limit, rate)
            errors = {"val/mel_error": self.mel_multi([fake], wave), "val/mel_l1": self.mel_l1([fake], wave)}
            if self._reconstruct is not None:
                own = self.averaged(log1p_to_log_clamp(self._reconstruct(to_log1p(mel, self.spec)), self.spec))
                errors["val/mel_error_own"] = self.mel_multi(below([own], limit, rate), wave)
            if self.steps_done > self.hparams.adversarial_from_step:
                # A window each: their accuracy on sounds that they were not trained on.
                outputs = [self.discriminators(sound[..., :_VALIDATED_SAMPLES]) for sound in (wave, fake)]
                errors |= {f"val/{key}": value for key, value in accuracies(*outputs).items()}
        self.log_dict(errors, on_step=False, on_epoch=True, batch_size=wave.shape[0], sync_dist=True)

    @torch.no_grad()
    def preview(self, wave: Tensor) -> dict[str, Tensor]:
        """Waves and mels to compare of a wave [1, 1, N], on this device.

        "target" and "generated" are waves [1, 1, T * hop], "target_mel" and "generated_mel" log1p mels [n_mels, T].
        """
        hop = self.spec.hop_length
        wave = wave[..., : wave.shape[-1] // hop * hop].to(self.device)
        mel = self.mel(wave)
        generated = self.averaged(to_log_clamp(mel))
        return {
            "target": wave,
            "generated": generated,
            "target_mel": to_log1p(mel, self.spec)[0],
            "generated_mel": to_log1p(self.mel(generated), self.spec)[0],
        }

    def _log_step(self, values: dict[str, Tensor | float], batch_size: int) -> None:
        now = time.perf_counter()
        if self._last_step_at is not None:
            speed = 1 / (now - self._last_step_at)
            before = self._steps_per_second or speed
            self._steps_per_second = _SPEED_MEMORY * before + (1 - _SPEED_MEMORY) * speed
            values["steps_per_second"] = self._steps_per_second
        self._last_step_at = now
        for name, value in values.items():
            value = value.detach() if isinstance(value, Tensor) else value
            shown = name in ("loss_mel", "loss_adv")
            self.log(f"train/{name}", value, prog_bar=shown, on_step=True, on_epoch=False, batch_size=batch_size)
