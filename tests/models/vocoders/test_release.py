"""Pins: the one of the release, and every way that another can be wrong."""

import errno
import os
import re
from pathlib import Path

import pytest
from hub import CONFIG, REPO, REVISION, small_release, write_pin

from distillgan.errors import UserError
from distillgan.models.vocoders.weights import Release
from distillgan.vendor import bigvgan


def test_the_pin_of_the_release():
    release = Release.read(Path(bigvgan.__file__).with_name("PIN"))
    assert release.repo == "nvidia/bigvgan_v2_44khz_128band_512x" and len(release.revision) == 40
    assert (release.config.size, release.checkpoint.size) == (1403, 489041291)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace(REVISION, "main"), "hub_revision='main' must be a commit, 40 hex digits"),
        (lambda text: text.replace(REPO, "../../etc"), "hub_repo='../../etc' must be a repository, owner/name"),
        (lambda text: text.replace(REPO, "../.."), "hub_repo='../..' is none that the hub allows"),
        (lambda text: text.replace(REPO, "a/b--c"), "hub_repo='a/b--c' is none that the hub allows"),
        (lambda text: re.sub(r"bytes: \d+", "bytes: true", text), "bytes=True must be a whole number"),
        (lambda text: "3", "expected keys and values"),
        (lambda text: "name: !!python/object/apply:os.getcwd []", "is no pin"),
        (lambda text: text.replace(CONFIG, "other.json"), "config.json must have bytes and sha256"),
        (lambda text: re.sub(r"bytes: \d+", "bytes: -1", text), "bytes=-1 must be a whole number"),
        (lambda text: re.sub(r"sha256: \w+", "sha256: abc", text), "sha256='abc' must be 64 hex digits"),
        (lambda _: "- 1\n- 2\n", "expected keys and values"),
        (lambda _: "{", "is no pin"),
        (lambda _: "\0", "is no pin"),
    ],
)
def test_a_bad_pin_is_named_with_its_fault(tmp_path, change, words):
    pin = write_pin(tmp_path / "PIN", small_release())
    pin.write_text(change(pin.read_text()))
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        Release.read(pin)
    assert str(pin) in str(caught.value)


def test_a_pin_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path / 'PIN'}: the pin cannot be read: {os.strerror(errno.ENOENT)}"):
        Release.read(tmp_path / "PIN")
