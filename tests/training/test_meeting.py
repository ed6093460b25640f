"""Processes that something else has started: two of them as two machines on loopback, as torchrun starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from processes import FOLDERS, TESTS
from support import trace

from distillgan.models.header import read_header
from distillgan.training.callbacks import load_checkpoint

pytestmark = pytest.mark.slow

# What a process does that torchrun has started: it meets the other, asks whether a folder is the same for both, and is
# left by it.
SCRIPT = """
import os, sys, torch
from pathlib import Path
from lightning.fabric import Fabric
from distillgan.errors import UserError
from distillgan.training import meeting
home = Path(sys.argv[1])
meeting._MEETING_SECONDS = float(sys.argv[2])
fabric = Fabric(accelerator="cpu", devices=1, num_nodes=2, strategy="ddp")
pulse = meeting.join(fabric, "2 × cpu")
meeting.check_shared(fabric, home)
for folder in (home / os.environ["RANK"], home / "nowhere"):
    try:
        meeting.check_shared(fabric, folder)
    except UserError as error:
        print(error, flush=True)
if fabric.global_rank == 1:
    os._exit(7)
try:
    fabric.barrier()
except RuntimeError as error:
    print(meeting.parted(error), flush=True)
"""


def alone(rank: int, port: int, home: Path, seconds: float) -> subprocess.Popen:
    environment = os.environ | {
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2"},
        **{"RANK": str(rank), "LOCAL_RANK": "0", "GROUP_RANK": str(rank), "OMP_NUM_THREADS": "1"},
    }
    command = [sys.executable, "-c", SCRIPT, str(home), str(seconds)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, cwd=TESTS.parent, **pipes)


def test_they_meet_ask_for_one_folder_and_notice_who_leaves(tmp_path):
    port = find_free_network_port()
    sides = [alone(rank, port, tmp_path, 300) for rank in (0, 1)]
    said = [side.communicate(timeout=300) for side in sides]
    assert [side.returncode for side in sides] == [0, 7], said
    for rank in (0, 1):
        differing, missing, *rest = said[rank][0].splitlines()
        assert differing.startswith(
            f"{tmp_path / str(rank)} is not one folder for all the machines that train together"
        )
        assert missing.startswith(f"{tmp_path / 'nowhere'} is not one folder")
        assert len(rest) == (1 if rank == 0 else 0)
    assert said[0][0].splitlines()[2].startswith("another process of the training has ended or is out of reach; see")
    assert "Start the same command again on every machine" in said[0][0]


def test_who_waits_in_vain_is_told_so(tmp_path):
    side = alone(0, find_free_network_port(), tmp_path, 1.0)
    _, said = side.communicate(timeout=300)
    assert side.returncode == 1
    assert "error: the 2 × cpu did not all meet within 0 minutes. Start the same command on every machine" in said
    assert "Traceback" not in said


def nodes(home: Path, recordings: Path, *overrides: str) -> list[tuple[int, str]]:
    """A training by two torchruns, as on two machines; each one's exit code and all it said."""
    port, environment = find_free_network_port(), os.environ | {"OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    sides = []
    for rank in (0, 1):
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", f"--node-rank={rank}"),
            *("--master-addr=127.0.0.1", f"--master-port={port}", "-m", "distillgan.train", "experiment=tiny"),
            *("trainer=ddp", "trainer.num_nodes=2", "trainer.devices=1", "device=cpu", f"data.dir={recordings}"),
            *("name=tiny", f"paths.home={home}", "vocoder=hifigan", *overrides),
        ]
        log = (home / f"log{rank}").open("w+")
        sides.append((subprocess.Popen(command, env=environment, stdout=log, stderr=log), log))
    try:
        codes = [side.wait(300) for side, _ in sides]
    finally:
        for side, _ in sides:
            side.send_signal(signal.SIGTERM)
    return [(code, Path(log.name).read_text()) for code, (_, log) in zip(codes, sides, strict=True)]


@pytest.mark.slow
def test_two_machines_train_what_two_processes_of_one_do_though_one_was_killed(together, tmp_path, recordings):
    apart = tmp_path
    (first, said), (second, _) = nodes(apart, recordings, trace(apart / "ranks", "kill: VocoderModule"))
    assert first and second
    assert "error: another process of the training has ended or is out of reach" in said
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
