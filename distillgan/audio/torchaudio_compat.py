"""`from distillgan.audio.torchaudio_compat import torchaudio` works on every install.

The registry's Linux wheel of torchaudio links its compiled part against CUDA; beside a CPU build of torch
`import torchaudio` raises OSError. Its Python parts (resampling, phase vocoder, filterbanks) need nothing compiled,
so there the import is repeated with the extension declared absent.
"""

import importlib
import sys
import types


def _import_torchaudio() -> types.ModuleType:
    try:
        return importlib.import_module("torchaudio")
    except OSError:
        for name in [m for m in sys.modules if m == "torchaudio" or m.startswith("torchaudio.")]:
            del sys.modules[name]
        stand_in = types.ModuleType("torchaudio._extension")
        stand_in._IS_TORCHAUDIO_EXT_AVAILABLE = False
        stand_in._IS_ALIGN_AVAILABLE = False
        stand_in.fail_if_no_align = lambda function: function
        sys.modules["torchaudio._extension"] = stand_in
        return importlib.import_module("torchaudio")


torchaudio = _import_torchaudio()
