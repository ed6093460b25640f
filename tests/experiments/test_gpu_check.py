"""The check for a GPU: each part fails alone, in words, and within its time; out of that comes one table."""

import os
import sys
import time
from pathlib import Path

import pytest

GPU = Path(__file__).parents[2] / "experiments" / "gpu"


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(str(GPU))
    before = set(sys.modules)
    import check

    yield check
    for name in set(sys.modules) - before:  # its modules have short names: they are not to be another test's
        if getattr(sys.modules[name], "__file__", None) and Path(sys.modules[name].__file__).parent == GPU:
            del sys.modules[name]


def test_what_a_part_found_before_it_failed_is_kept(check):
    def failing(device, tiny):
        yield check.Row("first", f"on {device}")
        raise ValueError("two | lines\nof it")

    first, last = check.run(failing, "cpu", True, 20)
    assert first == check.Row("first", "on cpu")
    assert (last.value, last.good) == ("ValueError: two \\| lines", False)


def test_a_part_that_dies_or_takes_too_long_has_its_words_and_no_more_time(check):
    def dying(device, tiny):
        yield check.Row("first", "1")
        os._exit(3)

    def slow(device, tiny):
        yield check.Row("first", "1")
        time.sleep(60)

    assert check.run(dying, "cpu", True, 20)[1] == check.Row("the rest", "its process ended with code 3", good=False)
    begun = time.monotonic()
    assert check.run(slow, "cpu", True, 0.5)[1] == check.Row("the rest", "not within 0.5 s", good=False)
    assert time.monotonic() - begun < 10


def test_the_table(check):
    rows = {"a": [check.Row("x", "1 s", memory=12.4)], "b": [check.Row("y", "no", good=False)]}
    lines = check.table(rows, "a GPU").splitlines()
    assert lines[0] == "**a GPU**" and lines[4] == "| a | x | 1 s | 12 MiB |  |"
    assert lines[5] == "| b | y | no |  | **FAILED** |" and {line.count("|") for line in lines[2:]} == {6}


def test_all_parts_together_fit_into_eight_minutes(check):
    import parts

    assert sum(seconds for _, _, seconds in parts.PARTS) <= 460
    assert {name for name, _, _ in parts.PARTS} >= {"tests", "as on the CPU", "VAE", "BigVGAN plays", "out of memory"}
    assert set(parts.TOLERANCES) == {"mel", "VAE", "universal vocoder", "HiFi-GAN", "BigVGAN"}


def test_the_parts_that_need_no_other_process_run_and_are_as_they_should_be(check):
    """The rest is run by CI: experiments/gpu/check.sh --tiny."""
    import parts

    for part in (parts.equality, parts.out_of_memory):
        rows = list(part("cpu", True))
        assert rows and all(row.good for row in rows), rows
    words = next(iter(parts.out_of_memory("cpu", True))).value
    assert words.startswith("UserError: rendering: this computer's memory ran out (")


def test_where_there_is_no_gpu_it_says_so(check):
    import torch
    from parts import machine

    from distillgan.errors import UserError

    if torch.cuda.is_available():
        assert [row.what for row in machine("cuda", False)] == ["device", "software"]
    else:
        with pytest.raises(UserError, match="sees no CUDA GPU: --tiny runs on the CPU"):
            list(machine("cuda", False))
