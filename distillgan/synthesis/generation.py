"""From a request to files: rendered, checked, placed in space, written, described, and entered in the history."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from distillgan import compute
from distillgan.atomic import replace_file
from distillgan.audio.tags import Tags
from distillgan.compute import in_order, limited, memory_in_words
from distillgan.data.cache import AudioCache
from distillgan.models.vocoders.registry import select
from distillgan.paths import Home, name_from_path, shortened
from distillgan.progress import OnTransfer, progress_bar, transfer_bar
from distillgan.store.history import History
from distillgan.store.library import find_model
from distillgan.synthesis.blend import Reconstruction, Rendering, load_sources
from distillgan.synthesis.export import Exported, Level, Target, export, file_name
from distillgan.synthesis.metadata import Inspector, Report, comment_of, metadata_of, provenance_of
from distillgan.synthesis.renderer import check_length
from distillgan.synthesis.request import RenderRequest, SpatialRequest, VocoderRequest
from distillgan.synthesis.spatial.placement import Mono, Spatial, Stereo

Progress = Callable[[int, int], None]
_MOST_BYTES = 150  # of a file's name that are the models'; file systems take 255 in all
_SHORT = 12.0  # seconds: four blocks


@dataclass(frozen=True)
class RenderResult:
    """A sound that was made: its file, its metadata, and its number in the history."""

    path: Path
    metadata: dict[str, Any]
    id: int


Finished = Callable[[RenderResult], None]


@memory_in_words("generating", "Close what else uses it, or take device=cpu, or vocoder=universal, which needs little")
def generate(
    request: RenderRequest,
    console: Console | None = None,
    progress: Progress | None = None,
    fetching: OnTransfer | None = None,
    finished: Finished | None = None,
) -> list[RenderResult]:
    """Render `count` variations, or reconstruct `recording`, and write them to the folder audio of its home.

    Prints what plays them and why, each path, the real-time factor and what the check of the sound found.
    progress: called with (samples done, samples in all) after each block, besides the bar on the terminal; a
    KeyboardInterrupt that it raises ends the sound there, as Ctrl-C does. fetching: called during a download of
    weights, instead of a bar on the terminal; it may break it off by raising an exception. finished: called with each
    sound once it is in the history, with one that was broken off, too.

    Raises:
        UserError: something the user can mend.
        KeyboardInterrupt: Ctrl-C; what was rendered until then is a valid file.
    """
    console = console or Console(soft_wrap=True, highlight=False)
    home, device, spatial = Home(request.home), compute.resolve(request.device), spatial_of(request.spatial)
    sources, warnings = load_sources(request, lambda name: find_model(home, name), device)
    for warning in warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    model, title = sources[0].model, " + ".join(source.model.header.name for source in sources)
    request.mel.require(model.spec, "the configuration", f"model {model.header.name}")
    clip = None
    if request.recording is not None:
        recording = Path(request.recording).expanduser()
        with AudioCache(home.decoded, model.spec.sample_rate) as cache:
            clip = cache.clip(recording)
        check_length(clip)  # before a vocoder is fetched for it
        request = replace(request, recording=str(recording.resolve()))
    with transfer_bar(console) if fetching is None else nullcontext(fetching) as transfer:
        own = model.vocoder if len(sources) == 1 else None
        selected = select(asdict(request.vocoder), title, own, model.spec, home, device, transfer)
    console.print(f"model {title} on {device.type}, vocoder {selected.name}: {selected.reason}")
    # What `generate` has to be given to make this sound again, whatever its defaults will be.
    settled = replace(request, vocoder=VocoderRequest(selected.name), device=device.type, count=1)
    if not request.blend and request.model is None:
        settled = replace(settled, model=model.header.name)

    def make(rendering: Rendering | Reconstruction) -> RenderResult:
        return _written(rendering, spatial, home, console, progress, finished)

    with limited(request.threads):
        if clip is not None:
            return [make(Reconstruction(sources[0], selected.vocoder, settled, clip))]
        variations = [replace(settled, seed=request.seed + number) for number in range(request.count)]
        renderings = (Rendering(sources, selected.vocoder, one) for one in variations)
        # Long ones have blocks of their own to be computed side by side.
        side_by_side = device.type == "cpu" and selected.vocoder.side_by_side
        together = request.count > 1 and request.seconds <= _SHORT and side_by_side
        with closing(in_order(Rendering.prepared, renderings) if together else renderings) as ready:
            return [make(rendering) for rendering in ready]


def spatial_of(request: SpatialRequest) -> Spatial:
    """What places a sound as the request says. Raises UserError for a value out of range, or a SOFA file of no use."""
    if request.name == "binaural":
        from distillgan.synthesis.spatial.binaural import Binaural  # scipy.fft, for this alone

        return Binaural(**asdict(request))
    return {"mono": Mono, "stereo": Stereo}[request.name](**asdict(request))


def _written(
    rendering: Rendering | Reconstruction,
    spatial: Spatial,
    home: Home,
    console: Console,
    progress: Progress | None,
    finished: Finished | None,
) -> RenderResult:
    """Render under a progress bar, write the files, and print how it went.

    Raises:
        UserError: the disk refuses, or what was rendered is no sound.
        KeyboardInterrupt: Ctrl-C; what was rendered until then is a valid file.
    """
    wanted, spec = rendering.request.export, rendering.spec
    target = Target.of(wanted.loudness, wanted.peak, spatial.channels, rendering.source_lufs)
    provenance = provenance_of(rendering, target)
    usual = "{model}_{recording}" if isinstance(rendering, Reconstruction) else "{model}_seed{seed}"
    name = file_name(wanted.file or usual, _fields(rendering, provenance))
    begun = time.perf_counter() - rendering.spent
    inspector = Inspector(spec.sample_rate, rendering.analysis, rendering.full_scale)

    def tags(title: str, digest: str, interrupted: bool, level: Level) -> Tags:
        names = " + ".join(model["name"] for model in provenance["models"])
        return Tags(
            title=str(title if wanted.title is None else wanted.title),
            artist=str(wanted.artist or ""),
            album=str(names if wanted.album is None else wanted.album),
            date=f"{datetime.now().astimezone():%Y-%m-%d}",
            comment=comment_of(provenance, digest, interrupted, level),
        )

    with progress_bar(console, name) as bar:
        listeners = [bar] if progress is None else [bar, progress]
        blocks = _counted(inspector.watch(rendering.blocks()), rendering.samples, listeners)
        second = rendering.second() if spatial.second else None
        placed = inspector.placed(spatial.place(blocks, second, spec.sample_rate))
        try:
            exported = export(placed, spec, home.audio, name, wanted.format, tags, wanted.overwrite, target)
        except KeyboardInterrupt:
            console.print("stopped before there was anything to keep: no file is written")
            raise
    factor = exported.seconds / (time.perf_counter() - begun)
    report = inspector.report(exported.gain_db)
    metadata = metadata_of(provenance, rendering, exported, report)
    with replace_file(exported.path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(metadata, indent=1))
    _print(console, name, exported, report, factor)
    number = History(home).record(metadata, exported.path, exported.thumbnail)
    console.print(f"  number {number} of the history", markup=False)
    result = RenderResult(exported.path, metadata, number)
    if finished is not None:
        finished(result)
    if exported.interrupted:
        console.print("stopped: the file holds what was rendered until then")
        raise KeyboardInterrupt
    return result


def _fields(rendering: Rendering | Reconstruction, provenance: dict[str, Any]) -> dict[str, str | int]:
    """What a file's name may be made of."""
    now, names = datetime.now().astimezone(), [model["name"] for model in provenance["models"]]
    is_recording = isinstance(rendering, Reconstruction)
    return {
        "model": shortened("_".join(names), _MOST_BYTES, _MOST_BYTES),
        "seed": rendering.request.seed,
        "preset": rendering.request.preset or "none",
        "vocoder": provenance["vocoder"],
        "path": provenance["path"],
        "spatial": rendering.request.spatial.name,
        "recording": name_from_path(Path(rendering.clip.name).with_suffix("")) if is_recording else "none",
        "date": f"{now:%Y-%m-%d}",
        "time": f"{now:%H-%M-%S}",
    }


def _print(console: Console, name: str, exported: Exported, report: Report, factor: float) -> None:
    console.print(f"{name}: {exported.seconds:.1f} s rendered at {factor:.1f} times real time", markup=False)
    console.print(f"  {exported.level.words()}", markup=False)
    for words in exported.level.warnings():
        console.print(f"  {words}", markup=False)
    for path in (exported.path, exported.picture, exported.path.with_suffix(".json")):
        console.print(f"  {path}", markup=False)
    for descriptor, words in report.outside.items():
        console.print(f"  outside of the recordings: {descriptor}, {words}", markup=False)
    for warning in report.warnings:
        console.print(f"  warning: {warning}", style="yellow", markup=False)


def _counted(blocks: Iterator[np.ndarray], samples: int, listeners: list[Progress]) -> Iterator[np.ndarray]:
    done = 0
    for block in blocks:
        yield block
        done += block.shape[1]
        for progress in listeners:
            progress(done, samples)
