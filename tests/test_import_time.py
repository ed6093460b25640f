"""What starts in a fraction of a second: the package, help, and the help of every command."""

import itertools
import resource
import subprocess
import sys

import pytest

HEAVY = {"torch", "lightning", "matplotlib", "librosa", "numba", "scipy", "gradio", "pandas", "huggingface_hub"}


def seconds_of(*command: str) -> float:
    """The processor's seconds of a Python process, the lesser of two: its neighbours' load is no part of them."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    marks = [used()]
    for _ in range(2):
        subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
        marks.append(used())
    return min(after - before for before, after in itertools.pairwise(marks))


def test_the_package_is_imported_in_three_tenths_of_a_second():
    assert seconds_of("-c", "import distillgan") < 0.3


def test_help_comes_in_seven_tenths_of_a_second():
    assert seconds_of("-m", "distillgan.cli.main", "--help") < 0.7


@pytest.mark.parametrize(
    "command",
    [
        *("distillgan.train --help", "distillgan.generate --model rain -h", "distillgan.evaluate --help --model rain"),
        *("distillgan.cli.main train --help", "distillgan.cli.main ui --help", "distillgan.cli.main weights --help"),
        *("distillgan.cli.main controls rain --help", "distillgan.cli.main export-vocoder --help"),
        *("distillgan.cli.main models --help", "distillgan.cli.main history --help"),
    ],
)
def test_a_commands_help_waits_for_nothing_heavy(command):
    module, *words = command.split()
    code = "import atexit, runpy, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    code += f"sys.argv = [sys.argv[0], *{words}]; runpy.run_module({module!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage: " in done.stdout or "== Config ==" in done.stdout
    assert not HEAVY & set(done.stderr.split())
