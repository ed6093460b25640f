"""What TensorBoard is told of a whole run, read back as TensorBoard reads it."""

import json
import re
import shutil
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from matplotlib.image import imread
from support import composed, tiny
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from distillgan.audio.mel import MelSpec, MelSpectrogram
from distillgan.control.latents import CorpusLatents, Segments, chunks_of
from distillgan.control.sliders import Analysis
from distillgan.data.cache import AudioClip
from distillgan.data.manifest import HELD_OUT, TRAIN
from distillgan.errors import UserError
from distillgan.features.descriptors import DESCRIPTORS
from distillgan.models.header import read_header
from distillgan.models.modelfile import read_model
from distillgan.paths import Home
from distillgan.training.auto_settings import note_settings, noted_settings
from distillgan.training.pipeline import train
from distillgan.training.run_status import Run
from distillgan.training.tensorboard import MOST, SIDE, corpus_points, show_results

RATE, STRIDE = 44100, 8
SPEC = MelSpec()


def events(run, folder):
    found = EventAccumulator(str(run / folder))
    found.Reload()
    return found


def row(run):
    """Settings and last errors of a run, as the page HPARAMS has them."""
    found = events(run, "results")
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    begun = HParamsPluginData.FromString(content).session_start_info
    settings = {key: getattr(value, value.WhichOneof("kind")) for key, value in begun.hparams.items()}
    return settings, {tag: found.Scalars(tag)[-1].value for tag in found.Tags()["scalars"]}


def written(run):
    """How many files of each kind the results are."""
    names = [path.suffix for path in (run / "results").glob("events*")]
    return {name: names.count(name) for name in names}


def test_a_run_is_a_row_of_settings_and_errors(trained):
    home, error = trained
    settings, errors = row(home / "runs" / "tiny")
    statistics = read_header(home / "models" / "tiny.distillgan").training
    assert errors["error/vocoder_mel"] == pytest.approx(error)
    assert errors["error/vae_db"] == pytest.approx(statistics["vae"]["error_db"])
    assert errors["latent/kl_nats"] == pytest.approx(statistics["vae"]["kl_nats"])
    assert errors["latent/active_dimensions"] == statistics["vae"]["active_dimensions"]
    assert settings["model.latent_dim"] == 4 and settings["model.module.lr"] == 1e-3 and settings["seed"] == 1
    assert settings["vocoder.name"] == "hifigan" and settings["vocoder.max_steps"] == 4
    assert len(settings) < 40 and not any("dir" in key.split(".") for key in settings)
    # Otherwise of several runs TensorBoard would show the settings and errors of the first alone.
    tensors = events(home / "runs" / "tiny", "results").Tags()["tensors"]
    assert "_hparams_/experiment" not in tensors
    for stage in ("vae", "hifigan"):
        assert "hp_metric" not in events(home / "runs" / "tiny", stage).Tags()["scalars"]


def test_a_run_that_goes_on_stays_one_row_and_one_layout(trained, tmp_path, recordings):
    home = tmp_path / "home"
    shutil.copytree(trained[0], home)
    run = home / "runs" / "tiny"
    settings, _ = row(run)
    # What the command says of the VAE is not what this one was trained with.
    more = ("vocoder=hifigan", "stages=[vocoder]", "vocoder.max_steps=5", "model.module.lr=0.5")
    error = train(tiny(home, recordings, *more))
    assert written(run) == {".layout": 1, ".results": 1}
    after, errors = row(run)
    assert after == settings | {"vocoder.max_steps": 5}
    assert errors["error/vocoder_mel"] == pytest.approx(error) and errors["spent/vocoder_steps"] == 5
    assert (run / "results" / "projector_config.pbtxt").exists(), "the corpus stays as the VAE sees it"


def test_the_layout_shows_what_is_logged_and_the_held_out_errors_first(trained):
    run = trained[0] / "runs" / "tiny"
    (content,) = events(run, "results").Tensors("custom_scalars__config__")
    layout = Layout.FromString(content.tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for category in layout.category for chart in category.chart}
    logged = {tag for stage in ("vae", "hifigan") for tag in events(run, stage).Tags()["scalars"]}
    drawn = {title: [tag for tag in logged if any(re.match(p, tag) for p in tags)] for title, tags in charts.items()}
    assert list(drawn.values())[:2] == [["val/mel_error_db"], ["val/mel_error"]]
    assert {title for title, tags in drawn.items() if not tags} <= {"steps a second"}, "too few here for a speed"
    assert {tag for tag in logged if tag.startswith("val/")} - set(chain(*drawn.values())) == {"val/mel_l1"}


