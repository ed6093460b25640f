"""Entries of a history as generate makes them: real files with their tags, picture and account."""

import json
from pathlib import Path

import numpy as np
import pytest

from distillgan.audio.formats import Wav
from distillgan.audio.tags import Tags
from distillgan.store.history import History

RATE = 44100


def account(model="rain", seed=1, **settings) -> dict:
    """What generate tells of two seconds of one model's sound."""
    return {
        "settings": {
            "model": {"name": model}, "blend": {"models": None, "mode": "mel"}, "path": "crossfade",
            "source": "corpus", "evolution": 0.5, "controls": {}, "duration": 2.0, "seed": seed, "recording": None,
            "vocoder": "auto", "export": {"format": "wav", "sample_rate": RATE}, "spatial": {"name": "mono"},
            "device": "cpu", **settings,
        },
        "models": [{"name": model, "fingerprint": f"{model}0123", "weight": None, "controls": {}}],
        "vocoder": "universal", "seed": seed, "seconds": 2.0, "interrupted": False, "gain_db": 0.0,
        "check": {
            "peak_db": -3.0, "rms_db": -12.5, "outside": {}, "warnings": [],
            "descriptors": {"brightness": 1000.0 + seed, "density": 2.0},
        },
        "versions": {"distillgan": "2.0", "torch": "2.9"}, "sound": f"{seed:064x}",
    }  # fmt: skip


def tone(seconds=2.0, amplitude=0.3, channels=1, frequency=440.0) -> np.ndarray:
    """A sine, float32 [C, N]."""
    wave = amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)
    return np.tile(wave.astype(np.float32), (channels, 1))


def recorded(history: History, path: Path, told: dict, wave: np.ndarray | None = None, form=None) -> int:
    """Write sound, picture and account, and the entry of the history → its number."""
    wave = tone(told["seconds"]) if wave is None else wave
    path.parent.mkdir(parents=True, exist_ok=True)
    comment = json.dumps({"distillgan": "2.0", "settings": told["settings"], "sound": told["sound"]})
    (form or Wav(RATE)).write(path, [wave], wave.shape, Tags(comment=comment))
    path.with_suffix(".json").write_text(json.dumps(told))
    path.with_suffix(".png").write_bytes(b"picture")
    return history.record(told, path, bytes([0x81, 0x7F] * 400))


def said(capsys, main, *arguments) -> tuple[int, str, str]:
    """Run a command in this process → exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    out = capsys.readouterr()
    return ended.value.code, out.out, out.err
