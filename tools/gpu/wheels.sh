#!/bin/sh
# Collects, on a machine with a network, what Kaiwa needs on a GPU machine that has none but has
# torch, Triton and transformers: wheels for CPython 3.12 on x86-64 Linux, in build/wheels.
#
#   tools/gpu/wheels.sh [folder] [package ...]
#
# More packages may be named, for peers; without what they need in turn, so name that too.
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-build/wheels}
[ $# -gt 0 ] && shift
python=${PYTHON:-python3}
platforms=""
for glibc in 2_39 2_35 2_34 2_31 2_28 2_27 2_24 2_17 2_12 2_5; do
    platforms="$platforms --platform manylinux_${glibc}_x86_64"
done
pinned() { # at the version that the tests run with
    grep -i "^$1==" constraints.txt || echo "$1"
}
wanted=""
for name in httptools llguidance msgspec starlette uvicorn uvloop websockets prometheus-client \
    rich pytest-timeout pytest-xdist execnet; do
    wanted="$wanted $(pinned $name)"
done
mkdir -p "$folder"
# shellcheck disable=SC2086
$python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version 3.12 --implementation cp --abi cp312 --abi abi3 --abi none $platforms \
    --platform manylinux2014_x86_64 --platform manylinux1_x86_64 --dest "$folder" $wanted "$@"
ls -l "$folder"
du -sh "$folder"
