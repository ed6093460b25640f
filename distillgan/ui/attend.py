"""Stands beside a training and notes how it ended: `python -m distillgan.ui.attend FOLDER COMMAND…`

The page starts it in a session of its own, so that it outlives the page; its output, and the training's, is the log.
Without it nobody would know the exit code of a training whose page was closed meanwhile.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from distillgan.atomic import replace_file
from distillgan.signals import ENDING

OUTCOME, STOPPING = "outcome.json", "stopping"


def attend(folder: Path, command: list[str]) -> int:
    """Run the command, pass what is to end it on to it as SIGINT, and write {"code", "ended"} into the folder.

    `code` is the exit code, or minus the signal that killed it. Whoever signals puts a file `stopping` into the folder
    first: so what comes before there are handlers is not lost.
    """
    process = None

    def pass_on(signum: int, frame: object) -> None:
        if process is not None:
            process.send_signal(signal.SIGINT)

    # Handlers, not SIG_IGN, which the training would inherit.
    for signum in ENDING:
        signal.signal(signum, pass_on)
    process = subprocess.Popen(command)
    if (folder / STOPPING).exists():
        process.send_signal(signal.SIGINT)
    code = process.wait()
    with replace_file(folder / OUTCOME) as temporary:
        temporary.write_text(json.dumps({"code": code, "ended": time.time()}))
    return code


if __name__ == "__main__":
    attend(Path(sys.argv[1]), sys.argv[2:])
