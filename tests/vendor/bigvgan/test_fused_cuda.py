"""The alias-free activation's GPU form: its kernel on a CPU in Triton's interpreter, its fallback, and a real GPU.

Run as a program, with TRITON_INTERPRET=1, this file prints what the kernel does to each case as JSON.
"""

import importlib.util
import json
import logging
import os
import subprocess
import sys
import time
from types import ModuleType

import pytest
import torch

from distillgan.vendor.bigvgan import activation
from distillgan.vendor.bigvgan.activation import AliasFree, Snake, SnakeBeta
from distillgan.vendor.bigvgan.generator import BigVGANGenerator

KERNEL = "distillgan.vendor.bigvgan.fused_cuda"
# One block gives 504 samples.
SHAPES = [(1, 1, n) for n in (1, 2, 3, 4, 5, 6, 7)]
SHAPES += [(1, 3, n) for n in (501, 502, 503, 504, 505, 506, 507, 1008, 1010, 1513)]
SHAPES += [(2, 3, 700), (3, 7, 130), (1, 40, 9)]
KINDS = [(Snake, True), (Snake, False), (SnakeBeta, True), (SnakeBeta, False)]
LARGE = [30, 1e3, 9e3]

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


def drawn(channels: int, kind=SnakeBeta, log_scale: bool = True) -> AliasFree:
    """An activation for inference with a curve a channel."""
    module = AliasFree(kind(channels, log_scale)).requires_grad_(False)
    for parameter in module.parameters():
        parameter += 0.5 * (torch.randn(channels) if log_scale else torch.rand(channels))
    return module


def steep(reach: float) -> tuple[AliasFree, torch.Tensor]:
    """An activation and an input for which |frequency · x| goes up to `reach`, with a sin² of height 1."""
    module = AliasFree(SnakeBeta(1, log_scale=False)).requires_grad_(False)  # no exp, which a GPU rounds in its own way
    module.act.alpha.fill_(reach / 7)
    return module, (7 * torch.linspace(-1, 1, 3001)).view(1, 1, -1)


def unfiltered() -> tuple[AliasFree, torch.Tensor, torch.Tensor]:
    """An activation that neither smooths nor rounds on its way to the sine, an input, and the exact result."""
    module = AliasFree(SnakeBeta(1, log_scale=False)).requires_grad_(False)
    module.act.alpha.fill_(1024)
    up, down = module.upsample.filter, module.downsample.lowpass.filter
    up.zero_()[..., 5:7] = 0.5
    down.zero_()[..., 5] = 1
    x = torch.linspace(-9, 9, 5001).view(1, 1, -1)
    return module, x, x.double() + torch.sin(1024 * x.double()) ** 2


def plainly(module: AliasFree, x: torch.Tensor) -> torch.Tensor:
    return module.downsample(module.act(module.upsample(x)))


def interpreted(module: AliasFree, x: torch.Tensor) -> torch.Tensor:
    """What the kernel makes of x, by the way that an activation takes on a GPU."""
    fused = activation._on_gpu(x.device)
    assert fused is not None and fused.__module__ == KERNEL
    activation._fused = activation._on_gpu
    return module(x)


def difference(module: AliasFree, x: torch.Tensor) -> float:
    result = interpreted(module, x)
    assert result.shape == x.shape and result.is_contiguous()
    return float((result - plainly(module, x)).abs().max())


