#!/bin/sh
# Everything that only a GPU can tell: are the kernels right, how fast are they, who is faster?
#
#   tools/gpu_check.sh [folder for the results] [part ...] [--quick] [--seconds 540] [--again]
#                      [--peer NAME=PATH] ...                       (--help tells all; docs/gpu.md)
#
# Needs torch with CUDA, Triton, transformers, pytest and pytest-timeout. Kaiwa need not be
# installed; what it needs beside those is installed from build/wheels where it is missing, without
# a network (tools/gpu/wheels.sh fills that folder on a machine that has one).
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
needed="execnet httptools llguidance msgspec prometheus_client pytest_timeout rich starlette uvicorn uvloop websockets xdist"
site=$PWD/build/gpu-site
if ! PYTHONPATH="$site" $python -c "import $(echo $needed | tr " " ,)" >/dev/null 2>&1 && [ -d build/wheels ]; then
    # A folder on the path and no environment of its own: one made from an environment would not
    # see the packages of that.
    $python -m pip install --quiet --no-index --no-deps --no-compile --upgrade \
        --disable-pip-version-check --target "$site" build/wheels/*.whl
fi
command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null ||
    echo "there is no C compiler here, and Triton needs one to launch anything" >&2
export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec $python -m tools.gpu.check "$@"
