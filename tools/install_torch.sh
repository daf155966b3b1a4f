#!/bin/sh
# Install the torch that this machine can use: with CUDA where there is an NVIDIA driver, else the
# CPU build of the version in constraints.txt, which is a tenth of the size. torch with CUDA brings
# Triton along; beside the CPU build it is installed so that the GPU's kernels are checked here too.
set -eu
python=$1
version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' constraints.txt)
if "$python" -c 'import torch, triton' 2>/dev/null; then
    exit 0
fi
if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then
    "$python" -m pip install --quiet --disable-pip-version-check "torch==$version"
    exit 0
fi
# The index of CPU builds first; where it cannot be reached, whatever pip finds by itself.
"$python" -m pip install --quiet --disable-pip-version-check "torch==$version" \
    --index-url https://download.pytorch.org/whl/cpu --retries 0 --timeout 10 2>/dev/null \
    || "$python" -m pip install --quiet --disable-pip-version-check "torch==$version"
# Only on Linux are there builds of Triton; without it the tests of the GPU's kernels are skipped.
"$python" -m pip install --quiet --disable-pip-version-check "triton==3.9.0" 2>/dev/null \
    || echo "no Triton for this machine: the GPU's kernels stay unchecked" >&2
