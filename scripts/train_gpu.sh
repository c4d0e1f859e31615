#!/usr/bin/env bash
# Train on a machine with torch, lightning, numpy, scipy and soundfile, and no network.
#   scripts/train_gpu.sh ARCHIVE CONFIG MINUTES OUT [PREVIOUS]
# ARCHIVE comes from pack_training.sh, CONFIG is a training configuration: where its corpora, the
# kits and grooves of [live] and its output lie does not matter here. Renders sessions as they are
# needed ([live]) or a corpus first, with all cores, trains until MINUTES after the start, and leaves
# in OUT the weights (float16), the log, and a handover that a later call goes on from, on
# any machine, when it is named as PREVIOUS. From the environment:
#   HOURS="train=2 validation=0.2"  how much to render, without [live]
#   WORK=/tmp/drummix-training      where it is unpacked and rendered; what is there is used again
#   PYTHON=python3                  which Python
set -euo pipefail
if (($# < 4 || $# > 5)); then
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
archive=$1 config=$2 minutes=$3 out=$4 previous=${5:-}
work=${WORK:-/tmp/drummix-training}
start_s=$(date +%s)
for file in "$archive" "$config"; do
  [[ -f $file ]] || { echo "train_gpu: $file does not exist" >&2; exit 1; }
done
mkdir -p "$work" "$out"
tar -xzf "$archive" -C "$work"
# Each process of the renderer and the loader is one of many.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 PYTHONUNBUFFERED=1
"${PYTHON:-python3}" "$work/drummix-training/gpu_training.py" \
  --config "$config" --minutes "$minutes" --out "$out" --work "$work" \
  --started "$start_s" --hours "${HOURS:-train=2 validation=0.2}" \
  ${previous:+--previous "$previous"} 2>&1 | tee -a "$out/train.log"
