"""Bad model files: for each a fault in words that names the file, never another exception, never code that runs."""

import hashlib
import json
import os
import pickle
import wave
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distillgan.audio.mel import MelSpec
from distillgan.errors import UserError
from distillgan.models.header import Header, read_header
from distillgan.models.modelfile import read_model, write_model

STAGE = {"steps": 100, "seconds": 2.5, "date": "2025-01-02T03:04:05+00:00", "loss": 0.25}
HEADER = Header(
    name="rain",
    mel=MelSpec(),
    vae={"latent_dim": 4},
    vocoder={"name": "hifigan", "generator": {"channels": 8}},
    corpus={"fingerprint": "abc", "minutes": 1.5, "files": 3},
    training={"vae": STAGE, "vocoder": STAGE},
)
TENSORS = {
    "vae.weight": torch.arange(6.0).reshape(2, 3),
    "latent.count": torch.tensor(7),
    "latent.none": torch.empty(0, 3),
    "vocoder.weight": torch.ones(2),
}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "rain.distillgan"
    write_model(path, HEADER, TENSORS)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A path to write to, the bytes of a model of two tensors, and what reading it gives."""
    path = tmp_path_factory.mktemp("small") / "small.distillgan"
    write_model(path, replace(HEADER, vocoder=None), {name: TENSORS[name] for name in ("vae.weight", "latent.count")})
    return path, path.read_bytes(), read_model(path)


def repack(data, change_entries=None, change_header=None, seal=True):
    """A model's bytes with its safetensors entries or its own header changed; all lengths and checksums made right."""
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    if change_header:
        header = json.loads(entries["__metadata__"]["distillgan"])
        del header["sha256"]
        change_header(header)
        body = json.dumps(header)
        digest = hashlib.sha256(body.encode()).hexdigest() if seal else "0" * 64
        entries["__metadata__"]["distillgan"] = f'{body[:-1]},"sha256":"{digest}"}}'
    if change_entries:
        change_entries(entries)
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def put(*keys, value):
    """A change: set the item that `keys` lead to."""

    def change(values):
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return change


def drop(*keys):
    """A change: remove the item that `keys` lead to."""

    def change(values):
        for key in keys[:-1]:
            values = values[key]
        del values[keys[-1]]

    return change


def rename(old, new):
    def change(values):
        values[new] = values.pop(old)

    return change


