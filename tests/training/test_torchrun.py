"""Processes that torchrun starts: two of them, as on two machines, over loopback."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from processes import FOLDERS, TESTS
from support import trace

from distillgan.models.header import read_header
from distillgan.training.callbacks import load_checkpoint

pytestmark = pytest.mark.slow


def torchruns(folder: Path, *arguments: str) -> list[tuple[int, str]]:
    """A program by two torchruns, as on two machines; each one's exit code and all it said."""
    port, environment = find_free_network_port(), os.environ | {"OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    sides = []
    for rank in (0, 1):
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", f"--node-rank={rank}"),
            *("--master-addr=127.0.0.1", f"--master-port={port}", *arguments),
        ]
        log = (folder / f"log{rank}").open("w+")
        sides.append((subprocess.Popen(command, env=environment, stdout=log, stderr=log), log))
    try:
        codes = [side.wait(300) for side, _ in sides]
    finally:
        for side, _ in sides:
            side.send_signal(signal.SIGTERM)
    return [(code, Path(log.name).read_text()) for code, (_, log) in zip(codes, sides, strict=True)]


def nodes(home: Path, recordings: Path, *overrides: str) -> list[tuple[int, str]]:
    settings = ["trainer=ddp", "trainer.num_nodes=2", "trainer.devices=1", "device=cpu", f"data.dir={recordings}"]
    settings += ["experiment=tiny", "name=tiny", f"paths.home={home}", "vocoder=hifigan", *overrides]
    return torchruns(home, "-m", "distillgan.train", *settings)


SCRIPT = """
import os, sys, torch
from pathlib import Path
from distillgan.errors import UserError
from distillgan.training.distributed import Processes, check_shared, process_group
processes, home = Processes(torch.device("cpu"), 1, 2, True), Path(sys.argv[1])
with process_group(processes):
    check_shared(processes, home)
    for folder in (home / os.environ["RANK"], home / "nowhere"):
        try:
            check_shared(processes, folder)
        except (UserError, OSError) as error:
            print(error, flush=True)
"""


def test_machines_that_do_not_share_a_folder_are_told_so(tmp_path):
    """Each has a folder of its own, where on two machines one path would name two."""
    (tmp_path / "script.py").write_text(SCRIPT)
    for rank in "01":
        (tmp_path / rank).mkdir()
    for code, words in torchruns(tmp_path, str(tmp_path / "script.py"), str(tmp_path)):
        assert code == 0, words
        assert f"{tmp_path} is not one folder" not in words
        assert len(re.findall(rf"{tmp_path}/[01] is not one folder for all the machines", words)) == 1
        assert re.search(rf"No such file or directory: '{tmp_path}/nowhere", words)
    assert not list(tmp_path.rglob(".shared*"))


def test_other_processes_than_the_trainer_is_for_are_refused(tmp_path, recordings):
    for code, words in nodes(tmp_path, recordings, "trainer.devices=2"):
        assert code
        assert "torchrun started 2 processes, the trainer is for 4" in words


def test_two_machines_train_what_two_processes_of_one_do_though_one_was_killed(together, tmp_path, recordings):
    apart = tmp_path
    begun = time.monotonic()
    (first, words), (second, _) = nodes(apart, recordings, trace(apart / "ranks", "kill: VocoderModule"))
    assert first and second
    assert time.monotonic() - begun < 120, "the other one waited for it"
    assert "If another process of the training ended before, see what it said itself" in words
    assert load_checkpoint(apart / "runs" / "tiny" / "hifigan" / "last.ckpt")["steps_done"] == 2
    results = nodes(apart, recordings, trace(apart / "ranks"))
    assert [code for code, _ in results] == [0, 0], results
    assert "Corpus" in results[0][1] and "Corpus" not in results[1][1]

    notes = [[line.split() for line in Path(f"{apart / 'ranks'}.{rank}").read_text().splitlines()] for rank in (0, 1)]
    steps = [*"1234", "weights", *"123", *"34", "weights"]
    for noted in notes:
        assert [word for word, _ in noted if word != "pid"] == steps
    for ours, theirs in zip(*notes, strict=True):
        assert (ours[1] == theirs[1]) == (ours[0] == "weights"), ours[0]
    for folder in FOLDERS.values():
        one, two = (
            load_checkpoint(home / "runs" / "tiny" / folder / "last.ckpt")["state_dict"] for home in (together, apart)
        )
        assert one.keys() == two.keys()
        for name, tensor in one.items():
            torch.testing.assert_close(two[name], tensor, atol=1e-6, rtol=0, msg=f"{folder} {name}")
    statistics = read_header(apart / "models" / "tiny.distillgan").training
    assert statistics["vae"]["steps"] == statistics["vocoder"]["steps"] == 4
