"""One table of what a GPU does here.

    experiments/gpu/check.sh [--tiny] [--json FILE]

Each part is a process of its own with a time limit: one that fails, crashes or is too slow has its words in the table
and the others go on; the exit code is then 1. With --tiny everything is small and runs on the CPU, which shows that it
would run, and no more.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

# The parent must not touch CUDA: a process forked after that could not use it.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


@dataclass(frozen=True)
class Row:
    """What was measured, its value in words, and whether it is as it should be; `memory` in MiB at most, of the GPU."""

    what: str
    value: str
    good: bool = True
    memory: float | None = None


Part = Callable[[str, bool], Iterator[Row]]


def run(part: Part, device: str, tiny: bool, seconds: float) -> list[Row]:
    """The rows that the part yields within its time; a last one in words if it did not come to its end."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)
    process = fork.Process(target=_inside, args=(part, device, tiny, there), daemon=False)
    process.start()
    there.close()
    end, rows, done = time.monotonic() + seconds, [], False
    try:
        while not done and here.poll(max(0.0, end - time.monotonic())):
            row = here.recv()
            done = row is None
            rows += [] if done else [row]
        if not done:
            rows.append(Row("the rest", f"not within {seconds:g} s", good=False))
    except EOFError:
        process.join(5)
        rows.append(Row("the rest", f"its process ended with code {process.exitcode}", good=False))
    if process.is_alive() and not done:
        process.kill()
    process.join()
    return rows


def _inside(part: Part, device: str, tiny: bool, told: Connection) -> None:
    try:
        for row in part(device, tiny):
            told.send(row)
    except BaseException as fault:
        traceback.print_exc()
        told.send(Row("the rest", in_words(fault), good=False))
    told.send(None)


def in_words(fault: BaseException) -> str:
    """One line of it, fit for a cell."""
    lines = str(fault).strip().splitlines() or [""]
    return f"{type(fault).__name__}: {lines[0]}".replace("|", "\\|")[:300]


def table(found: dict[str, list[Row]], title: str) -> str:
    lines = [f"**{title}**", "", "| part | what | result | GPU memory at most | |", "|---|---|---|---:|---|"]
    for part, rows in found.items():
        for row in rows:
            memory = "" if row.memory is None else f"{row.memory:.0f} MiB"
            lines.append(f"| {part} | {row.what} | {row.value} | {memory} | {'' if row.good else '**FAILED**'} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="everything small, on the CPU")
    parser.add_argument("--json", type=Path, default=HERE / "check.json", help="where the rows go besides")
    given = parser.parse_args()
    import parts  # torch is imported once, before the processes are forked

    device = "cpu" if given.tiny else "cuda"
    begun, found = time.monotonic(), {}
    for name, part, seconds in parts.PARTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        # The limits are a GPU's; tiny is for processors that may be busy with other tests.
        found[name] = run(part, device, given.tiny, seconds * (5 if given.tiny else 1))
    title = " · ".join(row.value for row in found[parts.MACHINE] if row.good) or "no GPU"
    title += f" · {time.monotonic() - begun:.0f} s in all" + " · tiny, on the CPU: not a measurement" * given.tiny
    print(table(found, title))
    rows = [{"part": name, **asdict(row)} for name, rows in found.items() for row in rows]
    given.json.write_text(json.dumps({"title": title, "tiny": given.tiny, "rows": rows}, indent=1) + "\n")
    print(f"\nthe same as JSON: {given.json}", file=sys.stderr)
    return 0 if all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
