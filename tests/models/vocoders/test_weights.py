"""Fetching weights from a hub: every way it can go, against a real server."""

import itertools
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hub import CHECKPOINT, CONFIG, REPO, REVISION, small_release, write_pin
from huggingface_hub import constants

from distillgan.errors import UserError
from distillgan.models.vocoders import weights
from distillgan.models.vocoders import weights as download
from distillgan.models.vocoders.bigvgan import BigVGANVocoder
from distillgan.models.vocoders.weights import Release, Weights
from distillgan.progress import Cancelled


@pytest.fixture
def small(tmp_path) -> Weights:
    return made(tmp_path)


def made(tmp_path, folder=None) -> Weights:
    pin = write_pin(tmp_path / "PIN", small_release())
    return Weights(Release.read(pin), tmp_path / "weights.json", folder)


def leftovers(tmp_path) -> list[str]:
    """What lies in the cache besides whole files, links and the client's own marks."""
    return [p.name for p in (tmp_path / "hub").rglob("*") if p.name.endswith(".incomplete")]


def test_first_download_then_none(hub, small):
    assert not small.here()
    seen = []
    config, checkpoint = small.get(seen.append)
    assert config.read_bytes() == hub.files[CONFIG] and checkpoint.read_bytes() == hub.files[CHECKPOINT]
    assert REVISION in str(config) and Path(constants.HF_HUB_CACHE) in config.parents
    assert BigVGANVocoder.from_files(config, checkpoint).context_frames == 21
    of_checkpoint = [transfer for transfer in seen if transfer.file == CHECKPOINT]
    size = len(hub.files[CHECKPOINT])
    assert {t.total for t in of_checkpoint} == {size} and of_checkpoint[-1].done == size
    assert all(a.done < b.done for a, b in itertools.pairwise(of_checkpoint))
    assert of_checkpoint[-1].seconds_left == 0

    asked = len(hub.requests)
    assert small.here() and small.get() == (config, checkpoint)
    assert len(hub.requests) == asked, "cached weights load with no network call at all"


def test_cached_weights_need_no_hub(hub, small, monkeypatch):
    paths = small.get()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert small.get() == paths


@pytest.mark.parametrize("breaks", [[100_000], [1000, 50_000, 3000]])
def test_a_broken_connection_is_resumed(hub, small, breaks, tmp_path):
    hub.break_after = list(breaks)
    _, checkpoint = small.get()
    assert checkpoint.read_bytes() == hub.files[CHECKPOINT]
    spans = [span for path, span in hub.gets() if path.endswith(CHECKPOINT) and path.startswith("/cdn")]
    # Nothing is sent twice: each attempt begins where the last one broke.
    assert spans == ["", *(f"bytes={sum(breaks[: n + 1])}-" for n in range(len(breaks)))]


def test_cancelled_from_the_callback(hub, small, tmp_path):
    def stop(transfer):
        if transfer.file == CHECKPOINT:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        small.get(stop)
    assert small.find(small.release.checkpoint) is None and not leftovers(tmp_path)
    assert small.get()[1].read_bytes() == hub.files[CHECKPOINT]


def refused(small, *words) -> str:
    begun = time.monotonic()
    with pytest.raises(UserError) as caught:
        small.get()
    assert time.monotonic() - begun < 10
    said = str(caught.value)
    # Whatever went wrong, all that is needed to fetch the files by hand.
    here = (REPO, REVISION, CONFIG, CHECKPOINT, constants.HF_HUB_CACHE, "vocoder.weights_dir=PATH")
    assert all(word in said for word in (*words, *here)), said
    return said


def test_a_wrong_file_is_never_used_and_replaced_by_the_right_one(hub, small):
    hub.spoilt = True
    refused(small, "what the hub sent is not kept", "sha256", small.release.checkpoint.sha256)
    assert small.find(small.release.checkpoint) is None
    refused(small, "what the hub sent is not kept")
    with pytest.raises(UserError, match=f"there is no {CHECKPOINT}"):
        small.verify()
    hub.spoilt = False
    assert small.get()[1].read_bytes() == hub.files[CHECKPOINT]
    assert small.verify() == small.get()


def test_another_file_of_the_same_revision_is_replaced_too(hub, small, tmp_path):
    """Under another ETag the client keeps both, and goes on naming the first."""
    right = hub.files[CHECKPOINT]
    wrong = right[:-1] + bytes([right[-1] ^ 1])
    hub.files[CHECKPOINT] = wrong
    write_pin(tmp_path / "PIN", {CONFIG: hub.files[CONFIG], CHECKPOINT: wrong})
    of_another_pin = Weights(Release.read(tmp_path / "PIN"), tmp_path / "weights.json")
    assert of_another_pin.get()[1].read_bytes() == wrong
    hub.files[CHECKPOINT] = right
    assert small.get()[1].read_bytes() == right


def test_a_file_damaged_in_the_cache_is_fetched_again_or_refused(hub, small, monkeypatch):
    path = small.get()[1]
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert not small.checked(small.release.checkpoint) and small.checked(small.release.config)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(small, "HF_HUB_OFFLINE is set")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert small.get()[1].read_bytes() == hub.files[CHECKPOINT]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RevisionNotFound", "no such revision"),
        (404, "EntryNotFound", "no such file at this revision"),
        (404, "RepoNotFound", "the hub refuses (404): there is no such repository"),
        (401, "RepoNotFound", "the hub refuses (401): there is no such repository, or it wants a token (HF_TOKEN)"),
        (401, "", "the hub refuses (401)"),
        (403, "GatedRepo", "wants its terms accepted"),
        (403, "", "the hub refuses (403)"),
        (503, "", "answers with an error (503)"),
    ],
)
def test_what_the_hub_answers_is_told(hub, small, status, code, words):
    hub.status, hub.error_code = status, code
    refused(small, f"{CONFIG} could not be fetched", words)


