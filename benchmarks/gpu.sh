#!/usr/bin/env bash
# Everything that is worth knowing about this project on a GPU, without a network:
#
#     bash benchmarks/gpu_prepare.sh                 on a machine with a network; copy the repository with outputs/gpu
#     bash benchmarks/gpu.sh [--minutes 8]           PY=python3.12 names a Python that has torch
#     bash benchmarks/gpu.sh --work 0.01 --minutes 60 --out outputs/dry --data data/toy_balloon        a dry run on a CPU
#
# Writes gpu.md and gpu.json to a new folder in outputs/gpu (--out), whole at any moment; what does not fit into the
# time is named.
# --wheels FILE: packages.tar.xz, if it is not in outputs/gpu. Without the file, PY needs all packages.
set -uo pipefail
cd "$(dirname "$0")/.."
PY=${PY:-python3} MINUTES=8 WORK=1 OUT=outputs/gpu PREPARED=outputs/gpu
PACKAGES=$PREPARED/packages.tar.xz DATA=$PREPARED/balloon
while [ $# -gt 1 ]; do
    case $1 in
        --minutes) MINUTES=$2 ;; --work) WORK=$2 ;; --out) OUT=$2 ;; --wheels) PACKAGES=$2 ;; --data) DATA=$2 ;;
        *) break ;;
    esac
    shift 2
done
[ $# = 0 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ -f "$DATA/coco_train.json" ] || { echo "error: $DATA/coco_train.json is missing; next: bash benchmarks/gpu_prepare.sh" >&2; exit 2; }
OUT=$OUT/$(date +%Y%m%d_%H%M%S)
mkdir -p "$OUT/logs" "$OUT/runs" "$OUT/kept"
OUT=$(realpath "$OUT") DATA=$(realpath "$DATA") CORES=$(nproc)
NEEDED='mmengine mmcv mmdet mmyolo pytorch_grad_cam pycocotools hotcoco'
export BALLOON_ROOT=$DATA PYTHONPATH=$PWD
if ! "$PY" -c "from importlib.util import find_spec as f; exit(not all(map(f, '$NEEDED'.split())))"; then
    "$PY" -m tarfile -e "$PACKAGES" "$OUT/packages" || exit 2
    PYTHONPATH=$PWD:$OUT/packages
fi
END=$((SECONDS + MINUTES * 60))
exec 2>"$OUT/logs/trace.log"
PS4='+ ${SECONDS}s '
set -x

gpu() { "$PY" benchmarks/gpu.py "$@" --out "$OUT"; }
part() { "$PY" -c "print(max(1, round($1 * $WORK)))"; } # of the whole work
MAIN=configs/my_rtmdet_tiny.py
LOAD=load_from=mmballoon://balloon # the weights in the package
LOADERS="train_dataloader.num_workers=$CORES val_dataloader.num_workers=2"
SECTIONS=('Kernels' 'Commands' 'Fast' 'Good' 'Models' 'Pretraining')
if [ "$WORK" != 1 ]; then # a dry run: a hundredth of the pixels
    sed 's/640/64/g; s/1280/128/g' "$MAIN" > "$OUT/my_rtmdet_tiny.py"
    MAIN=$OUT/my_rtmdet_tiny.py
fi
export MAIN
for title in "${SECTIONS[@]}"; do gpu note --title "$title" --status 'not run' --seconds 0; done

section() { # title, seconds, command...: what it says goes to gpu.md
    local title=$1 limit=$2 start=$SECONDS log=$OUT/logs/$1.log status
    shift 2
    limit=$((limit * MINUTES / 8))
    limit=$((limit < END - SECONDS ? limit : END - SECONDS))
    [ "$limit" -ge 5 ] || return
    echo "$title ..."
    gpu note --title "$title" --status 'stopped' --seconds 0
    export -f gpu part check train "$@" 2>/dev/null
    timeout -k 5 "$limit" bash -c '"$@"' - "$@" >"$log" 2>&1
    status=$?
    case $status in
        0) status=finished ;; 124 | 137) status="stopped by its limit of $limit s" ;; *) status="status $status" ;;
    esac
    gpu note --title "$title" --status "$status" --seconds $((SECONDS - start)) --log "$log"
}

check() { # name, command...: one line about it
    local start=$SECONDS log
    log=$OUT/logs/$(echo "$1" | tr -c 'a-zA-Z0-9\n' _).log
    if "${@:2}" >"$log" 2>&1; then echo "ok $1 ($((SECONDS - start)) s)"; else
        echo "FAILED $1 ($((SECONDS - start)) s): $(grep -v '^ *$' "$log" | tail -n 1 | cut -c1-300)"
    fi
}