def report() -> dict:
    """What is asked of the kernel, each by its name."""
    torch.manual_seed(0)
    cases = {"shapes": [difference(drawn(shape[1]), 2 * torch.randn(shape)) for shape in SHAPES]}
    cases["kinds"] = [difference(drawn(4, *kind), torch.randn(2, 4, 33)) for kind in KINDS]
    wide = torch.randn(2, 90, 12)
    views = (wide.transpose(1, 2), wide[:, ::3, 1:], wide[:1].expand(3, -1, -1))
    assert not any(x.is_contiguous() for x in views)
    cases["views"] = [difference(drawn(x.shape[1]), x) for x in views]

    module, x = drawn(2), torch.randn(1, 2, 50)
    before = plainly(module, x)
    for taps in (module.upsample.filter, module.downsample.lowpass.filter):
        taps += 0.02 * torch.randn(12)
    cases["filters"] = [difference(module, x), float((interpreted(module, x) - before).abs().max())]

    cases["large"] = []
    for module, x in map(steep, LARGE):
        forms = [interpreted(module, x), plainly(module, x)]
        exact = plainly(module.double(), x.double())
        cases["large"].append([float((form - exact).abs().max()) for form in forms])

    module, x, exact = unfiltered()
    cases["sine"] = float((interpreted(module, x) - exact).abs().max())

    x = torch.zeros(1, 2, 40)
    x[0, 1, 20] = torch.nan
    cases["nan"] = interpreted(drawn(2), x).isnan().nonzero().tolist()
    cases["empty"] = [list(interpreted(drawn(2), torch.zeros(shape)).shape) for shape in ((0, 2, 9), (1, 2, 0))]
    return cases


