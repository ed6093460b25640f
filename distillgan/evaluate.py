"""`python -m distillgan.evaluate`: how well a model reconstructs recordings, those it knows and those held out."""

import json
import sys
from dataclasses import asdict, dataclass

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distillgan import device as devices
from distillgan import entry
from distillgan.atomic import replace_file
from distillgan.audio.io import printable
from distillgan.audio.mel import MelSpec, MelSpectrogram, from_log1p, to_log1p
from distillgan.checks import number
from distillgan.data.cache import AudioClip
from distillgan.data.corpus import prepare_corpus
from distillgan.errors import UserError
from distillgan.latent.levels import drawn_levels
from distillgan.library.catalog import find_model
from distillgan.paths import CONFIG, Home
from distillgan.render.engine import Model
from distillgan.vae.losses import KLDivergence, active_dimensions, mel_error_db

TRAINING, HELD_OUT = "training", "held out"
_PIECE_FRAMES = 4096  # 48 s of mel at once


@dataclass(frozen=True)
class Score:
    """One file: its error and that of the corpus's constant spectrum, in dB, and how many mel frames it has."""

    path: str
    part: str
    error_db: float
    constant_db: float
    frames: int


def evaluate(config: DictConfig) -> dict:
    """Reconstruct every file; print a table, write it as JSON, and return it.

    The error is the mean absolute difference of the mels in dB, both floored `floor_db` under the clip's peak. Beside
    it stands the error of one constant spectrum for all (the mean of the files' medians): what a model that has learnt
    nothing but the average would do. Files that the model was trained on are told from others by the content hashes
    in its header.

    Raises:
        UserError: something the user can mend.
    """
    number("floor_db", config.floor_db, 1, 200)
    console = Console(soft_wrap=True)
    home, device = Home(config.paths.home), devices.resolve(config.device.name)
    path = find_model(home, config.model.name)
    model = Model.load(path, device)
    MelSpec.from_config(config.mel).require(model.spec, "the configuration", f"model {model.header.name}")
    manifest = prepare_corpus(_folder(config, home, model), home, model.spec, console)
    known = set(model.header.corpus["train"])
    mel = MelSpectrogram(model.spec).to(device)
    clips = manifest.clips(home.decoded)
    constant = torch.stack([_decibels(_mel_of(mel, clip)).median(-1).values for clip in clips]).mean(0)
    scores, nats = [], []
    for file, clip in zip(manifest.used, clips, strict=True):
        score, per_dimension = _score(model, mel, clip, config.floor_db, file.audio_hash in known, constant)
        scores.append(score)
        nats.append(per_dimension)
    per_dimension = torch.stack(nats).mean(0)
    result = {
        "model": model.header.name,
        "fingerprint": model.header.fingerprint,
        "floor_db": config.floor_db,
        "parts": {part: _summary([s for s in scores if s.part == part]) for part in (TRAINING, HELD_OUT)},
        "kl_nats_per_frame": float(per_dimension.sum()),
        "active_dimensions": active_dimensions(per_dimension),
        "latent_dim": model.network.latent_dim,
        "drawn_levels": asdict(drawn_levels(model.network, model.corpus, model.spec)),
        "files": [asdict(score) for score in scores],
    }
    console.print(_table(result, scores))
    levels = result["drawn_levels"]
    console.print(
        f"drawn latents within the corpus's range of levels ({levels['low_db']:.0f} to {levels['high_db']:.0f} dB): "
        f"{levels['walked']:.0%} of those that generate draws, {levels['normal']:.0%} of independent normal ones",
        highlight=False,
    )
    report = home.root / "evaluations" / f"{path.stem}.json"
    with replace_file(report) as temporary:
        temporary.write_text(json.dumps(result, indent=1))
    console.print(f"written to {report}", highlight=False)
    return result


def _folder(config: DictConfig, home: Home, model: Model) -> str | None:
    """The recordings asked for, else those that the model's run was trained on (None: the demo corpus)."""
    if config.data.dir is not None:
        return str(config.data.dir)
    noted = home.run(model.header.name) / CONFIG
    if not noted.exists():
        raise UserError(
            f"there is no run of model {model.header.name} in {home.runs}: give the recordings, data.dir=PATH"
        )
    return OmegaConf.load(noted).data.dir


@torch.inference_mode()
def _mel_of(mel: MelSpectrogram, clip: AudioClip) -> torch.Tensor:
    """The whole clip's linear mel [n_mels, T]."""
    return mel.of_long(clip.read, clip.length, _PIECE_FRAMES)


def _decibels(mel: torch.Tensor) -> torch.Tensor:
    return 20 * torch.log10(mel)


@torch.inference_mode()
def _score(
    model: Model, mel: MelSpectrogram, clip: AudioClip, floor_db: float, known: bool, constant: torch.Tensor
) -> tuple[Score, torch.Tensor]:
    true = _mel_of(mel, clip)
    decoded, nats = [], []
    for piece in true.split(_PIECE_FRAMES, dim=-1):
        mean, log_variance = model.network.encode(to_log1p(piece[None], model.spec))
        decoded.append(from_log1p(model.network.decode(mean, piece.shape[-1]), model.spec)[0])
        nats.append(KLDivergence.per_dimension(mean, log_variance))
    score = Score(
        clip.name,
        TRAINING if known else HELD_OUT,
        mel_error_db(true, torch.cat(decoded, -1), floor_db),
        mel_error_db(true, (10 ** (constant / 20))[:, None].expand_as(true), floor_db),
        true.shape[-1],
    )
    return score, torch.stack(nats).mean(0).cpu()


def _summary(scores: list[Score]) -> dict | None:
    """Means over the files, and over all their frames together."""
    if not scores:
        return None
    frames = sum(score.frames for score in scores)
    return {
        "files": len(scores),
        "error_db": sum(s.error_db for s in scores) / len(scores),
        "error_db_by_frames": sum(s.error_db * s.frames for s in scores) / frames,
        "constant_db": sum(s.constant_db for s in scores) / len(scores),
    }


def _table(result: dict, scores: list[Score]) -> Table:
    table = Table(
        title=f"{result['model']}: reconstruction error, floor {result['floor_db']:g} dB under each peak",
        title_justify="left",
        caption=f"{result['active_dimensions']} of {result['latent_dim']} dimensions active, "
        f"{result['kl_nats_per_frame']:.1f} nats a frame",
        caption_justify="left",
    )
    table.add_column("file", overflow="fold")
    table.add_column("part")
    table.add_column("error dB", justify="right")
    table.add_column("constant spectrum dB", justify="right")
    for score in scores:
        table.add_row(Text(printable(score.path)), score.part, f"{score.error_db:.2f}", f"{score.constant_db:.2f}")
    for part, means in result["parts"].items():
        if means is not None:
            table.add_section()
            words = f"mean of {means['files']} files (by frames {means['error_db_by_frames']:.2f})"
            table.add_row(words, part, f"{means['error_db']:.2f}", f"{means['constant_db']:.2f}", style="bold")
    return table


def main(arguments: list[str] | None = None) -> None:
    entry.run(evaluate, "evaluate", entry.model_by_name(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    main()
