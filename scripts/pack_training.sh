#!/usr/bin/env bash
# One archive with all that a GPU machine without a network needs to train: source, kits, grooves.
#   scripts/pack_training.sh KITS GROOVE OUT.tar.gz [MAX_MB]
# KITS is a folder of DrumGizmo kits (or one kit), GROOVE the Groove MIDI Dataset. The archive is
# kept below MAX_MB (55 if not given); what is left out for that is said. PYTHON names the Python
# that drummix is installed in; .venv's if not given.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if (($# < 3 || $# > 4)); then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
exec "${PYTHON:-$here/../.venv/bin/python}" "$here/pack_training.py" "$@"
