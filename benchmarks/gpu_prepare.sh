#!/usr/bin/env bash
# What benchmarks/gpu.sh needs on a machine without a network, in outputs/gpu (under 60 MB):
#
#     bash benchmarks/gpu_prepare.sh
#
# packages.tar.xz: what MMDetection, MMYOLO, Box AM and the report import besides torch, torchvision, numpy and
# OpenCV, for Python 3.12 on x86-64 Linux. balloon/: the photographs of $BALLOON_ROOT, 1280 pixels long.
# sources/: the emoji that objects are rendered from, if `make weights` has collected them.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] && PY=${PY:-.venv/bin/python}
PY=${PY:-python3} # with mmballoon, as after `pip install -r requirements.txt`
OUT=outputs/gpu
mkdir -p "$OUT"
WORK=$(mktemp -d -p "$OUT")
trap 'rm -rf "$WORK"' EXIT
WHEELS=$WORK/wheels
mkdir "$WHEELS" "$WORK/site"
pip=("$PY" -m pip -q --disable-pip-version-check)
"${pip[@]}" download --no-deps -d "$WHEELS" -c constraints.txt --only-binary=:all: --python-version 3.12 \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
    mmengine mmcv-lite mmdet mmyolo pycocotools hotcoco addict termcolor yapf platformdirs rich markdown-it-py mdurl \
    pygments pyyaml matplotlib contourpy cycler kiwisolver pyparsing python-dateutil six packaging terminaltables \
    prettytable wcwidth shapely tqdm scipy scikit-learn joblib threadpoolctl narwhals
# fonttools has a smaller wheel without compiled code; grad-cam and ttach have no wheel.
"${pip[@]}" download --no-deps -d "$WHEELS" --only-binary=:all: --python-version 3.12 --platform any fonttools
"${pip[@]}" wheel --no-deps -w "$WHEELS" -c constraints.txt grad-cam ttach
for wheel in "$WHEELS"/*.whl; do
    "$PY" -m zipfile -e "$wheel" "$WORK/site"
done
find "$WORK/site" -name tests -type d -prune -exec rm -rf {} +
tar -C "$WORK/site" -c . | xz --x86 --lzma2=preset=9 >"$OUT/packages.part" # less than 40 MB
mv "$OUT/packages.part" "$OUT/packages.tar.xz"
"$PY" benchmarks/gpu.py shrink --data "${BALLOON_ROOT:-data/balloon}" --out "$OUT/balloon"
if [ -f data/sources/NotoColorEmoji.ttf ]; then
    mkdir -p "$OUT/sources/openclipart" "$OUT/sources/fluent" # the clip art would be 160 MB more
    cp -L data/sources/NotoColorEmoji.ttf "$OUT/sources"
fi
du -sh "$OUT"/*
