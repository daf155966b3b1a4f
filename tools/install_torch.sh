#!/bin/sh
# Install the torch that this machine can use: with CUDA where there is an NVIDIA driver, else the
# CPU build of the version in constraints.txt, which is a tenth of the size.
set -eu
python=$1
version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' constraints.txt)
if "$python" -c 'import torch' 2>/dev/null; then
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
