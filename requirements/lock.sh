#!/usr/bin/env bash
# Writes the locked requirements of the images, with the hashes of every file: the versions of constraints.txt, for the
# images' Python. Needs uv (`pip install uv`); where packages come from is uv's own configuration.
set -euo pipefail
cd "$(dirname "$0")"

lock() {
  local output=$1
  shift
  uv pip compile --quiet --python-version 3.12 --python-platform x86_64-manylinux_2_36 --only-binary :all: \
    --generate-hashes --no-annotate --constraint ../constraints.txt \
    --custom-compile-command 'requirements/lock.sh' --output-file "$output" "$@"
}

# What these bring is not imported by a server: downloads from a hub, reloading, colours for source code and
# Markdown on a terminal, a parser of C. 50 MB less to ship and audit.
unused=(huggingface-hub hf-xet fsspec filelock tqdm httpx2 httpcore2 truststore pyyaml watchfiles pygments markdown-it-py mdurl pycparser)

lock frontend.txt ../pyproject.toml --extra serve --extra otel "${unused[@]/#/--no-emit-package=}"
# The control plane sees no image and no array: 80 MB of the base's.
lock control.txt ../pyproject.toml --extra control \
  --no-emit-package={numpy,pillow,watchfiles,websockets,pygments,markdown-it-py,mdurl,pycparser}
lock export.txt ../pyproject.toml --extra export
lock triton-cpu.txt --no-deps triton-cpu.in
lock tensorrt-rtx.txt --no-deps tensorrt-rtx.in
lock gpu.txt --no-deps gpu.in
lock build.txt build.in
