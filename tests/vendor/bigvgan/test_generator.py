"""The generator is the released one, key by key, and every released variant of it runs."""

import json
from pathlib import Path

import pytest
import torch

from distillgan.models.vocoders.trained import fold_weight_norm
from distillgan.vendor.bigvgan.generator import BigVGANGenerator

REFERENCE = Path(__file__).parents[2] / "reference" / "bigvgan"
RELEASE = {
    "resblock": "1",
    "upsample_rates": (8, 4, 2, 2, 2, 2),
    "upsample_kernel_sizes": (16, 8, 4, 4, 4, 4),
    "upsample_initial_channel": 1536,
    "resblock_kernel_sizes": (3, 7, 11),
    "resblock_dilation_sizes": ((1, 3, 5),) * 3,
    "num_mels": 128,
    "activation": "snakebeta",
    "snake_logscale": True,
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
}
TINY = RELEASE | {
    "upsample_rates": (4, 2),
    "upsample_kernel_sizes": (8, 4),
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": (3, 5),
    "resblock_dilation_sizes": ((1, 3), (1, 2)),
    "num_mels": 5,
}

KINDS = [(activation, log_scale) for activation in ("snake", "snakebeta") for log_scale in (True, False)]


@pytest.fixture(scope="module")
def published() -> dict:
    return json.loads((REFERENCE / "release_state_dict_shapes.json").read_text())


@pytest.fixture(scope="module")
def release() -> BigVGANGenerator:
    with torch.device("meta"):
        return BigVGANGenerator(**RELEASE)


def shapes(state: dict) -> dict:
    return {key: list(value.shape) for key, value in state.items()}


def test_keys_and_shapes_are_those_of_the_release(release, published):
    assert shapes(release.state_dict()) == published["without_weight_norm"]
    assert sum(parameter.numel() for parameter in release.parameters()) == published["parameters"] == 122_152_752


def test_keys_and_shapes_of_the_release_with_weight_norm_folded(release, published):
    # On one number for each tensor: the full ones would take half a gigabyte.
    small = {key: torch.ones(()).expand(shape) for key, shape in published["with_weight_norm"].items()}
    directions = {key for key in small if key.endswith(".weight_v")}
    magnitudes = {key: value for key, value in small.items() if key.endswith(".weight_g")}
    assert {key.replace("weight_g", "weight_v") for key in magnitudes} == directions
    assert all(list(value.shape) == [len(small[key[:-1] + "v"]), 1, 1] for key, value in magnitudes.items())
    plain = {key.replace("weight_v", "weight"): value for key, value in small.items() if key not in magnitudes}
    assert shapes(plain) == shapes(release.state_dict())


def test_folding_gives_the_release_keys_of_the_plain_form():
    stored, plain = (
        torch.load(REFERENCE / f"small_v2_44k{form}.pt", weights_only=True)["generator"]
        for form in ("", "_no_weight_norm")
    )
    assert shapes(fold_weight_norm(stored, "stored")) == shapes(plain)


@pytest.mark.parametrize("resblock", ["1", "2"])
@pytest.mark.parametrize(("activation", "log_scale"), KINDS)
@pytest.mark.parametrize(("tanh", "bias", "bands"), [(True, True, 5), (False, False, 80)])
def test_every_variant_runs(resblock, activation, log_scale, tanh, bias, bands):
    torch.manual_seed(0)
    variant = {"resblock": resblock, "activation": activation, "snake_logscale": log_scale, "num_mels": bands}
    variant |= {"use_tanh_at_final": tanh, "use_bias_at_final": bias}
    generator = BigVGANGenerator(**TINY | variant)
    state = generator.state_dict()
    assert ("conv_post.bias" in state) == bias
    assert ("activation_post.act.beta" in state) == (activation == "snakebeta")
    assert (state["activation_post.act.alpha"] == (0 if log_scale else 1)).all()
    assert ("resblocks.0.convs.0.weight" in state) == (resblock == "2")
    generator.conv_post.weight.data *= 100  # loud enough for its end to matter
    raw = []
    generator.conv_post.register_forward_hook(lambda module, inputs, output: raw.append(output.clone()))
    wave = generator(torch.randn(2, bands, 7))
    assert wave.shape == (2, 1, 7 * 8)
    assert raw[0].abs().max() > 2
    assert torch.equal(wave, raw[0].tanh() if tanh else raw[0].clamp(-1, 1))


def test_gradients_reach_the_mel_and_all_parameters():
    torch.manual_seed(0)
    generator = BigVGANGenerator(**TINY)
    mel = torch.randn(1, 5, 9, requires_grad=True)
    generator(mel).square().sum().backward()
    assert mel.grad.abs().min() > 0
    assert all(parameter.grad.isfinite().all() for parameter in generator.parameters())
    assert generator.resblocks[0].activations[0].act.beta.grad.abs().max() > 0
