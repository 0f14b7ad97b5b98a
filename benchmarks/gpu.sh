#!/usr/bin/env bash
# Everything that is worth knowing about this project on a GPU, in at most 40 minutes:
#
#     make setup data && bash benchmarks/gpu.sh        (in a fresh clone; writes outputs/gpu.md)
#
# Nobody has run it on a GPU yet: please send outputs/gpu.md. What does not fit into the time is listed.
set -uo pipefail
cd "$(dirname "$0")/.."
PY=.venv/bin/python
OUT=outputs/gpu.md
END=2400  # seconds
PHOTOGRAPHS=configs/my_rtmdet_tiny_scratch.py
mkdir -p outputs

"$PY" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null || {
    echo 'error: torch sees no GPU; next: run this on a machine with one' >&2
    exit 2
}
test -f data/balloon/coco_train.json || {
    echo 'error: data/balloon/coco_train.json is missing; next: make data' >&2
    exit 2
}

section() {  # title, batch size or 0, command...: its time, its figures, and how busy the GPU was
    local title=$1 batch=$2 start=$SECONDS log=outputs/gpu.log
    shift 2
    echo "$title ..."
    rm -f outputs/busy.txt
    nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits --loop=1 >outputs/busy.txt &
    local watcher=$!
    timeout "$((END > SECONDS ? END - SECONDS : 1))" "$@" >"$log" 2>&1
    local status=$?
    kill "$watcher"
    {
        printf '## %s\n\n`%s`: status %d%s, %d s\n\n```text\n' "$title" "$*" "$status" \
            "$([ "$status" = 124 ] && echo ' (the 40 minutes were over)')" "$((SECONDS - start))"
        grep -E 'bbox_mAP_copypaste|mAP  |ours|upstream:|Runtime|OpenVINO|stage [12]:|NMS|passed|failed|rror' "$log" | tail -n 14
        awk -v batch="$batch" '/Epoch\(train\)/ && match($0, / time: [0-9.]+/) {
                split(substr($0, RSTART, RLENGTH), part, ": "); sum += part[2]; n++ }
            END { if (n && batch) printf "%.1f images per second (mean of all iterations)\n", batch * n / sum }' "$log"
        awk '{ sum += $1 } END { if (NR) printf "GPU busy: %.0f %% (mean of %d seconds, with the start)\n", sum / NR, NR }' \
            outputs/busy.txt
        printf '```\n\n'
    } >>"$OUT"
}

{
    echo "# GPU report, $(date -u +%Y-%m-%d)"
    echo
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
    "$PY" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
    echo
} >"$OUT"

WORKERS=train_dataloader.num_workers=$(nproc)
cat >outputs/upstream.py <<'CONFIG'
# Upstream's own config on the photographs, for comparison: 20 epochs, batch 12, float32.
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
data = dict(data_root='data/balloon/', metainfo=dict(classes=('balloon', )))
train_dataloader = dict(batch_size=12, dataset=dict(
    ann_file='coco_train.json', data_prefix=dict(img='train/'), **data))
val_dataloader = dict(dataset=dict(ann_file='coco_val.json', data_prefix=dict(img='val/'), **data))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/balloon/coco_val.json')
test_evaluator = val_evaluator
model = dict(backbone=dict(init_cfg=None, frozen_stages=4), bbox_head=dict(num_classes=1))
train_cfg = dict(max_epochs=20, val_interval=20, dynamic_intervals=None)
CONFIG

section 'make demo' 2 make demo
section 'Main config, --amp, 200 epochs' 12 "$PY" tools/train.py configs/my_rtmdet_tiny.py --amp --cfg-options "$WORKERS" \
    load_from=mmballoon://balloon
section 'Upstream, 20 epochs' 12 "$PY" tools/train.py outputs/upstream.py --work-dir outputs/upstream --cfg-options "$WORKERS"
section 'Training step' 0 "$PY" benchmarks/train_step.py
section 'Detection' 0 "$PY" benchmarks/inference.py
section 'Pipeline' 0 "$PY" benchmarks/pipeline.py
for seed in 0 1 2; do
    section "Photographs, seed $seed" 4 "$PY" tools/train.py "$PHOTOGRAPHS" --work-dir "work_dirs/gpu_seed$seed" \
        --cfg-options "randomness.seed=$seed" "$WORKERS"
done
section 'A checkpoint of the GPU on the CPU' 0 env CUDA_VISIBLE_DEVICES= "$PY" tools/test.py "$PHOTOGRAPHS" \
    "$(cat work_dirs/gpu_seed0/last_checkpoint)" --work-dir outputs/gpu_on_cpu
section 'One epoch on the CPU' 0 env CUDA_VISIBLE_DEVICES= "$PY" tools/train.py "$PHOTOGRAPHS" --work-dir outputs/cpu \
    --cfg-options train_cfg.max_epochs=1
section 'Its checkpoint on the GPU' 0 "$PY" tools/test.py "$PHOTOGRAPHS" outputs/cpu/epoch_1.pth --work-dir outputs/cpu_on_gpu
section 'NMS of torchvision on CUDA' 0 "$PY" -c '
import mmcompat, torch
from mmcv.ops import nms
corners, scores = torch.rand(9000, 2) * 600, torch.rand(9000)
boxes = torch.cat([corners, corners + torch.rand(9000, 2) * 100], 1)
kept = [nms(boxes.to(device), scores.to(device), 0.65)[1].cpu() for device in ("cpu", "cuda")]
print("NMS: the same", len(kept[0]), "boxes:", torch.equal(*kept))'
section 'make test-all' 0 make test-all
echo "saved: $OUT"
