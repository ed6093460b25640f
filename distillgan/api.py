"""distillgan from Python: the same engine and the same requests as the commands.

    >>> import distillgan as dg
    >>> model = dg.load("rain")
    >>> clip = model.render(2.0, seed=3, brightness=5)
    >>> clip.wave.shape, clip.sample_rate
    ((1, 88200), 44100)
    >>> clip.save("rain.flac").name
    'rain.flac'
    >>> model.encode("rain.flac").shape
    (4, 22)

Importing it takes a fraction of a second: torch comes with the first model, Lightning with the first training.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillgan.errors import UserError
from distillgan.paths import Home, default_home
from distillgan.process import checked

if TYPE_CHECKING:
    import numpy as np

    from distillgan.control.sliders import Slider
    from distillgan.data.cache import AudioClip
    from distillgan.models.base import Vocoder
    from distillgan.models.header import Header
    from distillgan.models.vocoders.registry import Selected
    from distillgan.synthesis.renderer import Model as Engine
    from distillgan.synthesis.request import RenderRequest


PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Clip:
    """A sound in memory: wave float32 [C, N], as it is rendered, at `sample_rate` Hz.

    origin: what made it. source_lufs: how loud the recordings are that it was learnt from, None if nobody knows.
    """

    wave: np.ndarray
    sample_rate: int
    origin: Mapping[str, Any] | None
    source_lufs: float | None = None

    @property
    def seconds(self) -> float:
        return self.wave.shape[1] / self.sample_rate

    def save(
        self, path: PathLike, *, loudness: float | str = "source", peak: float | None = -1.0, **options: Any
    ) -> Path:
        """Write a WAV, FLAC, OGG or MP3, by the path's suffix, whole or not at all; an older file is replaced.

        loudness, peak: as `export.loudness` and `export.peak` of `generate`: the whole is brought to the loudness of
        the recordings, to so many LUFS, or left ("off"), under a true peak in dBTP; a warning says what is not reached,
        or not known. options: of the format, such as `depth=16` or `quality=5`. The tags say what made the sound.

        Raises:
            UserError: the suffix is none of these, a value or an option is refused, or the disk refuses.
        """
        import hashlib
        import warnings

        import numpy as np

        from distillgan.audio.tags import Tags
        from distillgan.synthesis.export import LoudnessMeter, Target
        from distillgan.synthesis.metadata import comment_of
        from distillgan.synthesis.request import FORMATS

        target = Path(path).expanduser()
        name = target.suffix.lower().removeprefix(".")
        if name not in FORMATS:
            raise UserError(f"{target}: its suffix must be one of {', '.join(f'.{known}' for known in FORMATS)}")
        try:
            form = FORMATS[name](self.sample_rate, **options)
        except TypeError as error:
            raise UserError(f"{target.name} has no such option: {', '.join(options)} ({error})") from error
        goal = Target.of(loudness, peak, len(self.wave), self.source_lufs)
        meter = LoudnessMeter(self.sample_rate, len(self.wave))
        meter.add(self.wave)
        level = goal.level(meter)
        for words in level.warnings():
            warnings.warn(f"{target.name}: {words}", stacklevel=2)
        digest = hashlib.sha256(np.ascontiguousarray(self.wave.T).data).hexdigest()
        comment = ""
        if self.origin is not None:
            settings = self.origin["settings"]
            export = {**settings["export"], "name": name, **vars(form), "loudness": goal.setting, "peak": peak}
            comment = comment_of({**self.origin, "settings": {**settings, "export": export}}, digest, False, level)
        tags = Tags(target.stem, date=f"{date.today():%Y-%m-%d}", comment=comment)
        form.write(target, [np.float32(level.gain) * self.wave], self.wave.shape, tags)
        return target


def load(
    name: PathLike | None = None, *, home: PathLike | None = None, device: str = "auto", threads: int | None = None
) -> Model:
    """A trained model: by name, by the beginning of it, as a file, or the latest.

    home: where the models are, as `paths.home`; device: auto, cpu, cuda or mps; threads: blocks of sound that are
    computed at once, None for one a core. Raises UserError: there is no such model or device, or the model is damaged.
    """
    from distillgan import compute
    from distillgan.store.library import find_model
    from distillgan.synthesis.renderer import Model as Engine

    place, chosen, threads = Home(home or default_home()), compute.resolve(device), checked(threads)
    engine = Engine.load(find_model(place, None if name is None else os.fspath(name)), chosen)
    return Model(engine, place, threads)


def train(
    data: PathLike | list[PathLike] | None = None, *, name: str, home: PathLike | None = None, **settings: Any
) -> Model:
    """Train as `python -m distillgan.train` does, and load what came of it.

    data: a folder, several, or None for the built-in corpus. settings: as on the command line, with `__` for a dot:
    `train("~/rain", name="rain", vocoder="harmonic", model__latent_dim=16, trainer__max_time="00:00:10:00")`.

    Raises:
        UserError: a setting, the recordings or the disk; as the command tells it.
        SystemExit: Ctrl-C; what was trained is kept.
    """
    from distillgan.cli import hydra_app
    from distillgan.cli.serialization import written
    from distillgan.data.corpus import folders
    from distillgan.training import pipeline

    if not isinstance(name, str) or "search" in settings:
        raise UserError(f"name={name} must be a text, and search=… is for the command: from Python a training is one")
    given: dict[str, object] = {"name": name, "paths.home": os.fspath(home or default_home())}
    if data is not None:
        given["data.dir"] = folders([os.fspath(place) for place in (data if isinstance(data, list) else [data])])
    overrides = [f"{key}={written(value)}" for key, value in given.items()]
    overrides += [f"{key.replace('__', '.')}={written(value)}" for key, value in settings.items()]
    pipeline.train(hydra_app.composed("train", hydra_app.to_overrides(overrides)))
    return load(name, home=home)


class Model:
    """A model that plays; `sliders` are its controls, with their ranges and what they were measured to do.

    `engine` is what the package itself works with: network, spec, its recordings' latents, moments and analysis.
    Where a method takes a vocoder it is a name, as on the command line, or one of your own (`models.base.Vocoder`).
    """

    def __init__(self, engine: Engine, home: Home, threads: int | None = None):
        self.engine, self._home, self._threads = engine, home, threads
        self._vocoders: dict[str, Selected] = {}

    def __repr__(self) -> str:
        return f"<distillgan model {self.name}: {', '.join(self.sliders) or 'no sliders'}>"

    @property
    def header(self) -> Header:
        """All that its file says of it."""
        return self.engine.header

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.engine.spec.sample_rate

    @cached_property
    def sliders(self) -> dict[str, Slider]:
        """The active ones, by name."""
        analysis = self.engine.analysis
        return {} if analysis is None else {s.name: s for s in analysis.sliders() if s.reason is None}

    def render(
        self,
        seconds: float = 10.0,
        *,
        seed: int = 1,
        path: str = "crossfade",
        evolution: float = 0.5,
        source: str = "corpus",
        vocoder: str | Vocoder = "auto",
        **controls: float | str,
    ) -> Clip:
        """New sound: the samples that `generate` gives for the same values.

        controls: sliders by name, -10 to 10, or over time, "0:-5 8:7".

        Raises:
            UserError: a value is out of range, or there is no such slider or vocoder.
        """
        if path == "reconstruct":
            raise UserError("path=reconstruct renders a recording: use reconstruct(recording)")
        values = {"duration": seconds, "seed": seed, "path": path, "evolution": evolution, "source": source}
        return self._clip(self._request(vocoder, controls=controls, **values), vocoder)

    def reconstruct(self, recording: PathLike, *, vocoder: str | Vocoder = "auto", **controls: float | str) -> Clip:
        """A recording as the model hears it. Raises UserError as `render`, or if it cannot be read or is too long."""
        path = str(Path(recording).expanduser().resolve())
        return self._clip(self._request(vocoder, controls=controls, recording=path), vocoder)

    def encode(self, recording: PathLike) -> np.ndarray:
        """The posterior's mean of a recording, float32 [D, L], `latent_rate` frames a second. Raises UserError."""
        from distillgan.synthesis.renderer import encoded

        return encoded(self.engine, self._read(recording))

    @property
    def latent_rate(self) -> float:
        """Latent frames a second."""
        return self.engine.spec.frame_rate / self.engine.network.stride

    def decode(self, z: np.ndarray, *, vocoder: str | Vocoder = "auto") -> Clip:
        """A latent sequence, float32 [D, L], as sound. Raises UserError if it has another D, or is not finite."""
        import numpy as np

        from distillgan.synthesis.renderer import decoded_mels, joined, play

        z = np.asarray(z, np.float32)
        latent_dim = self.engine.network.latent_dim
        if z.ndim != 2 or z.shape[0] != latent_dim or not z.shape[1] or not np.isfinite(z).all():
            raise UserError(f"z of shape {list(z.shape)} must be [{latent_dim}, L], L of at least 1, and finite")
        played = self.vocoder(vocoder)
        self.engine.spec.require(played.spec, f"model {self.name}", "the vocoder")
        samples = z.shape[1] * self.engine.network.stride * self.engine.spec.hop_length
        blocks = play(played, decoded_mels(self.engine, z), samples, self.engine.band_limit_hz)
        return Clip(joined(blocks, self._threads), self.sample_rate, None, self.header.source_lufs)

    def vocoder(self, vocoder: str | Vocoder = "auto") -> Vocoder:
        """What plays the model: log-clamp mel [B, n_mels, T] → wave [B, 1, N]. Raises UserError if it cannot be had."""
        return self._selected(vocoder).vocoder

    def with_axis(self, direction: np.ndarray) -> Model:
        """The same model with one more slider, named as the next axis: along `direction`, float [D], in the latent.

        At 10 a sound lies as far along it as the furthest two of a hundred moments of the recordings. Files know
        nothing of it, and neither do commands. Raises UserError if it is no direction, or nothing differs along it.
        """
        engine, analysis = self.engine, self.engine.analysis
        if analysis is None:
            raise UserError(f"model {self.name}: {self.header.no_sliders}")
        analysis = replace(analysis, axes=analysis.axes.extended(direction, engine.corpus))
        engine = replace(engine, material=replace(engine.material, analysis=analysis))
        return Model(engine, self._home, self._threads)

    def _request(self, vocoder: str | Vocoder, **values: Any) -> RenderRequest:
        from distillgan.synthesis.request import RenderRequest, VocoderRequest

        name = vocoder if isinstance(vocoder, str) else "auto"
        device, home = next(self.engine.network.parameters()).device.type, self._home.root
        return RenderRequest(model=self.name, vocoder=VocoderRequest(name), device=device, home=home, **values)

    def _clip(self, request: RenderRequest, vocoder: str | Vocoder) -> Clip:
        from distillgan.synthesis.blend import LoadedSource, Reconstruction, Rendering, controls_for
        from distillgan.synthesis.metadata import provenance_of
        from distillgan.synthesis.renderer import joined
        from distillgan.synthesis.request import VocoderRequest

        source = LoadedSource(self.engine, controls_for(self.engine, request.controls)[0])
        clip = None if request.recording is None else self._read(request.recording)
        selected = self._selected(vocoder)
        settled = replace(request, vocoder=VocoderRequest(selected.name))
        rendering: Rendering | Reconstruction
        if clip is None:
            rendering = Rendering([source], selected.vocoder, settled)
        else:
            rendering = Reconstruction(source, selected.vocoder, settled, clip)
        wave = joined(rendering.blocks(), self._threads)
        return Clip(wave, self.sample_rate, provenance_of(rendering), rendering.source_lufs)

    def _selected(self, vocoder: str | Vocoder) -> Selected:
        from distillgan.models.base import Vocoder
        from distillgan.models.vocoders.registry import Selected, select
        from distillgan.synthesis.request import VocoderRequest

        if isinstance(vocoder, Vocoder):
            return Selected(type(vocoder).__name__, vocoder, "as given")
        if not isinstance(vocoder, str):
            raise UserError(f"vocoder={vocoder!r} must be a name or a distillgan.models.base.Vocoder")
        if vocoder not in self._vocoders:
            device = next(self.engine.network.parameters()).device
            own, spec = self.engine.vocoder, self.engine.spec
            settings = asdict(VocoderRequest(vocoder))
            self._vocoders[vocoder] = select(settings, self.name, own, spec, self._home, device)
        return self._vocoders[vocoder]

    def _read(self, recording: PathLike) -> AudioClip:
        from distillgan.data.cache import AudioCache
        from distillgan.synthesis.renderer import check_length

        with AudioCache(self._home.decoded, self.sample_rate) as cache:
            clip = cache.clip(Path(recording).expanduser())
        check_length(clip)
        return clip
