#!/bin/sh
# Everything that only a GPU can tell, in one call: are the kernels right, and how fast are they?
#
#   tools/gpu_check.sh [folder for the results] [correctness|bench ...]
#
# Needs torch with CUDA, Triton, transformers, pytest and pytest-timeout; Kaiwa itself need
# not be installed. Parts can be run one by one; each figure is written as soon as it is there.
set -u
cd "$(dirname "$0")/.."
out=${1:-build/gpu}
mkdir -p "$out"
[ $# -gt 0 ] && shift
parts=${*:-correctness bench}
python=${PYTHON:-python3}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
status=0
for part in $parts; do
    case $part in
    correctness)
        $python -m pytest -c /dev/null --rootdir=. --import-mode=importlib -p no:cacheprovider \
            -q -rs --confcutdir=tests/gpu --timeout 120 tests/gpu --junitxml="$out/correctness.xml" || status=1 ;;
    bench)
        $python -m tools.gpu_bench --json "$out/bench.json" | tee "$out/bench.txt" || status=1 ;;
    *)
        echo "no part is called $part; there are correctness and bench" >&2
        status=2 ;;
    esac
done
exit $status
