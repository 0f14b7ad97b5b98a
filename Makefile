# `make help` lists the targets. Each is one command, or a few, that a reader could type.
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
# Two processes with one thread each: on two cores, tests that wait for a start do not stop the others.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal
TOY := BALLOON_ROOT=data/toy_balloon
TOY_CONFIG := configs/my_rtmdet_tiny_toy.py
TOY_DIR := work_dirs/demo
TOY_LAST = $$(cat $(TOY_DIR)/last_checkpoint)
# A file that make touches when the training has ended: a checkpoint alone may be of any epoch.
TOY_DONE := $(TOY_DIR)/.trained
PHOTOS = "$${BALLOON_ROOT:-data/balloon}"
# What the map targets draw; make boxam-stage4 IMG=image.jpg CONFIG=... CHECKPOINT=... draws yours.
IMG ?= data/toy_balloon/val/toy_val_00013.jpg
CONFIG ?= $(TOY_CONFIG)
CHECKPOINT ?= $(TOY_LAST)

.PHONY: help setup data demo demo-report demo-images demo-onnx report train photographs scratch weights featmap boxam boxam-stage4 boxam-neck0 boxam-neck1 \
        boxam-neck2 test test-all models matrix lint format

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { split($$1, names, " "); printf "  make %-13s %s\n", names[1], $$2 }' $(MAKEFILE_LIST)

setup: .venv/.installed  ## make .venv with the tested set of packages (TORCH_INDEX=URL for another build of torch)

.venv/.installed: requirements-dev.txt requirements-export.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 14) else "error: Python %d.%d, expected 3.10 to 3.14; next: install one and run make setup PYTHON=python3.12" % v)'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) has no venv module; next: install it (Debian, Ubuntu: apt install python3-venv) and run make setup again" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),.venv/bin/pip install --index-url $(TORCH_INDEX) -c constraints.txt torch torchvision)
	.venv/bin/pip install --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

# Releases that the tests run MMYOLO's Box AM with, next to the ones in .venv.
.venv/other/.installed: .venv/.installed
	.venv/bin/pip install --disable-pip-version-check -q --no-deps --upgrade --target .venv/other/mmyolo-0.5.0 mmyolo==0.5.0 mmdet==3.0.0
	.venv/bin/pip install --disable-pip-version-check -q --no-deps --upgrade --target .venv/other/grad-cam-newest grad-cam==1.5.7
	@touch $@

data: setup  ## download the images and convert their annotations
	$(PY) data_tools/download_balloon.py
	$(PY) data_tools/balloon2coco.py

train: setup  ## fine-tune RTMDet-tiny from COCO weights on the photographs (resumes)
	$(PY) tools/train.py configs/my_rtmdet_tiny.py --amp --resume

# The pictures of things that the weights in the package learned from; apt-get and dpkg-deb are Debian's.
data/sources/NotoColorEmoji.ttf:
	mkdir -p data/sources/packages
	cd data/sources/packages && apt-get download openclipart-png fonts-noto-color-emoji && npm pack @lobehub/fluent-emoji-3d@1.1.0
	cd data/sources/packages && for file in *.deb; do dpkg-deb -x $$file . || exit 1; done && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz
	cd data/sources && ln -sfn packages/usr/share/openclipart/png openclipart && ln -sfn packages/package/assets fluent
	ln -sf packages/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf data/sources/

data/objects/coco_val.json: | setup data/sources/NotoColorEmoji.ttf
	$(PY) data_tools/render_objects.py --sources data/sources --out data/objects

weights: data/objects/coco_val.json  ## make the weights in the package again (Debian; an hour on a core with bfloat16)
	$(PY) tools/train.py configs/my_rtmdet_tiny_weights.py --resume
	$(PY) tools/publish_weights.py "$$(cat work_dirs/my_rtmdet_tiny_weights/last_checkpoint)" mmballoon/weights/rtmdet_tiny_objects.pth

photographs:
	@test -f $(PHOTOS)/coco_train.json || { echo "error: "$(PHOTOS)"/coco_train.json is missing; next: make data" >&2; exit 1; }

