"""From a stage's best checkpoint to the model file."""

from torch import Tensor

from distillgan.audio.mel import MelSpec
from distillgan.data.manifest import HELD_OUT, Manifest
from distillgan.errors import UserError
from distillgan.models.base import LatentModel
from distillgan.models.header import BAND_LIMIT, Header, read_header, utc_now
from distillgan.models.modelfile import read_model, replace_vocoder, write_model
from distillgan.models.plugins import LATENT_MODELS, describe
from distillgan.training.fit import FitResult
from distillgan.training.run_status import Run


def write_vae(
    run: Run,
    result: FitResult,
    network: LatentModel,
    network_args: dict,
    learnt: dict[str, Tensor],
    spec: MelSpec,
    manifest: Manifest,
    measured: dict,
    licence: str,
    note: str,
) -> None:
    """Write the model file: the VAE and what was learnt of the corpus (`latent.*`).

    A vocoder in the old file stays, and so do its tags and, unless others are given, its licence and note.
    `measured` joins the training statistics of the header. Raises UserError if the disk refuses; the old file stays.
    """
    statistics = {**_statistics(result), "error_db": result.error, **measured}
    vocoder, vocoder_statistics, vocoder_tensors, tags = None, None, {}, []
    if run.model_path.exists():
        old, vocoder_tensors = read_model(run.model_path, "vocoder.")
        vocoder, vocoder_statistics = old.vocoder, old.training["vocoder"]
        licence, note, tags = licence or old.licence, note or old.note, old.tags
    header = Header(
        name=run.name,
        mel=spec,
        vae=network_args,
        latent_model=describe(LATENT_MODELS, network.name),
        vocoder=vocoder,
        corpus={
            "fingerprint": manifest.fingerprint,
            "minutes": manifest.minutes,
            "files": len(manifest.used),
            "source_lufs": manifest.source_lufs,
            "train": sorted(entry.audio_hash for entry in manifest.used if entry.split != HELD_OUT),
            "held_out": sorted(entry.audio_hash for entry in manifest.used if entry.split == HELD_OUT),
            **({BAND_LIMIT: manifest.band_limit_hz} if manifest.band_limit_hz else {}),
        },
        training={"vae": statistics, "vocoder": vocoder_statistics},
        licence=licence,
        note=note,
        tags=tags,
    )
    weights = {f"vae.{name}": tensor.cpu() for name, tensor in network.state_dict().items()}
    write_model(run.model_path, header, weights | learnt | vocoder_tensors)


def is_packed(run: Run, network: LatentModel) -> bool:
    """Whether the model file has these very weights of the VAE already."""
    if not run.model_path.exists():
        return False
    try:
        _, tensors = read_model(run.model_path, "vae.")
    except UserError:  # damaged: it is written anew
        return False
    state = {f"vae.{name}": tensor.cpu() for name, tensor in network.state_dict().items()}
    return state.keys() == tensors.keys() and all(tensor.equal(tensors[name]) for name, tensor in state.items())


def add_vocoder(
    run: Run, result: FitResult, description: dict, tensors: dict[str, Tensor], replace: bool
) -> str | None:
    """Put a vocoder's folded weights into the model file: `description` is {"name", "generator": arguments}.

    A vocoder that is there and has the smaller held-out error stays, unless `replace`; then says why.
    """
    old = read_header(run.model_path)
    if old.vocoder is not None and not replace:
        error = old.training["vocoder"].get("mel_error", float("inf"))
        if error < result.error:
            return (
                f"the model keeps its {old.vocoder['name']} vocoder, whose error is {error:.3f}: "
                "vocoder.replace=true puts this one in its place"
            )
    statistics = {**_statistics(result), "mel_error": result.error}
    replace_vocoder(run.model_path, description, statistics, tensors)
    return None


def _statistics(result: FitResult) -> dict:
    return {
        "steps": result.steps,
        "packed_step": int(result.checkpoint["steps_done"]),
        "seconds": round(result.seconds, 1),
        "date": utc_now(),
        "judged_on": result.judged_on,
        "finished": result.finished,
        **result.hardware,
    }
