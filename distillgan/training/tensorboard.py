"""What TensorBoard shows besides curves: the corpus as points, layout, hyperparameters.

The corpus as points of TensorBoard's projector: a moment each, with its recording, second, descriptors and mel.

What TensorBoard shows of a whole run, beside the curves, pictures and sound of its stages: `results/` in its folder.

*.layout         which curves its page CUSTOM SCALARS draws, what matters first
*.results        settings and final errors, a row of its page HPARAMS
<step>/corpus/   the corpus's moments as points of its page PROJECTOR

A run's results are a TensorBoard run of their own, without a summary of the experiment: so TensorBoard finds the
columns itself, those of all runs together. Of several it would take the first run's alone.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from distillgan.audio.mel import MelSpectrogram, to_log1p
from distillgan.control.latents import CorpusLatents, Segments, chunks_of
from distillgan.control.sliders import Analysis
from distillgan.data.cache import AudioClip
from distillgan.data.manifest import HELD_OUT, TRAIN
from distillgan.errors import printable
from distillgan.features.descriptors import DESCRIPTORS, readable
from distillgan.models.header import Header, read_header
from distillgan.training.auto_settings import noted_settings
from distillgan.training.run_status import Run

MOST = 2500  # points: an embedding of more takes a browser long, and a picture of so many still fits every GPU
SIDE = 32  # pixels of a point's picture


@dataclass(frozen=True)
class CorpusPoints:
    """P points of the latent space, one for each moment.

    means: float64 [P, D], of each moment's latent frames; columns, rows: names, and the texts of each point; pictures:
    float32 [P, 3, SIDE, SIDE], 0…1, its mel, low bands below, dark where there is sound.
    """

    means: np.ndarray
    columns: list[str]
    rows: list[list[str]]
    pictures: Tensor


@torch.no_grad()
def corpus_points(
    clips: dict[str, list[AudioClip]],
    latents: CorpusLatents,
    analysis: Analysis | None,
    mel: MelSpectrogram,
    stride: int,
) -> CorpusPoints:
    """The moments of the clips, in the order in which `encode_corpus` was given them; MOST at most, evenly spread.

    `stride`: mel frames a latent frame. Without an analysis there are no descriptors.
    """
    segments = Segments.of(latents)
    chosen = np.unique(np.linspace(0, len(segments) - 1, min(MOST, len(segments))).round().astype(int))
    split_of = [split for split in (TRAIN, HELD_OUT) for _ in clips[split]]
    heard, latent_samples = [*clips[TRAIN], *clips[HELD_OUT]], stride * mel.spec.hop_length
    pieces, starts = chunks_of(heard, latent_samples), latents.starts.numpy()
    of_piece = np.searchsorted(starts, segments.first[chosen], side="right") - 1
    begins = segments.first[chosen] - starts[of_piece]
    columns, rows = ["recording", "second", "split"], []
    for number, begin in zip(of_piece, begins, strict=True):
        piece = pieces[number]
        second = (piece.start + begin * latent_samples) / mel.spec.sample_rate
        rows.append([printable(heard[piece.clip].name), f"{second:.2f}", split_of[piece.clip]])
    if analysis is not None:
        columns += [f"{item.name}, {item.unit}" for item in DESCRIPTORS]
        for row, values in zip(rows, analysis.values[chosen], strict=True):
            row += [readable(item.shown(value)) for item, value in zip(DESCRIPTORS, values, strict=True)]
    spans, device, mels = np.stack([begins, begins + segments.count[chosen]], 1) * stride, mel.bank.device, []
    for number, piece in enumerate(pieces):
        own = spans[of_piece == number]
        if len(own):
            x = to_log1p(mel(piece.read(heard, latent_samples).to(device)), mel.spec)
            mels += [adaptive_avg_pool2d(x[..., first:last], SIDE)[0].cpu() for first, last in own]
    return CorpusPoints(segments.means(latents.z.numpy())[chosen], columns, rows, _drawn(torch.stack(mels)))


def _drawn(mels: Tensor) -> Tensor:
    """Log1p mels [P, n_mels, T] → pictures [P, 3, n_mels, T], all on one scale of greys.

    The projector multiplies a picture by its point's colour, so that only light ones show it, and its page is white.
    """
    grey = 0.9 - 0.8 * mels.flip(1) / max(1e-6, float(mels.max()))
    return grey[:, None].expand(-1, 3, -1, -1)


RESULTS = "results"
_LAYOUT_FILE, _RESULTS_FILE = ".layout", ".results"
_EMBEDDING = "corpus"
# Category → chart → what it draws: regular expressions of tags.
LAYOUT = {
    "Held-out recordings": {
        "VAE: error, dB": [r"val/mel_error_db$"],
        "vocoder: mel error": [r"val/mel_error$"],
        "vocoder: mel error of what the VAE made": [r"val/mel_error_own$"],
    },
    "Losses": {
        "VAE: reconstruction": [r"train/reconstruction$"],
        "VAE: loss": [r"train/loss$"],
        "vocoder: mel": [r"train/loss_mel$"],
        "vocoder: multi-scale mel": [r"train/loss_mel_multi$"],
        "vocoder: spectral convergence": [r"train/loss_convergence$"],
        "vocoder: adversarial": [r"train/loss_(adv|fm|disc)$"],
    },
    "Latent": {
        "KL, nats a frame": [r"(train|val)/kl_nats$"],
        "active dimensions": [r"(train|val)/active_dimensions$"],
    },
    "Discriminators": {
        "trained on: told apart": [r"train/disc_(real|fake)_accuracy$"],
        "held out: told apart": [r"val/disc_(real|fake)_accuracy$"],
    },
    "Pace": {
        "steps a second": [r"train/steps_per_second$"],
        "learning rate": [r"train/learning_rate$"],
        "KL weight": [r"train/kl_weight$"],
    },
}


def lay_out(run: Run) -> None:
    """Tell TensorBoard which curves to draw; once a run. Call it on the first process, as what follows."""
    folder = run.stage(RESULTS)
    if not any(folder.glob(f"*{_LAYOUT_FILE}")):
        with SummaryWriter(folder, filename_suffix=_LAYOUT_FILE) as writer:
            writer.add_custom_scalars(
                {
                    category: {chart: ["Multiline", tags] for chart, tags in charts.items()}
                    for category, charts in LAYOUT.items()
                }
            )


def show_results(run: Run, corpus: CorpusPoints | None = None) -> None:
    """Show settings and errors of the packed model, and its corpus, in place of what was shown of it before.

    Raises:
        UserError: the model or a note of its run is damaged.
    """
    header, folder = read_header(run.model_path), run.stage(RESULTS)
    settings = noted_settings(run.stage("vae"))
    if header.vocoder is not None:
        settings |= noted_settings(run.stage(header.vocoder["name"]))
    metrics = measured(header)
    _, begun, ended = hparams(settings, metrics)
    before = list(folder.glob(f"*{_RESULTS_FILE}"))
    with SummaryWriter(folder, filename_suffix=_RESULTS_FILE) as writer:
        for summary in (begun, ended):
            writer.file_writer.add_summary(summary)
        for name, value in metrics.items():
            writer.add_scalar(name, value, header.training["vae"]["packed_step"])
        if corpus is not None:
            _show_corpus(writer, corpus, header.training["vae"]["packed_step"])
    for old in before:
        old.unlink()


def measured(header: Header) -> dict[str, float]:
    """How good a model is, and what it took: of its VAE, and of its vocoder if it has one."""
    vae, vocoder = header.training["vae"], header.training["vocoder"] or {}
    # TensorBoard has its columns in the order of the alphabet.
    found = {
        "error/vae_db": vae.get("error_db"),
        "error/vocoder_mel": vocoder.get("mel_error"),
        "latent/active_dimensions": vae.get("active_dimensions"),
        "latent/kl_nats": vae.get("kl_nats"),
        "spent/vae_seconds": vae.get("seconds"),
        "spent/vae_steps": vae.get("steps"),
        "spent/vocoder_seconds": vocoder.get("seconds"),
        "spent/vocoder_steps": vocoder.get("steps"),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _show_corpus(writer: SummaryWriter, corpus: CorpusPoints, step: int) -> None:
    for old in Path(writer.log_dir).iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    writer.add_embedding(corpus.means, corpus.rows, corpus.pictures, step, _EMBEDDING, corpus.columns)
