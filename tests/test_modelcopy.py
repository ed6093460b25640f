"""Copies of model files: the same tensors byte for byte, the header that was asked for, and nothing damaged passes."""

import os
import re
import resource
import tracemalloc
from dataclasses import replace

import pytest
import torch
from crafted import STAGE

from distillgan.audio.spec import MelSpec
from distillgan.errors import UserError
from distillgan.models.header import Header, copy_model, damaged_tensors, read_header
from distillgan.models.modelfile import read_model, write_model

HEADER = Header(
    name="rain",
    mel=MelSpec(),
    vae={"latent_dim": 4},
    vocoder={"name": "hifigan", "generator": {}},
    corpus={"fingerprint": "abc", "minutes": 1.5, "files": 3},
    training={"vae": STAGE, "vocoder": STAGE},
    extra={"colour": "blue"},
)
TENSORS = {
    "vae.long": torch.arange(300_000.0),  # more than is read at once
    "vae.half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "vae.grün": torch.tensor([True, False, True]),
    "latent.none": torch.empty(0, 3),
    "vocoder.weight": torch.tensor([1e-7, -1e30], dtype=torch.float64),
}
CHANGES = {"name": "snow", "tags": ["field", "wet"], "note": "Schnee, Grüße ☂\n\x1b[31m"}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "rain.distillgan"
    write_model(path, HEADER, TENSORS)
    os.utime(path, ns=(10**18, 10**18))
    return path


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_copy_is_the_same_bytes_of_the_same_time(model, tmp_path):
    copy_model(model, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == model.read_bytes()
    assert (tmp_path / "copy").stat().st_mtime_ns == 10**18


def test_with_another_header_it_is_what_writing_it_would_have_given(model, tmp_path):
    before = read_header(model)
    copy_model(model, model, lambda header: replace(header, **CHANGES))
    write_model(tmp_path / "written", replace(HEADER, **CHANGES), TENSORS)
    assert model.read_bytes() == (tmp_path / "written").read_bytes()
    header, tensors = read_model(model)
    assert header == replace(before, **CHANGES) and header.fingerprint == before.fingerprint
    assert all(tensors[name].equal(tensor) for name, tensor in TENSORS.items())
    assert model.stat().st_mtime_ns == 10**18


def test_a_file_without_tags_has_none_and_keeps_what_is_unknown(tmp_path, model):
    """Files from before there were tags: the field is not in their header at all."""
    values = HEADER.to_dict()
    del values["tags"]
    written = type("Old", (Header,), {"to_dict": lambda self: {**values, "checksums": self.checksums}})
    fields = {key: value for key, value in vars(HEADER).items() if key != "checksums"}
    write_model(model, written(**fields), TENSORS)
    assert b"tags" not in model.read_bytes()[:5000]
    assert read_header(model).tags == []
    copy_model(model, model, lambda header: replace(header, tags=["a"]))
    assert read_header(model).tags == ["a"] and read_header(model).extra == {"colour": "blue"}


@pytest.mark.parametrize("tags", ["field", ["field", 3], {"a": 1}, None])
def test_tags_that_are_none(model, tags):
    with pytest.raises(UserError, match="its header field tags must "):
        copy_model(model, model, lambda header: replace(header, tags=tags))


def test_damage_is_found_in_every_tensor_and_never_copied(model, tmp_path):
    whole = model.read_bytes()
    assert damaged_tensors(model) == []
    start = 8 + int.from_bytes(whole[:8], "little")
    size = len(whole) - start
    found = set()
    for place in [*range(start, start + 4), *range(start, len(whole), 100_003), *range(len(whole) - 40, len(whole))]:
        flip(model, place)
        (name,) = damaged_tensors(model)
        found.add(name)
        with pytest.raises(UserError, match=re.escape(f"{model}: damaged: tensor ")):
            copy_model(model, tmp_path / "copy", lambda header: replace(header, name="x"))
        model.write_bytes(whole)
    assert found == {name for name, tensor in TENSORS.items() if tensor.numel()} and size > 1_200_000
    assert [entry.name for entry in tmp_path.iterdir()] == [model.name]


def test_several_damaged_tensors_are_all_named(model):
    start = 8 + int.from_bytes(model.read_bytes()[:8], "little")
    flip(model, start)
    flip(model, model.stat().st_size - 1)
    assert len(damaged_tensors(model)) == 2


def test_a_header_that_could_not_be_read_is_not_written(model):
    before = model.read_bytes()
    with pytest.raises(UserError, match="cannot name a model"):
        copy_model(model, model, lambda header: replace(header, name="../x"))
    assert model.read_bytes() == before and len(list(model.parent.iterdir())) == 1


def test_a_full_disk_is_told_of_the_copy(model, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path / 'copy'))} could not be written"):
            copy_model(model, tmp_path / "copy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == [model]


def test_no_source(tmp_path):
    with pytest.raises(UserError, match=r"nosuch\.distillgan does not exist"):
        copy_model(tmp_path / "nosuch.distillgan", tmp_path / "copy")
    assert not list(tmp_path.iterdir())


def test_a_large_model_is_copied_in_little_memory(tmp_path):
    path = tmp_path / "large.distillgan"
    write_model(path, HEADER, {**TENSORS, "vae.large": torch.zeros(5_000_000)})
    tracemalloc.start()
    copy_model(path, path, lambda header: replace(header, tags=["large"]))
    assert damaged_tensors(path) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000 < path.stat().st_size