def test_a_server_that_is_no_hub(hub, small):
    hub.foreign = True
    refused(small, "does not answer like a hub")


def test_no_connection(hub, small, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template.replace(hub.url, "http://127.0.0.1:9"))
    refused(small, "there is no connection to http://127.0.0.1:9")


def test_the_network_forbidden(hub, small, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(small, "HF_HUB_OFFLINE is set")
    assert not hub.requests


def test_a_mute_server(hub, small):
    hub.mute = True
    refused(small, "did not answer in time")


def test_a_name_that_is_looked_up_for_ever(hub, small, monkeypatch):
    monkeypatch.setattr(download, "_PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(download, "get_hf_file_metadata", lambda *_, **__: hub.done.wait())
    refused(small, "did not answer in time")


@pytest.mark.slow
def test_a_server_that_stalls_in_the_middle(hub, small, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.stall = True
    refused(small, f"{CHECKPOINT} could not be fetched", "did not answer in time")
    assert not leftovers(tmp_path)


def test_a_connection_that_is_reset(hub, small, tmp_path):
    hub.break_after, hub.reset = [1000] * 9, True
    refused(small, "broke")
    assert not leftovers(tmp_path)


def test_too_little_room_is_told_before_the_download(hub, small, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused(small, "the disk is full", "MB are needed", "HF_HOME")
    assert not hub.gets()


def test_a_disk_that_fills_up_in_the_middle(hub, small, monkeypatch, tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        refused(
            small, f"{CHECKPOINT} could not be fetched", "larger than the system allows: raise the limit (ulimit -f)"
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not leftovers(tmp_path)
    assert small.get()[1].read_bytes() == hub.files[CHECKPOINT]


def test_a_cache_that_may_not_be_written(hub, small, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    refused(small, "could not be fetched: ", f"{tmp_path / 'file'}", "cannot be written (Not a directory): set HF_HOME")


@pytest.mark.parametrize("endpoint", ["", "foo", "http://"])
def test_an_endpoint_that_is_no_address(hub, small, monkeypatch, endpoint):
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    refused(small, f"HF_ENDPOINT={endpoint!r} is no address of a hub")


def test_halves_that_a_killed_process_left_are_cleared_away(hub, small):
    checkpoint = small.get()[1]
    blob = Path(os.path.realpath(checkpoint))
    old, young = (blob.with_name(f"{blob.name}.{mark}.incomplete") for mark in ("0badcafe", "12345678"))
    for half in (old, young):
        half.touch()
    os.utime(old, (0, 0))
    checkpoint.write_bytes(b"!")  # so that it is fetched again
    small.get()
    assert not old.exists() and young.exists()


# --- a folder of one's own ------------------------------------------------------------------------------------------


@pytest.fixture
def by_hand(tmp_path) -> Path:
    folder = tmp_path / "by hand"
    folder.mkdir()
    for name, content in small_release().items():
        (folder / name).write_bytes(content)
    return folder


def test_files_fetched_by_hand(hub, by_hand, tmp_path):
    assert made(tmp_path, by_hand).get() == (by_hand / CONFIG, by_hand / CHECKPOINT)
    assert not hub.requests


def test_a_folder_that_lacks_a_file_is_refused_without_asking_the_hub(hub, by_hand, tmp_path):
    (by_hand / CHECKPOINT).unlink()
    refused(made(tmp_path, by_hand), f"vocoder.weights_dir={by_hand}: there is no {CHECKPOINT}")
    for other in (by_hand / "nosuch", by_hand / CONFIG):
        refused(made(tmp_path, other), f"vocoder.weights_dir={other}: there is no such folder")
    assert not hub.requests


@pytest.mark.parametrize("cut", [True, False])
def test_a_folder_with_another_file_is_refused(hub, by_hand, tmp_path, cut):
    path = by_hand / CHECKPOINT
    content = path.read_bytes()
    path.write_bytes(content[:1000] if cut else content[:-1] + b"!")
    refused(made(tmp_path, by_hand), str(path), "it has 1000 bytes" if cut else "its sha256 is")


# --- checked once ---------------------------------------------------------------------------------------------------


def test_hashed_once_and_again_when_changed(by_hand, tmp_path, monkeypatch):
    hashed, real = [], weights.hashlib.file_digest
    monkeypatch.setattr(weights.hashlib, "file_digest", lambda *a: hashed.append(a) or real(*a))
    made(tmp_path, by_hand).get()
    made(tmp_path, by_hand).get()
    assert len(hashed) == 2, "one for each file, in both calls together"
    made(tmp_path, by_hand).verify()
    assert len(hashed) == 4
    path = by_hand / CHECKPOINT
    stat = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a copying program would leave it
    with pytest.raises(UserError, match="sha256"):
        made(tmp_path, by_hand).get()


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 3}', "\0"])
def test_a_damaged_memory_is_forgotten(by_hand, tmp_path, content):
    made(tmp_path, by_hand).get()
    (tmp_path / "weights.json").write_text(content)
    made(tmp_path, by_hand).get()
    assert len(json.loads((tmp_path / "weights.json").read_text())) >= 2
