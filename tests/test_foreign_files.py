"""Random sequences of commands in folders that hold files of somebody else: these keep their bytes.

SOAK=200 runs that many sequences; SOAK_TRAIN=5 lets that many of them train, export and report.
"""

import os
import random
import shutil

import pytest
from conftest import ROOT

SEQUENCES = int(os.environ.get('SOAK', 8))
TRAINED = int(os.environ.get('SOAK_TRAIN', 0))
# Names that a command of ours or of upstream could take for its own.
FOREIGN = (
    'data/train.old/0.jpg', 'data/train.part/0.jpg', 'data/val.part/toy_val_00000.jpg', 'data/.coco_train.json.part',
    'data/coco_train.json.old', 'data/coco_test.json', 'data/incoming.part/a.jpg', 'data/train/notes.txt',
    'data/train/toy_train_00001.jpg', 'data/train/photo.jpg', 'data/val/toy_val_99999.jpg', 'data/val/.DS_Store',
    'data/val/via_region_data.json', 'data/coco_train.json', 'data/train/via_region_data.json',
    'photos/train/photo.jpg', 'photos/0.txt', 'train/0.jpg', 'train/photo.jpg', 'val/1.jpg', 'coco_val.json',
    'work/best_coco_bbox_mAP_epoch_80.pth', 'work/best_fold_1.pth', 'work/epoch_9.pth', 'work/.epoch_1.pth.part',
    'work/curves.png', 'work/iter_3.pth', 'work/notes/epoch_1.pth', 'work/epoch_1.pth.bak', 'out/.report.html.part',
    'out/preds/a.json', 'out/other.onnx', 'out/.m.onnx.part',
)  # fmt: skip


def steps(top, tiny):
    """{command: how a person types it} in a folder."""
    data, work, val = top / 'data', top / 'work', top / 'release/val'
    train = (
        f'tools/train.py {ROOT}/configs/my_rtmdet_tiny_toy.py --work-dir {work} {{}} --cfg-options '
    )
    train += 'train_cfg.max_epochs={} train_dataloader.num_workers=0 val_dataloader.num_workers=0 '
    train += 'train_dataloader.persistent_workers=False val_dataloader.persistent_workers=False '
    model = f'{ROOT}/configs/my_rtmdet_tiny_toy.py {tiny.checkpoint if tiny else ""}'
    light = {
        'render': f'data_tools/make_toy_balloons.py --out {data} --train 3 --val 2 --seed {random.randrange(2)}',
        'convert': f'data_tools/balloon2coco.py --data-root {data}',
        'convert one': f'data_tools/balloon2coco.py {data}/val --out {data}/coco_one.json',
        'split': f'data_tools/balloon2coco.py {top}/photos --data-root {top} --split 0.5 --seed {random.randrange(9)}',
        'import': f'data_tools/import_annotations.py {top}/release/coco_val.json {val} --out {top}/coco_new.json',
        'check': f'data_tools/check_coco.py {top}/release/coco_val.json --images {val} --out {top}/out',
        'download': f'data_tools/download_balloon.py --data-root {data} --from {top}/release',
    }
    heavy = {
        'train': train.format('', 1),
        'resume': train.format('--resume', 2),
        'report': f'tools/report.py {model} --out {top}/out',
        'export': f'tools/export_onnx.py {model} --out {top}/out/m.onnx',
    }
    return light | (heavy if tiny else {})


@pytest.mark.parametrize('seed', range(SEQUENCES))
def test_they_keep_their_bytes(seed, tiny_data, request, in_process, tmp_path):
    random.seed(seed)
    trains = seed < TRAINED
    tiny = request.getfixturevalue('tiny') if trains else None
    shutil.copytree(tiny_data.root / 'train', tmp_path / 'photos')
    shutil.copytree(tiny_data.root, tmp_path / 'release')
    commands = steps(tmp_path, tiny)
    foreign, ended = {}, []
    for _ in range(12 if trains else 10):
        name = random.choice(list(commands))
        path = tmp_path / random.choice(FOREIGN)
        # Few of them, or most commands would refuse the folder; what a command has made stays its own.
        if random.random() < 0.2 and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'of somebody else: {path.name}')
            foreign[path] = path.read_bytes()
        done = in_process(*commands[name].split(), env=dict(BALLOON_ROOT=tiny_data.root))
        ended.append((name, done.status))
        for path, content in foreign.items():
            assert path.is_file() and path.read_bytes() == content, (ended, path)
    assert {status for _, status in ended} <= {0, 2}, ended
    print(*(f'{name}: {status}' for name, status in ended), sep=', ')
