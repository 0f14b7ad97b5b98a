#!/usr/bin/env bash
# Everything that is worth knowing about this project on a GPU, in about 40 minutes:
#
#     bash benchmarks/gpu.sh            (after make setup; writes outputs/gpu.md)
#
# It needs the images (make data). Nobody has run it on a GPU yet: please send outputs/gpu.md.
set -uo pipefail
cd "$(dirname "$0")/.."
PY=.venv/bin/python
OUT=outputs/gpu.md
mkdir -p outputs

"$PY" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null || {
    echo 'error: torch sees no GPU; next: run this on a machine with one' >&2
    exit 2
}

section() {  # title, limit in seconds, command...: the last lines and the time of the command
    local title=$1 limit=$2
    shift 2
    echo "$title ..."
    local log start=$SECONDS
    log=$(mktemp)
    timeout "$limit" "$@" >"$log" 2>&1
    local status=$?
    {
        echo "## $title"
        echo
        echo "\`$*\`: status $status, $((SECONDS - start)) s"
        echo
        echo '```text'
        grep -E 'bbox_mAP_copypaste|ours:|upstream:|stage [12]:|passed|failed|rror' "$log" | tail -n 12
        echo '```'
        echo
    } >>"$OUT"
    rm -f "$log"
}

busy() {  # a command, with the mean share of the time that the GPU computed
    nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits --loop=1 >outputs/busy.txt &
    local watcher=$!
    "$@"
    kill "$watcher"
    awk '{ sum += $1 } END { if (NR) printf "GPU busy: %.0f %% (mean of %d samples)\n\n", sum / NR, NR }' \
        outputs/busy.txt >>"$OUT"
}

{
    echo "# GPU report, $(date -u +%Y-%m-%d)"
    echo
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
    "$PY" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
    echo
} >"$OUT"

section 'Training step' 300 "$PY" benchmarks/train_step.py
section 'Detection' 300 "$PY" benchmarks/inference.py
section 'Pipeline' 300 "$PY" benchmarks/pipeline.py
section 'Demo' 900 make demo
WORKERS="train_dataloader.num_workers=$(nproc)"
busy section 'Rendered images' 900 "$PY" tools/train.py configs/my_rtmdet_tiny_rendered.py \
    --cfg-options "$WORKERS"
for seed in 0 1 2; do
    busy section "Photographs, seed $seed" 600 "$PY" tools/train.py configs/my_rtmdet_tiny_scratch.py \
        --work-dir "work_dirs/gpu_seed$seed" --cfg-options "randomness.seed=$seed" "$WORKERS"
done
# A checkpoint of the GPU on the CPU
CHECKPOINT=$(cat work_dirs/gpu_seed0/last_checkpoint)
section 'GPU checkpoint on the CPU' 300 env CUDA_VISIBLE_DEVICES= "$PY" tools/test.py \
    configs/my_rtmdet_tiny_scratch.py "$CHECKPOINT" --work-dir outputs/gpu_on_cpu
section 'Quick tests' 600 "$PY" -m pytest -m 'not slow'
echo "saved: $OUT"
