"""Growing a finished model: what it has learnt is replayed beside what is new, and must not be forgotten."""

import json
import math
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from omegaconf import OmegaConf

from distillgan.atomic import replace_file
from distillgan.audio.mel import MelSpec, MelSpectrogram, from_log1p, lowest_hertz, to_log1p
from distillgan.control.trajectory import decode, encode
from distillgan.data.cache import AudioClip
from distillgan.data.downmix import MIX, chosen
from distillgan.data.manifest import HELD_OUT, TRAIN, Entry, Manifest
from distillgan.data.scan import split
from distillgan.errors import UserError
from distillgan.models.base import LatentModel
from distillgan.models.header import read_header
from distillgan.models.modelfile import latent_class, read_model
from distillgan.models.vae.network import mel_error_db
from distillgan.paths import CONFIG, Home
from distillgan.training.run_status import MANIFEST, Run

MOST_FORGOTTEN = 1.1  # times the error on the old recordings, after over before
REPLAYED = 0.5  # least share of the segments that are of old recordings
_NOTE = "extends.json"
_SHOWN = 10


@dataclass(frozen=True)
class Extension:
    """What a run goes on from.

    model: the name under which the model before is kept; fingerprint: of it. folders: of all recordings, the old ones'
    first. train, held_out: audio hashes of the old recordings. before_db: the mean error of the model before on those
    old recordings that are judged, the held-out ones where there are any.
    """

    model: str
    fingerprint: str
    folders: list[str]
    train: list[str]
    held_out: list[str]
    before_db: float

    @property
    def judged(self) -> list[str]:
        return self.held_out or self.train

    def weights(self, manifest: Manifest) -> list[float]:
        """How often each training file is to be heard, over its length: the old ones at least REPLAYED of the time."""
        entries = [entry for entry in manifest.used if entry.split == TRAIN]
        known = set(self.train)
        old = sum(entry.frames for entry in entries if entry.audio_hash in known)
        new = sum(entry.frames for entry in entries) - old
        more = max(1.0, REPLAYED / (1 - REPLAYED) * new / old)
        return [more if entry.audio_hash in known else 1.0 for entry in entries]

    def network(self, home: Home) -> LatentModel:
        """The model before. Raises UserError if it is not there any more."""
        header, tensors = read_model(home.model(self.model), "vae.")
        network = latent_class(header)(**header.vae)
        network.load_state_dict({name.removeprefix("vae."): tensor for name, tensor in tensors.items()})
        return network.eval()


def noted(run: Run) -> Extension | None:
    """The extension that the run is, if it is one. Finishes what a killed process left half done."""
    staged = _staged(run)
    if staged.exists() and not run.folder.exists():
        staged.rename(run.folder)
    path = run.folder / _NOTE
    if not path.exists():
        return None
    try:
        return Extension(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): begin anew with resume=never") from error


def folders_of(run: Run, home: Home, given: list[str] | None) -> list[str]:
    """Those of the recordings that the model knows, then the `given` ones that are not among them.

    Raises UserError if there is no finished model of the run's name, or nothing is known of its recordings.
    """
    if given is None:
        raise UserError("extend=true wants more recordings: add data.dir=PATH")
    extension = noted(run)
    if extension is not None:
        known = extension.folders
    else:
        path = run.folder / CONFIG
        if not run.model_path.exists() or not path.exists():
            what = "model" if not run.model_path.exists() else "run"
            raise UserError(
                f"extend=true: there is no {what} {run.name} in {home.root}: train it first, without extend"
            )
        folder = OmegaConf.load(path).data.dir
        known = [str(home.demo)] if folder is None else [folder] if isinstance(folder, str) else list(folder)
    for folder in known:
        if not os.path.isdir(os.path.expanduser(folder)):
            raise UserError(
                f"extend=true: the recordings that {run.name} has learnt are not at {folder} any more: put them back"
            )
    places = {os.path.realpath(os.path.expanduser(folder)) for folder in known}
    return known + [folder for folder in given if os.path.realpath(os.path.expanduser(folder)) not in places]


def channels_of(run: Run, asked: str) -> str:
    """What the model has learnt of recordings with several channels. Raises UserError if something else is asked for.

    By another down-mix its own recordings would be others.
    """
    extension, path = noted(run), run.folder / CONFIG
    if extension is not None and not path.exists():
        path = run.home.run(extension.model) / CONFIG
    known = chosen(OmegaConf.select(OmegaConf.load(path), "data.channels", default=MIX)) if path.exists() else MIX
    if asked not in (MIX, known):
        raise UserError(f"extend=true: {run.name} has learnt its recordings with data.channels={known}, not {asked}")
    return known


def extend(
    run: Run, home: Home, manifest: Manifest, folders: list[str], spec: MelSpec, device: torch.device
) -> tuple[Manifest, Extension, bool]:
    """The corpus with the splits that the model knows, what the run goes on from, and whether that begins only now.

    It begins where the `manifest` of all `folders` has recordings that the run has not: the old run is set aside, a
    copy of the model is kept, and the model itself stays as it is until the new one is packed.

    Raises:
        UserError: there is nothing new, an old recording is gone, or the model is for another mel.
    """
    extension, path = noted(run), run.folder / MANIFEST
    if extension is not None and (not path.exists() or Manifest.load(path).fingerprint == manifest.fingerprint):
        return _resplit(manifest, extension), extension, False
    header = read_header(run.model_path)
    spec.require(header.mel, "the configuration", f"model {run.name}")
    train, held_out = (list(header.corpus.get(key, [])) for key in (TRAIN, HELD_OUT))
    known, there = {*train, *held_out}, {entry.audio_hash for entry in manifest.used}
    if known - there:
        raise UserError(_missing(run, manifest, known - there))
    if there == known:
        raise UserError(f"extend=true: {', '.join(folders)} hold no recording that {run.name} has not learnt already")
    extension = Extension(run.free_name(), header.fingerprint, folders, train, held_out, 0.0)
    with replace_file(home.model(extension.model)) as temporary:
        shutil.copyfile(run.model_path, temporary)
    manifest = _resplit(manifest, extension)
    before = error_on(extension.network(home).to(device), spec, judged_clips(manifest, home, extension))
    extension = replace(extension, before_db=before)
    _begin(run, home, extension)
    return manifest, extension, True


