"""The text of a model card, in Markdown with the front matter that the hub reads.

All of it is from the model's file and from evaluations of these very weights; unknown values are called so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from distillgan.control.sliders import Slider
from distillgan.errors import printable
from distillgan.models.header import Header
from distillgan.store.cards import Reports, escaped, table, training_metrics
from distillgan.store.model_store import millions

# Those of the hub's that recordings and models are likely to have.
_KNOWN = {
    *("apache-2.0", "bsd-2-clause", "bsd-3-clause", "isc", "mit", "mpl-2.0", "unlicense", "zlib", "wtfpl"),
    *("agpl-3.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "odc-by", "odbl", "pddl"),
    *("cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nd-4.0"),
    *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
}
# Where a name without its version has had one alone.
_SHORT = {"cc0": "cc0-1.0", "cc-0": "cc0-1.0", "apache": "apache-2.0"}


def hub_licence(text: str) -> str | None:
    """The hub's identifier of a licence, `cc-by-4.0` for `CC BY 4.0`; None for one that it does not know.

    `CC BY` names no version, and `GPL-3.0-or-later` more than one.
    """
    plain = re.sub(r"[\s_-]+", "-", text.strip().casefold())
    plain = re.sub(r"-(?:v|version-)?(\d(?:\.\d)?)$", r"-\1", plain)
    plain = re.sub(r"-licen[cs]e$", "", plain)
    plain = _SHORT.get(plain, plain)
    return plain if plain in _KNOWN else None


_UNKNOWN = "not known"
_STAGES = {"vae": "VAE", "vocoder": "vocoder"}
_MEL = {
    "sample_rate": "sample rate, Hz",
    "n_fft": "window, samples",
    "hop_length": "hop, samples",
    "n_mels": "bands",
    "f_min": "from, Hz",
    "f_max": "to, Hz",
    "log1p_gain": "gain before log1p",
}


@dataclass(frozen=True)
class Examples:
    """Sounds on the card: their descriptions by file, a picture of their spectrograms, and how they are made."""

    sounds: Mapping[str, str]
    picture: str
    vocoder: str
    seconds: float
    seed: int


def write_card(
    name: str,
    header: Header,
    parameters: Mapping[str, int],
    sliders: Sequence[Slider] | None,
    note: str,
    reports: Reports,
    examples: Examples | None,
) -> str:
    """The whole card; `parameters` as `model_store.parameters` counts them, `sliders` None if none were measured."""
    mel = [[_MEL.get(key, key), f"{value:g}"] for key, value in header.mel.to_dict().items()]
    parts = [
        _front_matter(header),
        f"# {name}",
        *([f"> {escaped(note)}"] if note else []),
        _about(header, parameters),
        *([] if examples is None else ["## Examples", *_examples(examples)]),
        "## Recordings",
        _recordings(header),
        "## Sliders",
        *([f"None: {header.no_sliders}."] if sliders is None else _sliders(sliders)),
        "## Scores",
        "\n".join(training_metrics(header)) or "None were measured in training.",
        *reports.sections,
        "## Training",
        _training(header, parameters),
        f"Made with {', '.join(f'{escaped(key)} {escaped(value)}' for key, value in header.versions.items())}.",
        "## Mel",
        table(["of the only mel that it understands", ""], mel, 1),
        "## Use",
        "Loading it runs no code. `distillgan pull` with the name of this repository fetches and checks it; a copy of "
        f"the file by itself is taken in with `distillgan models import {name}.distillgan`. Then:",
        f"    distillgan controls {name}\n    distillgan generate model={name} duration=20",
    ]
    return "\n\n".join(parts) + "\n\n"


def _front_matter(header: Header) -> str:
    licence = hub_licence(header.licence)
    own = (printable(" ".join(tag.split())) for tag in header.tags)  # a line of dashes in one would end all of it
    tags = dict.fromkeys(["distillgan", "audio", "audio-generation", "vae", *own])
    values = {"license": licence} if licence else {}
    values |= {"library_name": "distillgan", "tags": list(tags)}
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---"


def _about(header: Header, parameters: Mapping[str, int]) -> str:
    own = "no vocoder of its own"
    if header.vocoder is not None:
        own = f"a {escaped(header.vocoder['name'])} vocoder of its own ({millions(parameters.get('vocoder', 0))})"
    return (
        f"A distillgan model: a variational autoencoder of mel spectrograms ({millions(parameters.get('vae', 0))}), "
        f"trained on {header.corpus['minutes']:.1f} minutes of recordings, with {own}. It draws new sound of any "
        "length, steered by sliders."
    )


def _recordings(header: Header) -> str:
    corpus = header.corpus
    held_out = corpus.get("held_out")
    rows = [
        ["files", str(corpus["files"])],
        ["minutes", f"{corpus['minutes']:.1f}"],
        ["held out, only judged", f"{len(held_out)} files" if isinstance(held_out, list) else _UNKNOWN],
        ["licence, as stated in training", escaped(header.licence) or "none was stated"],
    ]
    words = (
        "The file holds no recordings, but the latents of each: new sound is drawn from them, and whoever has the file "
        "can play something like what was recorded."
    )
    return f"{table(['', ''], rows)}\n\n{words}"


def _sliders(sliders: Sequence[Slider]) -> list[str]:
    rows, off = [], []
    for slider in sliders:
        if slider.rank is None:
            continue
        if slider.reason is not None:
            off.append(f"- {slider.name} is inactive: {escaped(slider.reason)}")
            continue
        fidelity = f"{slider.rank:.2f}", f"{slider.crosstalk:.2f}"
        rows.append([slider.name, slider.range, *slider.readings, *fidelity, slider.unit, escaped(slider.about)])
    axes = sum(slider.rank is None for slider in sliders)
    headings = ["slider", "range", "at -10", "at 0", "at 10", "follows", "moves others", "unit", ""]
    words = (
        "As measured on rendered sound. Follows: rank correlation of slider and sound, 1 is best. Moves others: how "
        f"much the others change, over its own; 0 is best. Principal axes, not measured: {axes}."
    )
    return [
        *([table(headings, rows, 6)] if rows else ["No slider is active."]),
        words,
        *(["\n".join(off)] if off else []),
    ]


def _training(header: Header, parameters: Mapping[str, int]) -> str:
    def known(value: Any) -> str:
        return _UNKNOWN if value is None else escaped(str(value))

    columns = []
    for key in _STAGES:
        stage = header.training[key]
        if stage is not None:
            cores = f", {stage['cores']} processor cores" if isinstance(stage.get("cores"), int) else ""
            columns.append(
                {
                    "": _STAGES[key],
                    "parameters": millions(parameters.get(key, 0)),
                    "steps": str(stage["steps"]),
                    "best step, kept": known(stage.get("packed_step")),
                    "minutes": f"{stage['seconds'] / 60:.1f}",
                    "ended": escaped(stage["date"][:10]),
                    "device": known(stage.get("device")),
                    "hardware": known(stage.get("hardware")) + cores,
                    "torch": known(stage.get("torch")),
                }
            )
    headings, *rows = ([name, *(column[name] for column in columns)] for name in columns[0])
    return table(headings, rows)


def _examples(examples: Examples) -> list[str]:
    vocoder = escaped(examples.vocoder)
    played = (
        f"{examples.seconds:g} seconds each, as they were drawn, seed {examples.seed}, played by the vocoder {vocoder}."
    )
    sounds = [
        f'{escaped(words)}: [{file.rpartition("/")[2]}]({file})\n\n<audio controls src="{file}"></audio>'
        for file, words in examples.sounds.items()
    ]
    return [played, *sounds, f"![spectrograms]({examples.picture})"]
