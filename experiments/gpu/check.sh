#!/usr/bin/env bash
# What a GPU does here, in one table on the standard output: at most eight minutes. --tiny: the same on the CPU, small.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec "${PYTHON:-.venv/bin/python}" experiments/gpu/check.py "$@"
