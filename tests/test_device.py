"""What computes, as a model's header tells it."""

import os

import pytest
import torch

from distillgan import compute


def test_hardware_is_told_and_the_machine_is_not():
    found = compute.hardware(torch.device("cpu"))
    assert found.keys() == {"hardware", "cores", "torch"} and found["torch"] == torch.__version__
    assert 1 <= found["cores"] <= os.cpu_count()
    assert found["hardware"] == found["hardware"].strip() != "" and os.uname().nodename not in found["hardware"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone can be told")
def test_fewer_cores_are_told_where_fewer_may_be_used():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert compute.hardware(torch.device("cpu"))["cores"] == 1
    finally:
        os.sched_setaffinity(0, allowed)
