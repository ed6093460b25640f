#!/usr/bin/env bash
# hydra-core 1.3.8 (omegaconf 2.3.1): `instantiate` resolves a node's texts twice, so that an escaped "\${" is lost.
#
# OmegaConf has an escape for a text with "${" in it, such as the name of a folder: "\${x}" is read as the letters ${x}.
# `instantiate` first resolves the whole copy of the node in place, which leaves the bare letters ${x} in it, and then
# reads each value once more, as an interpolation: InterpolationKeyError, or worse, another key's value. A text has to be
# escaped twice to arrive as it is.
#
# Seen with: hydra-core 1.3.8, omegaconf 2.3.1, Python 3.11
#     read:        ${x}
#     instantiate: InterpolationKeyError
#     x is there:  another value
#     escaped twice: ${x}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet hydra-core==1.3.8 omegaconf==2.3.1
"$folder/venv/bin/python" - > "$folder/seen" <<'PYTHON'
from hydra.utils import instantiate
from omegaconf import OmegaConf

node = {"_target_": "builtins.dict", "folder": r"\${x}"}
print("read:       ", OmegaConf.create(node).folder)
try:
    print("instantiate:", instantiate(OmegaConf.create(node)))
except Exception as error:
    print("instantiate:", type(error).__name__)
print("x is there: ", instantiate(OmegaConf.create({**node, "x": "another value"}))["folder"])
print("escaped twice:", instantiate(OmegaConf.create({**node, "folder": r"\\\${x}"}))["folder"])
PYTHON
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
read:        ${x}
instantiate: InterpolationKeyError
x is there:  another value
escaped twice: ${x}
EXPECTED