def test_the_corpus_is_a_map_of_its_moments_by_recording_and_descriptor(trained):
    home, _ = trained
    folder = home / "runs" / "tiny" / "results"
    (shown,) = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings
    _, tensors = read_model(home / "models" / "tiny.distillgan", "latent.")
    corpus = CorpusLatents.from_tensors(tensors, 4, "tiny")
    segments = Segments.of(corpus)
    analysis = Analysis.from_tensors(tensors, 4, len(segments), "tiny")
    means = np.loadtxt(folder / shown.tensor_path, delimiter="\t")
    np.testing.assert_allclose(means, segments.means(corpus.z.numpy()), atol=1e-2)  # the model's are halves
    head, *rows = [line.split("\t") for line in (folder / shown.metadata_path).read_text().splitlines()]
    assert head[:3] == ["recording", "second", "split"] and len(head) == 3 + len(DESCRIPTORS)
    assert {line[0] for line in rows} == {f"take{number}.wav" for number in range(6)}
    assert len({line[0] for line in rows if line[2] == HELD_OUT}) == 1
    brightness = [float(line[head.index("brightness, Hz")]) for line in rows]
    np.testing.assert_allclose(brightness, 2 ** analysis.values[:, 0], rtol=6e-3)
    assert list(shown.sprite.single_image_dim) == [SIDE, SIDE]
    side = int(np.ceil(np.sqrt(len(rows)))) * SIDE
    assert imread(folder / shown.sprite.image_path).shape == (side, side, 3)


def clip(path, *hertz):
    """A recording of a second's tone each."""
    time = np.arange(RATE) / RATE
    wave = np.concatenate([0.3 * np.sin(2 * np.pi * f * time) for f in hertz]).astype(np.float32)
    np.save(path, wave)
    return AudioClip(path, path.name, len(wave), RATE, 1.0)


def latents_of(clips, spec=SPEC):
    """Latents of the right number, in which each dimension is a random walk."""
    frame = STRIDE * spec.hop_length
    counts = [-(-piece.samples // frame) for piece in chunks_of(clips, frame)]
    z = torch.randn(sum(counts), 3, generator=torch.Generator().manual_seed(1)).cumsum(0)
    return CorpusLatents(z, torch.tensor([0, *np.cumsum(counts)]))


def test_a_point_is_where_its_sound_is(tmp_path):
    long = clip(tmp_path / "long.npy", *[300] * 32, *[9000] * 3)  # in two pieces
    odd = clip(tmp_path / "a\tb.npy", 9000)
    clips = {TRAIN: [long], HELD_OUT: [odd]}
    points = corpus_points(clips, latents_of([long, odd]), None, MelSpectrogram(SPEC), STRIDE)
    assert points.columns == ["recording", "second", "split"] and len(points.rows) == len(points.means)
    assert points.rows[-1] == ["a\\tb.npy", "0.00", HELD_OUT] and points.rows[0][2] == TRAIN
    seconds = [float(second) for name, second, _ in points.rows if name == "long.npy"]
    assert seconds == sorted(seconds) and seconds[0] == 0 and 33 < seconds[-1] < 34
    for (_, second, split), picture in zip(points.rows, points.pictures.mean((1, 3)), strict=True):
        if split == HELD_OUT or not 30.3 < float(second) < 32.1:
            assert (int(picture.argmin()) < SIDE / 2) == (split == HELD_OUT or float(second) > 32), "high is above"


def test_a_large_corpus_is_thinned_out_evenly(tmp_path):
    tone, small = clip(tmp_path / "tone.npy", 440), replace(SPEC, n_fft=512, hop_length=128, n_mels=16)
    clips = {TRAIN: [AudioClip(tone.path, f"{n}.wav", 1024, RATE, 1.0) for n in range(3000)], HELD_OUT: []}
    points = corpus_points(clips, latents_of(clips[TRAIN], small), None, MelSpectrogram(small), STRIDE)
    numbers = [int(name.removesuffix(".wav")) for name, _, _ in points.rows]
    assert len(points.rows) == len(points.pictures) == len(points.means) == MOST
    assert numbers[0] == 0 and numbers[-1] == 2999 and set(np.diff(numbers)) == {1, 2}


def test_what_a_sweep_says_is_among_the_settings_and_where_things_lie_is_not(tmp_path, recordings):
    said = ["model.module.betas=[0.8,0.9]", "vocoder=harmonic", "vocoder.own_mels=0.25", "note=hi", "experiment=tiny"]
    config = composed("train", tmp_path, *said)
    note_settings(tmp_path / "vae", config, said)
    note_settings(tmp_path / "harmonic", config, said)
    vae, vocoder = noted_settings(tmp_path / "vae"), noted_settings(tmp_path / "harmonic")
    assert vae["model.module.betas"] == "[0.8, 0.9]" and vae["experiment"] == "tiny"
    assert vocoder["vocoder.own_mels"] == 0.25 and vocoder["vocoder.name"] == "harmonic"
    assert all(key.startswith("vocoder.") for key in vocoder) and not any(key.startswith("vocoder") for key in vae)
    assert not {"note", "paths.home", "vocoder"} & (vae.keys() | vocoder.keys())
    note_settings(tmp_path / "vae", composed("train", tmp_path), [])
    assert "model.module.betas" not in noted_settings(tmp_path / "vae"), "it is one setting of many, unless it is said"


def test_damaged_and_missing_notes(trained, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(trained[0], home)
    run = Run(Home(home), "tiny")
    (run.stage("vae") / "settings.json").unlink()  # of a VAE from before there was such a note
    show_results(run)
    settings, errors = row(run.folder)
    assert all(key.startswith("vocoder.") for key in settings) and "error/vae_db" in errors
    (run.stage("hifigan") / "settings.json").write_text(json.dumps({})[:-1])
    with pytest.raises(UserError, match=r"hifigan/settings\.json is damaged .*: delete it"):
        show_results(run)
    assert row(run.folder) == (settings, errors) and written(run.folder) == {".layout": 1, ".results": 1}