train() { # work directory, options...
    "$PY" tools/train.py "$MAIN" --amp --work-dir "$OUT/runs/$1" "${@:2}"
}

commands() {
    local run=$OUT/runs/first image
    image=$(ls "$DATA"/val/*.jpg | head -1)
    short="$LOAD train_dataloader.num_workers=2 train_cfg.val_interval=1"
    check 'train an epoch' train first --cfg-options $short train_cfg.max_epochs=1
    check 'detections' gpu detections --checkpoint "$run/epoch_1.pth" --count "$(part 13)"
    grep -h -E '^(ok|FAILED|figure) ' "$OUT/logs/detections.log"
    check 'its checkpoint on the CPU' env CUDA_VISIBLE_DEVICES= "$PY" tools/test.py "$MAIN" "$run/epoch_1.pth" --work-dir "$OUT/runs/test" &
    check 'Box AM' "$PY" tools/boxam_vis_demo.py "$image" "$MAIN" "$run/epoch_1.pth" --score-thr 0 --topk 3 --out-dir "$OUT/runs/boxam" &
    check 'feature maps' "$PY" tools/featmap_vis_demo.py "$image" "$MAIN" "$run/epoch_1.pth" --target-layers backbone neck --out-dir "$OUT/runs/featmap" &
    check 'torchrun' "$PY" -m torch.distributed.run --nproc_per_node=1 --master_port=29517 tools/train.py "$MAIN" --launcher pytorch \
        --work-dir "$OUT/runs/torchrun" --cfg-options $short train_cfg.max_epochs=1 &
    if "$PY" -c 'import onnx, onnxscript, onnxruntime'; then
        check 'ONNX export' "$PY" tools/export_onnx.py "$MAIN" "$run/epoch_1.pth" --out "$OUT/runs/model.onnx" --images "$image" --score-thr 0.001 &
    else
        echo 'figure ONNX export: not run, because onnx, onnxscript or onnxruntime is not installed'
    fi
    check 'resume on the CPU' env CUDA_VISIBLE_DEVICES= "$PY" tools/train.py "$MAIN" --work-dir "$OUT/runs/cpu" --resume "$run/epoch_1.pth" \
        --cfg-options $short train_cfg.max_epochs=2 &
    wait
    check 'resume what the CPU trained' train again --resume "$OUT/runs/cpu/epoch_2.pth" --cfg-options $short train_cfg.max_epochs=3
}

good() {
    local epochs start=$SECONDS
    epochs=$(part 200)
    train good --cfg-options "$LOAD" $LOADERS train_cfg.max_epochs="$epochs" $([ "$WORK" = 1 ] || echo train_cfg.val_interval=1) || return
    echo "figure $epochs epochs from the weights in the package: $((SECONDS - start)) s with the start"
    grep -h -o 'coco/bbox_mAP: [0-9.-]*' "$OUT"/runs/good/*/*.log | sort -t ' ' -k 2 -n | sed -n '$s/^/figure best /p'
    grep -h -o 'coco/bbox_mAP: [0-9.-]*' "$OUT"/runs/good/*/*.log | sed -n '$s/^/figure last /p'
    cp "$OUT"/runs/good/best_*.pth "$OUT/kept/"
}

pretraining() { # renders with all cores, then trains as long as there is time
    if [ ! -d "$PREPARED/sources" ]; then
        echo "figure not run: $PREPARED/sources is missing; next: make weights, then bash benchmarks/gpu_prepare.sh"
        return
    fi
    export RENDERED_ROOT=$OUT/objects
    local start=$SECONDS
    "$PY" data_tools/render_objects.py --sources "$PREPARED/sources" --out "$RENDERED_ROOT" \
        --train "$(part 6000)" --val "$(part 200)" || return
    echo "figure rendered $(part 6000) images in $((SECONDS - start)) s with $CORES processes"
    "$PY" tools/train.py configs/my_rtmdet_tiny_weights.py --work-dir "$OUT/runs/weights" --cfg-options $LOADERS || return
    grep -h -o 'coco/bbox_mAP: [0-9.-]*' "$OUT"/runs/weights/*/*.log | sed -n '$s/^/figure last /p'
    "$PY" tools/publish_weights.py "$(cat "$OUT/runs/weights/last_checkpoint")" "$OUT/kept/rtmdet_tiny_objects.pth"
}

export PY OUT DATA CORES LOAD LOADERS PREPARED WORK
section Kernels 30 gpu kernels
section Commands 75 commands
section Fast 120 gpu fast $([ "$WORK" = 1 ] || echo --seconds 0 --batch 2 --batches 4 --workers 1)
section Good 130 good
section Models 100 gpu models --processes "$CORES" --count "$(part 114)"
section Pretraining 600 pretraining
cat "$OUT/gpu.md"
