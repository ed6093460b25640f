"""`.distillgan`: one safetensors file whose metadata holds a JSON header. Reading it runs no code.

    bytes 0-7         length of the safetensors header, little-endian
    safetensors JSON  {"__metadata__": {"distillgan": JSON of `Header`}, tensor name: {dtype, shape, data_offsets} …}
    tensors           vae.* (the latent model)  latent.* (what it learnt of the corpus)  vocoder.*  without gaps

Written with the safetensors library; `header` reads what is not a tensor, and copies a file, without torch.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from distillgan.atomic import replace_file
from distillgan.errors import UserError
from distillgan.models.base import LatentModel
from distillgan.models.header import (
    AGAIN,
    METADATA_KEY,
    Header,
    check_parts,
    digest,
    open_model,
    read_entries,
    show,
    slots,
)
from distillgan.models.plugins import LATENT_MODELS, load

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write_model(path: str | Path, header: Header, tensors: dict[str, Tensor]) -> Header:
    """Write a model whole or not at all, and return its header with the checksums.

    Tensor names start with `vae.`, `latent.` or `vocoder.`; any device and memory layout. The same header and tensors
    give the same bytes.

    Raises:
        UserError: a tensor holds NaN or infinity, has a dtype that the file cannot hold, or another name; the header
            would not be readable; the write failed. An existing file is then untouched.
    """
    copies = {}
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPE_NAMES:
            raise UserError(f"{path} is not written: tensor {name} is {tensor.dtype}, a model holds {list(DTYPES)}")
        if not torch.isfinite(tensor).all():
            raise UserError(
                f"{path} is not written: tensor {name} holds NaN or infinity, the training diverged. "
                "Go back to an earlier checkpoint, or train with a lower learning rate"
            )
        # A copy each: safetensors refuses tensors that share their memory
        copies[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    header = replace(header, checksums={name: _checksum_of(tensor) for name, tensor in copies.items()})
    text = header.to_json()
    try:
        check_parts(Header.from_json(text), copies)
    except UserError as fault:
        raise UserError(f"{path} is not written: {fault}") from None
    data = safetensors.torch.save(copies, metadata={METADATA_KEY: text})
    with replace_file(path) as temporary:
        temporary.write_bytes(data)
    return header


def read_model(path: str | Path, prefixes: str | tuple[str, ...] = "") -> tuple[Header, dict[str, Tensor]]:
    """Header and CPU tensors by full name; with `prefixes`, e.g. ("vae.", "latent."), only those that start so.

    The checksum of every tensor returned has been verified.

    Raises:
        UserError: there is no such file, or it is no whole and undamaged model; names the file and the fault.
    """
    with open_model(Path(path)) as file:
        header, entries, start = read_entries(file)
        tensors = {}
        for name, slot in slots(header, entries).items():
            if name.startswith(prefixes):
                data = bytearray(slot.end - slot.begin)
                file.seek(start + slot.begin)
                file.readinto(data)
                if digest(slot.dtype, slot.shape, data).hexdigest() != header.checksums[name]:
                    raise UserError(f"damaged: tensor {show(name)} does not match its checksum. {AGAIN}")
                dtype = DTYPES[slot.dtype]
                # frombuffer takes no empty buffer
                flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
                tensors[name] = flat.reshape(slot.shape)
        return header, tensors


def latent_class(header: Header) -> type[LatentModel]:
    """The class of the model's kind. Raises UserError if it is not installed."""
    return load(LATENT_MODELS, header.latent_model, LatentModel)  # type: ignore[type-abstract]


def load_latent_model(header: Header, tensors: dict[str, Tensor], path: str | Path) -> LatentModel:
    """The latent model of a file at `path`, for inference, from those of its tensors that are named vae.*.

    Raises UserError, naming the file, if its kind is not installed, or header and tensors do not fit together.
    """
    state = {name.removeprefix("vae."): tensor for name, tensor in tensors.items() if name.startswith("vae.")}
    try:
        kind = latent_class(header)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return kind.from_state(header.vae, state, str(path))


def replace_vocoder(
    path: str | Path, vocoder: dict[str, Any], training: dict[str, Any], tensors: dict[str, Tensor]
) -> Header:
    """Put a vocoder into the model at `path`, in place of any it has; all else stays, byte for byte.

    `vocoder` and `training` become the header's `vocoder` and `training["vocoder"]`; `tensors` are named `vocoder.*`.

    Raises:
        UserError: as `read_model` and `write_model`.
    """
    header, kept = read_model(path, ("vae.", "latent."))
    header = replace(header, vocoder=vocoder, training={**header.training, "vocoder": training})
    return write_model(path, header, {**kept, **tensors})


def _checksum_of(tensor: Tensor) -> str:
    data = tensor.reshape(-1).view(torch.uint8).numpy().data
    return digest(_DTYPE_NAMES[tensor.dtype], list(tensor.shape), data).hexdigest()