scratch: setup photographs  ## train on the photographs from the weights in the package; downloads nothing (resumes)
	$(PY) tools/train.py configs/my_rtmdet_tiny_scratch.py --resume

data/toy_balloon/coco_val.json: | setup
	$(PY) data_tools/make_toy_balloons.py --out data/toy_balloon
	$(PY) data_tools/balloon2coco.py --data-root data/toy_balloon

$(TOY_DONE): | data/toy_balloon/coco_val.json
	$(TOY) $(PY) tools/train.py $(TOY_CONFIG) --work-dir $(TOY_DIR) --resume
	@touch $@

demo: setup $(TOY_DONE)  ## everything from a bare checkout to result images, on rendered data (no GPU, no download)
	@$(MAKE) --no-print-directory -j 2 $(filter -O,$(patsubst output-sync,-O,$(.FEATURES))) demo-report demo-images demo-onnx featmap boxam
	@metrics=$$(ls -t $(TOY_DIR)/test/*/*.json | head -1); echo; \
	echo "mAP         $$(sed -E 's/.*"coco\/bbox_mAP": ([0-9.]+).*/\1/' $$metrics)   (all figures: $$metrics)"; \
	echo "detections  outputs/vis"; echo "maps        outputs/featmap, outputs/boxam"; \
	echo "exported    outputs/balloon.onnx, its detections outputs/onnx"; \
	echo "report      outputs/report/report.html"

demo-report:
	$(TOY) $(PY) tools/test.py $(TOY_CONFIG) $(TOY_LAST) --work-dir $(TOY_DIR)/test --out $(TOY_DIR)/test/results.pkl
	$(TOY) $(PY) tools/report.py $(TOY_CONFIG) $(TOY_LAST) --predictions $(TOY_DIR)/test/results.pkl

demo-images:
	$(TOY) $(PY) tools/image_demo.py data/toy_balloon/val $(TOY_CONFIG) --weights $(TOY_LAST) --pred-score-thr 0.5

demo-onnx:
	$(TOY) $(PY) tools/export_onnx.py $(TOY_CONFIG) $(TOY_LAST) --out outputs/balloon.onnx
	$(PY) tools/onnx_demo.py data/toy_balloon/val outputs/balloon.onnx --pred-score-thr 0.5 --out-dir outputs/onnx

report: setup  ## write outputs/report/report.html about CHECKPOINT
	$(PY) tools/report.py $(CONFIG) $(CHECKPOINT)

featmap: setup  ## feature maps of backbone and neck, of IMG
	$(PY) tools/featmap_vis_demo.py $(IMG) $(CONFIG) $(CHECKPOINT) --target-layers backbone neck --score-thr 0.5 --out-dir outputs/featmap

boxam: setup  ## Box AM of four layers in one figure, of IMG
	$(PY) tools/boxam_vis_demo.py $(IMG) $(CONFIG) $(CHECKPOINT) --score-thr 0.5 --out-dir outputs/boxam

boxam-stage4 boxam-neck0 boxam-neck1 boxam-neck2: setup  ## Box AM of one layer, of IMG
	$(PY) tools/boxam_vis_demo.py $(IMG) $(CONFIG) $(CHECKPOINT) --score-thr 0.5 --out-dir outputs/$@ --target-layers \
	    '$(if $(findstring neck,$@),neck.out_convs[$(patsubst boxam-neck%,%,$@)],backbone.stage4)'

test: lint  ## check style and run the quick tests (4 minutes)
	$(PYTEST) -m "not slow"

# Its long tests often wait for a command, so three processes.
test-all: lint .venv/other/.installed  ## check style and run all tests but those of make models (about 10 minutes)
	$(PYTEST) -n 3 -m "not models"

models: setup  ## train a step and detect with each model family of MMDetection (half an hour)
	$(PY) -m pytest -m models -s

matrix:  ## install and run everything with PYTHONS="python3.10 ..." x three releases of torch, each in a new environment (1 hour)
	bash benchmarks/matrix.sh $(or $(PYTHONS),$(PYTHON))

lint: setup  ## check style and spelling
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/codespell

format: setup  ## rewrite the code in the project's style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
