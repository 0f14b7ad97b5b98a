#!/usr/bin/env bash
# Training speed of one process and of several on this machine, over torchrun, with the toy config:
#
#     bash benchmarks/scaling.sh                   1 and 2 processes, 3 epochs each, on 96 rendered images
#     bash benchmarks/scaling.sh 1 2 4
#
# Prints the images per second of all processes together, without the first epoch. Each process has one thread.
set -euo pipefail
cd "$(dirname "$0")/.."
PY=${PY:-.venv/bin/python} BATCH=8
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT
export OMP_NUM_THREADS=1 BALLOON_ROOT=$OUT/data
"$PY" data_tools/make_toy_balloons.py --val 2 >/dev/null
"$PY" data_tools/balloon2coco.py >/dev/null
for processes in "${@:-1 2}"; do
    for number in $processes; do
        "$PY" -m torch.distributed.run --standalone --nproc_per_node="$number" tools/train.py \
            configs/my_rtmdet_tiny_toy.py --launcher pytorch --work-dir "$OUT/$number" --cfg-options \
            train_cfg.max_epochs=3 train_cfg.val_interval=3 train_dataloader.batch_size=$BATCH \
            train_dataloader.num_workers=1 log_processor.window_size=1 default_hooks.logger.interval=1 >"$OUT/$number.log" 2>&1 ||
            { tail -n 20 "$OUT/$number.log" >&2; exit 1; }
        grep -h 'Epoch(train)  *\[[2-9]\]' "$OUT/$number.log" | sed 's/.* time: \([0-9.]*\).*/\1/' |
            awk -v n="$number" -v batch=$BATCH '{ sum += $1 } END { printf "%d processes: %.1f images per second\n", n, n * batch * NR / sum }'
    done
done
