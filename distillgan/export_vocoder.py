"""`python -m distillgan.export_vocoder`: a model's own vocoder as an ONNX or TorchScript file for other programs."""

import sys
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from distillgan import entry
from distillgan.errors import UserError
from distillgan.library.catalog import find_model
from distillgan.modelfile import read_model
from distillgan.paths import Home
from distillgan.vocoder.exported import SUFFIXES, check_format, export_vocoder
from distillgan.vocoder.own import load_own


def export(config: DictConfig) -> Path:
    """Write the file, compare it with the vocoder, say where it is, and return its path.

    Raises:
        UserError: something the user can mend.
    """
    check_format(config.format)
    home = Home(config.paths.home)
    path = find_model(home, config.model.name)
    header, tensors = read_model(path, "vocoder.")
    if header.vocoder is None:
        raise UserError(
            f"model {header.name} has no vocoder of its own to export: train one with "
            f"`distillgan train-vocoder {header.name}`"
        )
    try:
        vocoder = load_own(header.vocoder, tensors, header.mel)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    output = home.root / "exports" / f"{header.name}{SUFFIXES[config.format]}"
    if config.output is not None:
        output = Path(str(config.output)).expanduser()
    difference = export_vocoder(vocoder, config.format, output)
    spec = header.mel
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"log(clamp(mel, 1e-5)) [1, {spec.n_mels}, T] → wave [1, 1, T · {spec.hop_length}] at {spec.sample_rate} Hz"
    )
    console.print(f"read again and compared: it differs from the model's vocoder by {difference:.1g} at most")
    console.print(f"  {output}")
    return output


def main(arguments: list[str] | None = None) -> None:
    entry.run(export, "export_vocoder", entry.model_by_name(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    main()