def flipped_last_byte(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def framed(text):
    return len(text).to_bytes(8, "little") + text


W = "vae.weight"
BAD_FILES = {
    "empty": (lambda d: b"", "empty"),
    "few bytes": (lambda d: d[:5], "truncated: 5 bytes"),
    "cut in the header": (lambda d: d[:100], "truncated: 100 bytes, its header alone promises"),
    "cut in the tensors": (lambda d: d[:-1], "truncated: .* bytes, its header promises"),
    "bytes behind": (lambda d: d + b"x", "damaged: .* bytes, its header promises"),
    "a wav": (lambda d: b"RIFF\x24\x80\x00\x00WAVEfmt " + bytes(40), "not a model but a WAV file"),
    "a png": (lambda d: b"\x89PNG\r\n\x1a\n" + bytes(40), "not a model but a PNG"),
    "a zip": (lambda d: b"PK\x03\x04\x14\x00\x00\x00\x08" + bytes(40), "made by version 1 .*retrain"),
    "text": (lambda d: b"hello, this is no model", "not a model: a safetensors file does not start with"),
    "absurd length": (lambda d: b"\xff" * 7 + b"\x7f{" + bytes(99), "header claims 9223372036854775807 bytes"),
    "no length": (lambda d: bytes(8) + b"{" + bytes(99), "header claims 0 bytes"),
    "not utf-8": (lambda d: framed(b'{"\xff": 1}'), "is not UTF-8"),
    "not json": (lambda d: framed(b"{hello}"), "safetensors header is not JSON"),
    "nan": (lambda d: framed(b'{"a": NaN}'), "is not JSON"),
    "endless": (lambda d: framed(b'{"a": 1e999}'), "is not JSON"),
    "long number": (lambda d: framed(b'{"a": ' + b"9" * 5000 + b"}"), "is not JSON"),
    "deep": (lambda d: framed(b'{"a":' + b"[" * 99_999), "is not JSON"),
    "another's": (lambda d: safetensors.torch.save({"a": torch.ones(1)}), "not made by distillgan"),
    "another's metadata": (lambda d: safetensors.torch.save({"a": torch.ones(1)}, {"b": "c"}), "not made by"),
    "header no text": (lambda d: repack(d, put("__metadata__", "distillgan", value=5)), "not made by distillgan"),
    "header no json": (lambda d: repack(d, put("__metadata__", "distillgan", value="x")), "header is not JSON"),
    "header a list": (lambda d: repack(d, put("__metadata__", "distillgan", value="[1]")), "not a JSON object"),
    "header surrogate": (
        lambda d: repack(d, put("__metadata__", "distillgan", value='{"schema":2,"sha256":"","\ud800":1}')),
        "does not match its checksum",
    ),
    "edited": (lambda d: repack(d, None, put("note", value="mine"), seal=False), "header does not match its checksum"),
    "newer": (lambda d: repack(d, None, put("schema", value=3)), "made by a newer distillgan.*[Uu]pdate"),
    "older": (lambda d: repack(d, None, put("schema", value=1)), "schema is 1"),
    "schema text": (lambda d: repack(d, None, put("schema", value="2")), "schema must be a whole number, not '2'"),
    "name": (lambda d: repack(d, None, put("name", value="../../etc/x")), "cannot name a model"),
    "minutes": (lambda d: repack(d, None, put("corpus", "minutes", value=True)), "corpus.minutes must be a number"),
    "steps": (lambda d: repack(d, None, drop("training", "vae", "steps")), "lacks the field training.vae.steps"),
    "vocoder": (lambda d: repack(d, None, put("vocoder", value=[])), "vocoder must be a JSON object or null"),
    "generator": (lambda d: repack(d, None, drop("vocoder", "generator")), "lacks the field vocoder.generator"),
    "mel field": (lambda d: repack(d, None, drop("mel", "n_fft")), "mel spec has the fields"),
    "mel text": (lambda d: repack(d, None, put("mel", "n_fft", value="big")), "mel holds a value that is no number"),
    "mel half": (lambda d: repack(d, None, put("mel", "n_fft", value=2048.5)), "mel.n_fft=2048.5 is not a number"),
    "mel order": (lambda d: repack(d, None, put("mel", "f_min", value=1e9)), "must be ordered"),
    "created": (lambda d: repack(d, None, put("created", value="2025-01-01")), "not an ISO 8601 time in UTC"),
    "checksum type": (lambda d: repack(d, None, put("checksums", W, value=1)), "checksums must hold texts"),
    "no checksum": (lambda d: repack(d, None, drop("checksums", W)), "'vae.weight' has no checksum"),
    "one too many": (lambda d: repack(d, None, put("checksums", "vae.x", value="")), "'vae.x' is in .*, but missing"),
    "no vocoder": (lambda d: repack(d, None, put("vocoder", value=None)), "describes no vocoder"),
    "no tensors": (lambda d: repack(d, rename("vocoder.weight", "vae.v")), "has no vocoder"),
    "name of a tensor": (lambda d: repack(d, rename(W, "x.\n")), r"tensor 'x.\\n' starts with none"),
    "tensor no object": (lambda d: repack(d, put(W, value=3)), "lacks its data_offsets"),
    "no dtype": (lambda d: repack(d, drop(W, "dtype")), "lacks its dtype"),
    "dtype": (lambda d: repack(d, put(W, "dtype", value="F4")), "'vae.weight' is of dtype 'F4'"),
    "other dtype": (lambda d: repack(d, put(W, "dtype", value="I32")), "'vae.weight' does not match its checksum"),
    "other shape": (lambda d: repack(d, put(W, "shape", value=[3, 2])), "'vae.weight' does not match its checksum"),
    "shape": (lambda d: repack(d, put(W, "shape", value=[2, 4])), "takes 32 bytes, the file has 24"),
    "negative": (lambda d: repack(d, put(W, "shape", value=[-2, -3])), "has the shape"),
    "huge": (lambda d: repack(d, put("latent.none", "shape", value=[0, 2**62, 2**62])), "has the shape"),
    "sides": (lambda d: repack(d, put(W, "shape", value=[1] * 99 + [6])), "has the shape"),
    "offsets text": (lambda d: repack(d, put(W, "data_offsets", value="ab")), "lacks its data_offsets|has the data_"),
    "offsets one": (lambda d: repack(d, put(W, "data_offsets", value=[0])), "lacks its data_offsets"),
    "offsets float": (lambda d: repack(d, put(W, "data_offsets", value=[0.0, 24.0])), "has the data_offsets"),
    "outside": (lambda d: repack(d, put(W, "data_offsets", value=[10**9, 10**9 + 24])), "truncated"),
    "overlap": (lambda d: repack(d, put(W, "data_offsets", value=[0, 24])), "starts at byte"),
    "a flipped bit": (flipped_last_byte, "does not match its checksum"),
}


@pytest.mark.parametrize(("spoil", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(model, spoil, words):
    model.write_bytes(spoil(model.read_bytes()))
    with pytest.raises(UserError, match=words) as caught:
        read_model(model)
    assert str(caught.value).startswith(f"{model}: ") and len(str(caught.value)) < 600
    try:
        read_header(model)
    except UserError as fault:
        assert str(fault) == str(caught.value)


def test_places_that_hold_no_model(model, tmp_path):
    (tmp_path / ".hidden.distillgan").write_bytes(b"")
    empty = tmp_path / "empty"
    empty.mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path, words in {
        tmp_path / "snow.distillgan": f"snow.distillgan does not exist; the models in {tmp_path} are rain$",
        model / "below": "does not exist",
        empty / "snow.distillgan": f"does not exist, and there are no models in {empty}: train one",
        empty: "a folder, not a model",
        tmp_path / "pipe": "not a file",
        tmp_path / "nul\0": "cannot be read",
        tmp_path / ("x" * 300): "cannot be read",
    }.items():
        with pytest.raises(UserError, match=words):
            read_header(path)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["old.distill", "old.distillgan", "old"])
@pytest.mark.parametrize("kind", ["zip", "legacy", 2, 3, 4, 5])
def test_no_pickle_is_ever_loaded(tmp_path, name, kind):
    planted, path = tmp_path / "planted", tmp_path / name
    if isinstance(kind, int):
        path.write_bytes(pickle.dumps(Bomb(planted), protocol=kind))
    else:
        torch.save(Bomb(planted), path, _use_new_zipfile_serialization=kind == "zip")
    for read in (read_header, read_model):
        with pytest.raises(UserError, match=r"made by version 1 \(or a PyTorch pickle\).*can run code.*retrain"):
            read(path)
    assert not planted.exists()
    torch.load(path, weights_only=False) if isinstance(kind, str) else pickle.loads(path.read_bytes())
    assert planted.exists()


def test_a_header_whose_length_looks_like_a_pickle(tmp_path):
    """A little-endian length that ends in 0x0280 starts with the two bytes of a pickle of protocol 2."""
    path = tmp_path / "m.distillgan"
    write_model(path, replace(HEADER, note=""), TENSORS)
    length = int.from_bytes(path.read_bytes()[:8], "little")
    padding = (0x0280 - length) % 0x10000
    write_model(path, replace(HEADER, note="x" * padding), TENSORS)
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert len(read_header(path).note) == padding


def test_a_real_wav_renamed(tmp_path):
    path = tmp_path / "rain.distillgan"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 44100, 0, "NONE", ""))
        file.writeframes(bytes(1000))
    with pytest.raises(UserError, match="not a model but a WAV file"):
        read_model(path)


def read_or_fault(small, data):
    """Raises whatever is not a UserError; fails if the file reads as anything but the original."""
    path, _, (header, tensors) = small
    path.write_bytes(data)
    with suppress(UserError):
        assert read_header(path) == header
    with suppress(UserError):
        read, others = read_model(path)
        assert read == header and others.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert others[name].dtype == tensor.dtype and others[name].equal(tensor)


def test_cut_anywhere(small):
    path, data, _ = small
    path.write_bytes(data)
    for length in reversed(range(len(data))):
        os.truncate(path, length)
        with pytest.raises(UserError):
            read_model(path)


def test_a_bit_flipped_in_every_byte(small):
    _, data, _ = small
    for position in range(len(data)):
        flipped = data[position] ^ 1 << position % 8
        read_or_fault(small, data[:position] + bytes([flipped]) + data[position + 1 :])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_bytes_changed_inserted_removed(small, data):
    original = small[1]
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, min(start + 20, len(original))))
    read_or_fault(small, original[:start] + data.draw(st.binary(max_size=20)) + original[end:])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda text: framed(b"{" + text)))
def test_any_bytes(small, data):
    read_or_fault(small, data)
