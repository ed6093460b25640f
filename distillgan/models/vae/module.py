"""LightningModule of the VAE: automatic optimisation, weights averaged over the run."""

import lightning as L
import torch
from torch import Tensor

from distillgan.audio.augment import stretch_mel
from distillgan.audio.mel import MelSpec, MelSpectrogram, from_log1p, lowest_hertz, to_log1p
from distillgan.errors import UserError, number, pair, whole, within
from distillgan.models.base import LatentModel, averaged, check_arguments
from distillgan.models.plugins import LATENT_MODELS, VAE, describe, load
from distillgan.models.vae.network import KLDivergence, ReconstructionLoss, active_dimensions, mel_error_db


def _network(kind: str, arguments: dict) -> LatentModel:
    network = load(LATENT_MODELS, describe(LATENT_MODELS, kind), LatentModel)
    try:
        check_arguments(network, arguments)
    except UserError as error:
        raise UserError(f"network: {error}") from error
    with within("network"):
        return network(**arguments)


class VAEModule(L.LightningModule):
    """Trains a `LatentModel` as a VAE, on batches of the shared DataModule.

    Every random number of a step comes from a generator seeded by (seed, step), so a resumed run equals an
    unbroken one with no random state to keep. Under mixed precision the network alone trains in bfloat16: mels, losses
    and validation stay at 32 bits.

    Args:
        spec: fields of the run's `MelSpec`.
        network: arguments of the latent model's constructor.
        lr, betas, weight_decay: of AdamW; `lr` rises over the first `lr_warmup_steps`.
        ema_decay: of the averaged weights, which are validated and packed.
        kl: arguments of `KLDivergence`.
        clip_norm: gradient norm above which gradients are scaled down.
        max_steps: steps of the whole training.
        seed: of the noise.
        kind: of the latent model, by name.

    Raises UserError if there is no such kind, or a value is refused; it begins with the name of the argument.
    """

    def __init__(
        self,
        spec: dict,
        network: dict,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        lr_warmup_steps: int,
        ema_decay: float,
        kl: dict,
        clip_norm: float,
        segment_frames: int,
        max_steps: int,
        seed: int,
        kind: str = VAE,
    ):
        super().__init__()
        self.save_hyperparameters()
        number("lr", lr, 0)
        pair("betas", betas, 0, 0.999999)
        number("weight_decay", weight_decay, 0)
        number("ema_decay", ema_decay, 0, 1)
        number("clip_norm", clip_norm, 0)
        whole("lr_warmup_steps", lr_warmup_steps, 0)
        self.spec = MelSpec.from_dict(spec)
        self.mel = MelSpectrogram(self.spec)
        self.network = _network(kind, network)
        self.averaged = averaged(self.network, ema_decay)
        self.reconstruction_loss = ReconstructionLoss()
        with within("kl"):
            self.kl = KLDivergence(**kl)
        self.max_steps = max_steps
        self.judged_from = lr_warmup_steps
        self.steps_done = 0
        self._validated: list[tuple[float, Tensor]] = []
        self._measured: dict[str, float] = {}

    def start_from(self, network: LatentModel) -> None:
        """Begin with the weights of a network of the same arguments, averaged ones too."""
        self.judged_from = 0
        self.network.load_state_dict(network.state_dict())
        self.averaged.module.load_state_dict(network.state_dict())

    def training_step(self, batch: dict, batch_idx: int) -> Tensor:
        frames = self.hparams.segment_frames
        with torch.no_grad(), self._full_precision():
            target = to_log1p(stretch_mel(self.mel(batch["wave"]), batch["rate"], frames), self.spec)
            known = self._below(batch["limit"]) if "limit" in batch else None
            seen = target if known is None else target * self._below(batch["seen"])[..., None]
        mean, log_variance = (part.float() for part in self.network.encode(seen))
        z = mean + (log_variance / 2).exp() * self._noise(mean)
        reconstruction = self.reconstruction_loss(self.network.decode(z, frames).float(), target, known)
        per_dimension = self.kl.per_dimension(mean, log_variance)
        weight = self.kl.weight_at(self.steps_done)
        loss = reconstruction + weight * self.kl(per_dimension)
        self.log_dict(
            {
                "train/loss": loss,
                "train/reconstruction": reconstruction,
                "train/kl_nats": per_dimension.sum(),
                "train/kl_weight": weight,
                "train/active_dimensions": float(active_dimensions(per_dimension)),
            },
            batch_size=len(target),
        )
        self.log("loss", reconstruction, prog_bar=True, logger=False, batch_size=len(target))
        self.steps_done += 1
        return loss

    def _noise(self, like: Tensor) -> Tensor:
        """Normal numbers of this step, shaped as `like` [B, latent_dim, T].

        Several processes draw together what one would draw for a batch of all their segments.
        """
        several = self._trainer.world_size if self._trainer is not None else 1
        seed = (self.hparams.seed * 1_000_003 + self.steps_done) * 1009
        generator = torch.Generator(device=self.device).manual_seed(seed % 2**63)
        shape = (several * like.shape[0], *like.shape[1:])
        drawn = torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
        return drawn[self.global_rank :: several]

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer, optimizer_closure=None) -> None:
        # Set from the configuration at each step, not by a scheduler whose state a checkpoint restores: so a run can be
        # resumed with another learning rate.
        for group in optimizer.param_groups:
            group["lr"] = self.hparams.lr * min(1.0, (self.steps_done + 1) / max(1, self.hparams.lr_warmup_steps))
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.averaged.update_parameters(self.network)

    def on_validation_start(self) -> None:
        self._validated = []

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        """One whole clip [1, 1, N]: error up to its limit of the mel decoded from the posterior's mean, in dB."""
        with self._full_precision():
            mel = self.mel(batch["wave"])
            x = to_log1p(mel, self.spec)
            mean, log_variance = self.averaged.module.encode(x)
            decoded = from_log1p(self.averaged.module.decode(mean, x.shape[-1]), self.spec)
            known = self._below(batch["limit"])[0] if "limit" in batch else slice(None)
        error = mel_error_db(mel[0][known], decoded[0][known])
        self._validated.append((error, self.kl.per_dimension(mean, log_variance)))

    def on_validation_epoch_end(self) -> None:
        error = sum(e for e, _ in self._validated) / len(self._validated)
        per_dimension = torch.stack([d for _, d in self._validated]).mean(0)
        self.log("val/mel_error_db", error, sync_dist=True)
        self.log("error_dB", error, prog_bar=True, logger=False, sync_dist=True)
        self._measured = {
            "kl_nats": float(per_dimension.sum()),
            "active_dimensions": float(active_dimensions(per_dimension)),
        }
        self.log_dict({f"val/{name}": value for name, value in self._measured.items()}, sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=self.hparams.lr,
            betas=tuple(self.hparams.betas),
            weight_decay=self.hparams.weight_decay,
            fused=True,
        )

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        # Lightning refuses to clip for a fused optimizer under mixed precision; bfloat16 has no scaled gradients.
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.hparams.clip_norm)

    def _below(self, limit: Tensor) -> Tensor:
        """Frequencies in Hz [B] → which bands hold something below them, bool [B, n_mels]."""
        return lowest_hertz(self.spec).to(limit.device) < limit[:, None]

    def _full_precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, enabled=False)

    @torch.no_grad()
    def preview(self, wave: Tensor) -> dict[str, Tensor]:
        """One clip [1, 1, N] → its log1p mels [n_mels, T] "target" and "reconstruction", and itself, "recording"."""
        x = to_log1p(self.mel(wave), self.spec)
        mean, _ = self.averaged.module.encode(x)
        return {"recording": wave, "target": x[0], "reconstruction": self.averaged.module.decode(mean, x.shape[-1])[0]}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["steps_done"] = self.steps_done
        checkpoint["measured"] = self._measured

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.steps_done = checkpoint["steps_done"]