@pytest.fixture(scope="module")
def cases() -> dict:
    done = subprocess.run(
        [sys.executable, __file__], env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_triton
def test_the_kernel_equals_the_plain_form(cases):
    errors = dict(zip(SHAPES, cases["shapes"], strict=True))
    assert {shape: error for shape, error in errors.items() if not error < 1e-5} == {}


@needs_triton
def test_the_kernel_equals_the_plain_form_for_every_kind_and_for_views(cases):
    assert len(cases["kinds"]) == len(KINDS) and max(cases["kinds"]) < 1e-5
    assert len(cases["views"]) == 3 and max(cases["views"]) < 1e-5


@needs_triton
def test_the_filters_that_were_loaded_are_used(cases):
    error, change = cases["filters"]
    assert error < 1e-5
    assert change > 1e-3


@needs_triton
def test_the_sine_is_as_exact_as_torchs_over_many_periods(cases):
    for reach, (error, plain) in zip(LARGE, cases["large"], strict=True):
        assert error < 1.5 * plain < 1e-6 * reach
    assert cases["sine"] < 1e-6


@needs_triton
def test_nan_stays_nan_and_near(cases):
    assert cases["nan"] == [[0, 1, 20 + shift] for shift in range(-AliasFree.reach, AliasFree.reach + 1)]


@needs_triton
def test_nothing_gives_nothing(cases):
    assert cases["empty"] == [[0, 2, 9], [1, 2, 0]]


@needs_triton
@pytest.mark.parametrize("capability", [75, 80, 90])
def test_the_kernel_compiles_for_gpus_that_are_not_here(capability, tmp_path, monkeypatch):
    """The interpreter takes more than the compiler does."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from distillgan.vendor.bigvgan import fused_cuda

    signature = dict.fromkeys(("x", "y", "frequency", "height", "up", "down"), "*fp32")
    signature |= dict.fromkeys(("channels", "samples"), "i32") | dict.fromkeys(("BLOCK", "HALO"), "constexpr")
    constants = {"BLOCK": fused_cuda._BLOCK, "HALO": fused_cuda._HALO}
    source = ASTSource(fused_cuda._blocks, signature, constants)
    options = {"num_warps": fused_cuda._WARPS, "enable_fp_fusion": True}
    assert triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm["cubin"]


@pytest.fixture
def as_gpu(monkeypatch):
    """An activation on the CPU goes the way of one on a GPU, for the first time."""
    activation._on_gpu.cache_clear()
    monkeypatch.setattr(activation, "_fused", activation._on_gpu)
    yield
    activation._on_gpu.cache_clear()


def serves_plainly(caplog) -> None:
    """Two calls give the plain result, and one line says why."""
    caplog.set_level(logging.INFO)
    module, x = drawn(3), torch.randn(1, 3, 40)
    for _ in range(2):
        assert torch.equal(module(x), plainly(module, x))
    (record,) = [record for record in caplog.records if record.name == activation.__name__]
    assert record.levelno == logging.INFO and "cpu" in record.getMessage()


def test_a_kernel_that_fails_is_tried_once_and_the_plain_form_serves(as_gpu, monkeypatch, caplog):
    calls, broken = [], ModuleType(KERNEL)

    def fail(*_):
        calls.append(1)
        raise RuntimeError("Failed to find C compiler")

    broken.alias_free_snake = fail
    monkeypatch.setitem(sys.modules, KERNEL, broken)
    serves_plainly(caplog)
    assert len(calls) == 1
    assert "Failed to find C compiler" in caplog.text


def test_without_triton_the_plain_form_serves(as_gpu, monkeypatch, caplog):
    monkeypatch.delitem(sys.modules, KERNEL, raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    serves_plainly(caplog)
    assert "triton" in caplog.text


@needs_triton
def test_where_triton_cannot_start_a_kernel_the_plain_form_serves(as_gpu, monkeypatch, caplog):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    serves_plainly(caplog)  # a CPU's memory is none that a GPU can reach


def test_gradients_and_other_precisions_take_the_plain_form(monkeypatch):
    monkeypatch.setattr(activation, "_fused", lambda _: pytest.fail("the fused form has no gradients"))
    module = drawn(2)
    x = torch.randn(1, 2, 9, requires_grad=True)
    module(x).sum().backward()
    assert x.grad is not None
    module.act.beta.requires_grad_(True)  # one of the two curves alone
    module(x.detach()).sum().backward()
    assert module.act.beta.grad is not None
    assert module.half()(x.detach().half()).dtype == torch.float16


@needs_gpu
@pytest.mark.parametrize("shape", [*SHAPES, (1, 70_000, 3), (1, 24, 200_000)], ids=str)
def test_a_gpu_gives_what_a_cpu_gives(shape):
    torch.manual_seed(0)
    module, x = drawn(shape[1]), 2 * torch.randn(shape)
    expected = plainly(module, x)
    assert activation._on_gpu(x.cuda().device) is not None
    assert (module.cuda()(x.cuda()).cpu() - expected).abs().max() < 1e-4


@needs_gpu
@pytest.mark.parametrize("reach", LARGE)
def test_on_a_gpu_the_sine_is_exact_over_many_periods(reach):
    module, x = steep(reach)
    fast, plain = module.cuda()(x.cuda()).cpu(), plainly(module.cpu(), x)
    exact = plainly(module.double(), x.double())
    assert (fast - exact).abs().max() < 2 * (plain - exact).abs().max()
    module, x, exact = unfiltered()
    assert (module.cuda()(x.cuda()).cpu() - exact).abs().max() < 1e-6


@needs_gpu
@torch.no_grad()
def test_on_a_gpu_the_generator_is_twice_as_fast_as_with_the_plain_form(monkeypatch):
    torch.manual_seed(0)
    generator = BigVGANGenerator(
        resblock="1",
        upsample_rates=(8, 4, 2, 2, 2, 2),
        upsample_kernel_sizes=(16, 8, 4, 4, 4, 4),
        upsample_initial_channel=1536,
        resblock_kernel_sizes=(3, 7, 11),
        resblock_dilation_sizes=((1, 3, 5),) * 3,
        num_mels=128,
        activation="snakebeta",
        snake_logscale=True,
        use_tanh_at_final=False,
        use_bias_at_final=False,
    ).cuda()
    mel = torch.randn(1, 128, 256, device="cuda")

    def timed() -> float:
        """The least of five times, after one that compiles and chooses algorithms."""
        seconds = []
        for _ in range(6):
            torch.cuda.synchronize()
            start = time.perf_counter()
            generator(mel)
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return min(seconds[1:])

    # By default the convolutions round to 10 bits, and the plain form's own are among them.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        wave = generator(mel)
    fast = timed()
    monkeypatch.setattr(activation, "_fused", lambda _: None)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        expected = generator(mel)
    slow = timed()
    assert (wave - expected).abs().max() < 1e-4 * expected.abs().max()
    assert slow > 2 * fast, f"{slow:.4f} s plain, {fast:.4f} s fused"


if __name__ == "__main__":
    print(json.dumps(report()))
