#!/usr/bin/env bash
# Try this repository in new environments, for README's table of versions: releases of Python x releases of torch.
#
#     make matrix PYTHONS="python3.10 python3.13"
#     TORCHES="2.6.0 newest" bash benchmarks/matrix.sh /opt/python3.13/bin/python
#
# Each environment gets its torch first, as if a person had it already, and then what a newcomer types (with
# -c constraints.txt for the pinned torch). The commands below run in it on the CPU, and it is deleted: 6 GB of
# disk and 5 minutes each on two CPU cores. Ends with status 1 if a command failed.
set -uo pipefail
cd "$(dirname "$0")/.."
PINNED=$(sed -n 's/^torch==//p' constraints.txt)
export CUDA_VISIBLE_DEVICES= BALLOON_ROOT OUT PY
SHORT='train_cfg.val_interval=1 train_dataloader.num_workers=1'
CONFIG=configs/my_rtmdet_tiny_toy.py
COMMANDS=(
    "-c 'import mmcompat, mmdet.apis, mmyolo'"
    'data_tools/make_toy_balloons.py --train 8 --val 4'
    'data_tools/balloon2coco.py'
    "tools/train.py $CONFIG --work-dir \$OUT/w --cfg-options train_cfg.max_epochs=1 $SHORT"
    "tools/train.py $CONFIG --work-dir \$OUT/w --cfg-options train_cfg.max_epochs=2 $SHORT --resume"
    "tools/test.py $CONFIG \$OUT/w/epoch_2.pth --work-dir \$OUT/w"
    "tools/image_demo.py \$OUT/data/val $CONFIG --weights \$OUT/w/epoch_2.pth --out-dir \$OUT"
    "tools/boxam_vis_demo.py \$OUT/data/val $CONFIG \$OUT/w/epoch_2.pth --score-thr 0 --topk 3 --out-dir \$OUT/am"
)
try() { # python, torch: says what failed
    "$1" -m venv "$OUT/venv" && PY=$OUT/venv/bin/python || return
    local pip=("$PY" -m pip install -q --disable-pip-version-check)
    [ "$2" = newest ] || "${pip[@]}" "torch==$2" torchvision >"$OUT/log" 2>&1 || { tail -n 1 "$OUT/log"; return 1; }
    "${pip[@]}" -r requirements.txt $([ "$2" = "$PINNED" ] && echo -c constraints.txt) >"$OUT/log" 2>&1 || { tail -n 1 "$OUT/log"; return 1; }
    "$PY" -c "from importlib.metadata import version; print(*map(version, ('torch', 'torchvision', 'numpy', 'setuptools')), sep=' | ', end=' | ')"
    for command in "${COMMANDS[@]}"; do
        eval "\"\$PY\" $command" >"$OUT/log" 2>&1 || { echo "${command%% -*}: $(grep -v '^ *$' "$OUT/log" | tail -n 1)"; return 1; }
    done
    echo 'all work'
}
failed=0
echo '| Python | torch | torchvision | numpy | setuptools | result |'
for python in "${@:-python3}"; do
    for torch in ${TORCHES:-2.6.0 $PINNED newest}; do
        OUT=$(mktemp -d) && BALLOON_ROOT=$OUT/data
        said=$(try "$python" "$torch") || failed=1
        echo "| $("$python" -c 'import platform; print(platform.python_version())') | $said |"
        rm -rf "$OUT"
    done
done
exit $failed
