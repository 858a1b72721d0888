#!/usr/bin/env bash
# From nothing to a trained model: makes .venv, trains a small PaiNN on the embedded sample for about two minutes, tests it,
# and says where model and pictures are. Run again it trains again, into the same folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step="starting"
trap 'code=$?; [ $code -eq 0 ] || echo "quick start: $step did not work (see above); scripts/quickstart.sh can simply be run again." >&2' EXIT
started=$SECONDS
# Threads that wait shall sleep rather than spin: beside other work on the machine that is up to ten times faster.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

step="setting up the environment"
echo "1/2 environment (minutes the first time, seconds later)"
scripts/setup.sh

step="training"
echo "2/2 PaiNN on 1,200 frames of ethanol, GFN2-xTB"
[ ! -f quickstart/model.pt ] || echo "quickstart/ holds a model from an earlier run; it is replaced"
.venv/bin/molzoo train quickstart --folder quickstart

echo
echo "That took $((SECONDS - started)) seconds. Next:"
echo "  .venv/bin/molzoo info quickstart/model.pt"
echo "  .venv/bin/molzoo predict quickstart/model.pt YOUR_ETHANOL.xyz -o predictions.xyz"
