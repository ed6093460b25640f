"""What TensorBoard shows of a whole run, beside the curves, pictures and sound of its stages: `results/` in its folder.

*.layout         which curves its page CUSTOM SCALARS draws, what matters first
*.results        settings and final errors, a row of its page HPARAMS
<step>/corpus/   the corpus's moments as points of its page PROJECTOR

A run's results are a TensorBoard run of their own, without a summary of the experiment: so TensorBoard finds the
columns itself, those of all runs together. Of several it would take the first run's alone.
"""

import shutil
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from distillgan.modelheader import Header
from distillgan.modellayout import read_header
from distillgan.training.board_corpus import CorpusPoints
from distillgan.training.run import Run
from distillgan.training.settings import noted_settings

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