def settings_of(extension: Extension, home: Home) -> dict[str, object]:
    """Settings, by key, in which an extension follows the model that it extends."""
    header = read_header(home.model(extension.model))
    latent_dim = {"model.latent_dim": header.vae["latent_dim"]} if "latent_dim" in header.vae else {}
    return latent_dim | {
        "model.kind": header.latent_model["name"],
        "model.module.network": header.vae,
        "model.module.kl.warmup_steps": 0,  # the KL is there: without its weight the latent would drift meanwhile
    }


def forgotten(manifest: Manifest, home: Home, spec: MelSpec, extension: Extension, network: LatentModel) -> dict:
    """What the header notes of how much is forgotten: the error on the old recordings before and now.

    Raises:
        UserError: the error grew beyond MOST_FORGOTTEN; the model is still the one before.
    """
    now = error_on(network, spec, judged_clips(manifest, home, extension))
    if now > MOST_FORGOTTEN * extension.before_db:
        raise UserError(
            f"the old recordings are forgotten: {extension.before_db:.2f} dB before, {now:.2f} dB now, at most "
            f"{MOST_FORGOTTEN * extension.before_db:.2f} are taken. The model stays as it was. The same command with "
            "more steps (model.max_steps) goes on, or a lower model.module.lr"
        )
    return {"extends": extension.fingerprint, "old_error_before_db": extension.before_db, "old_error_db": now}


def as_split(run: Run, manifest: Manifest) -> Manifest:
    """The corpus with the splits of the model, as far as it knows the recordings.

    Those of an extended model are not those of a new scan, and what its VAE has learnt should not judge its vocoder.
    """
    if not run.model_path.exists():
        return manifest
    corpus = read_header(run.model_path).corpus
    known = {**dict.fromkeys(corpus.get(TRAIN, []), TRAIN), **dict.fromkeys(corpus.get(HELD_OUT, []), HELD_OUT)}
    entries = [
        entry if entry.reason else replace(entry, split=known.get(entry.audio_hash, entry.split))
        for entry in manifest.entries
    ]
    return replace(manifest, entries=entries)


def judged_clips(manifest: Manifest, home: Home, extension: Extension) -> list[AudioClip]:
    """Those of the old recordings that tell what is forgotten."""
    wanted = set(extension.judged)
    entries = [entry for entry in manifest.used if entry.audio_hash in wanted]
    return replace(manifest, entries=entries).clips(home.decoded)


@torch.inference_mode()
def error_on(network: LatentModel, spec: MelSpec, clips: list[AudioClip]) -> float:
    """The mean over whole clips of the error of what the posterior's mean decodes to, in dB, up to each one's limit."""
    mel, errors = MelSpectrogram(spec).to(next(network.parameters()).device), []
    for clip in clips:
        true = mel.of_long(clip.read, clip.length)
        decoded = decode(network, encode(network, to_log1p(true, spec)), true.shape[-1])
        told = lowest_hertz(spec) < (clip.band_limit_hz or math.inf)
        errors.append(mel_error_db(true.cpu()[told], from_log1p(decoded[0].cpu(), spec)[told]))
    return sum(errors) / len(errors)


def _resplit(manifest: Manifest, extension: Extension) -> Manifest:
    """What the model knows is where it was, and the new recordings are split by themselves."""
    old = {**dict.fromkeys(extension.train, TRAIN), **dict.fromkeys(extension.held_out, HELD_OUT)}
    added = split([entry for entry in manifest.used if entry.audio_hash not in old])
    new = {(entry.path, entry.channel): entry for entry in added}

    def placed(entry: Entry) -> Entry:
        if entry.reason:
            return entry
        known = old.get(entry.audio_hash)
        return new[entry.path, entry.channel] if known is None else replace(entry, split=known)

    return replace(manifest, entries=[placed(entry) for entry in manifest.entries])


def _begin(run: Run, home: Home, extension: Extension) -> None:
    """The old run makes place for a new one, which knows at once what it goes on from."""
    staged = _staged(run)
    with replace_file(staged / _NOTE) as temporary:
        temporary.write_text(json.dumps(asdict(extension), indent=1))
    if run.folder.exists():
        run.folder.rename(home.run(extension.model))
    staged.rename(run.folder)


def _staged(run: Run) -> Path:
    return run.folder.with_name(f".{run.name}.extending")


def _missing(run: Run, manifest: Manifest, gone: set[str]) -> str:
    names, path = [], run.folder / MANIFEST
    if path.exists():
        names = [entry.name for entry in Manifest.load(path).used if entry.audio_hash in gone]
    listed = "\n".join(f"  {name}" for name in names[:_SHOWN])
    return (
        f"extend=true: {len(gone)} of the recordings that {run.name} has learnt are not in {manifest.folder} any more, "
        f"and would be forgotten: put them back\n{listed}"
    )
