"""Bad input to every command: one line and status 2, nothing half-written; or, where it is legal, it works.

Each line of CASES is a command and, behind =>, a part of its error line, or `works`. A command with
[a|b] is one case for a and one for b. bad_input_files.py makes the files.
"""

import contextlib
import ctypes
import itertools
import os
import re
import shlex
import struct

import bad_input_files
import pytest
from conftest import one_line_error

pytestmark = pytest.mark.slow

CASES = """
tools/train.py {configs}/[CONFIGS] --work-dir {out} =>
tools/train.py {configs}/[CHANGES].py --work-dir {out} =>
tools/train.py {config} --work-dir {a_file} => a_file
tools/train.py {config} --work-dir {a_file}/below => a_file
tools/train.py {config} --work-dir {locked}/w => Permission denied
tools/train.py {config} --work-dir {out} --cfg-options data_root={locked}/ train_dataloader.dataset.data_root={locked}/ => Permission denied
tools/train.py {config} --work-dir {out} --cfg-options load_from={checkpoints}/[text|zip|list|number].pth =>
tools/train.py {config} --work-dir {out} --cfg-options load_from={checkpoints}/evil_[state_dict|all|old_format|protocol_0|getattr|eval].pth => refused
tools/train.py {config} --work-dir {out} --resume {checkpoints}/evil_[optimizer|message_hub|param_schedulers|meta|ema_state_dict].pth => refused
tools/train.py {config} --work-dir {out} --resume {checkpoints}/[zero|other_classes|other_model].pth =>
tools/test.py [{config}|{configs}/model_channels.py] {checkpoints}/folder.pth --work-dir {out} => folder.pth
tools/test.py {configs}/[syntax.py|empty.py|list.json|base_key.py|dataset_unknown.py] {good} --work-dir {out} => correct the config
tools/test.py {config} {checkpoints}/[zero|text|half|flipped|zip|dangling|list|number|nothing].pth --work-dir {out} =>
tools/test.py {config} {checkpoints}/other_[model|classes].pth --work-dir {out} => does not fit the model
tools/test.py {config} {checkpoints}/evil_[state_dict|pickle].pth --work-dir {out} => refused
tools/test.py {config} {good} --work-dir {out} --out {out}/results.txt => .pkl
tools/test.py {config} {good} --work-dir {a_file} => a_file
tools/image_demo.py {broken}/[empty.jpg|text.jpg|zero.pgm|header.png|bomb.png] {config} --weights {good} --out-dir {out} => not a readable image
tools/image_demo.py {broken}/[folder|dangling|loop|pipe].jpg {config} --weights {good} --out-dir {out} => no such image
tools/featmap_vis_demo.py {broken}/[empty.jpg|zero.pgm|bomb.png] {config} {good} --out-dir {out} => not a readable image
tools/boxam_vis_demo.py {broken}/[text.jpg|header.png|bomb.png] {config} {good} --out-dir {out} => not a readable image
tools/[featmap|boxam]_vis_demo.py {broken}/[folder|loop|pipe].jpg {config} {good} --out-dir {out} => no such image
tools/image_demo.py {locked} {config} --weights {good} --out-dir {out} => Permission denied
tools/image_demo.py {locked_image} {config} --weights {good} --out-dir {out} => not a readable image
tools/[featmap|boxam]_vis_demo.py {locked} {config} {good} --out-dir {out} => Permission denied
tools/image_demo.py {empty_folder} {config} --weights {good} --out-dir {out} => no such image
tools/image_demo.py {image} {config} --weights {checkpoints}/[zero|list|other_model|other_classes|evil_meta].pth --out-dir {out} =>
tools/image_demo.py {image} {config} --weights {good} --out-dir {a_file} => a_file
tools/image_demo.py {image} {configs}/[syntax.py|empty.py|broken.yml] --weights {good} --out-dir {out} => correct the config
tools/image_demo.py {image} {config} --weights {good} --out-dir {out} --device [cuda:7|tpu] => --device
tools/image_demo.py {image} {config} --weights {good} --out-dir {out} --pred-score-thr high => pred-score-thr
tools/image_demo.py {image} {config} --weights {good} --out-dir {out} --batch-size [0|-3|x] => --batch-size
tools/featmap_vis_demo.py {image} {config} {checkpoints}/[half|other_classes|evil_all].pth --out-dir {out} =>
tools/boxam_vis_demo.py {image} {config} {checkpoints}/[text|other_model|evil_optimizer].pth --out-dir {out} =>
tools/[featmap|boxam]_vis_demo.py {image} {configs}/[null.py|empty.py] {good} --out-dir {out} => correct the config
tools/featmap_vis_demo.py {image} {config} {good} --out-dir {out} --target-layers "__import__('os').system('touch {mark}')" => no such layer
tools/boxam_vis_demo.py {image} {config} {good} --out-dir {out} --target-layers "neck;open('{mark}','w')" => no such layer
tools/[featmap|boxam]_vis_demo.py {image} {config} {good} --out-dir {out} --target-layers [neck.__class__|../neck|''|neck.out_convs] =>
tools/[featmap|boxam]_vis_demo.py {image} {config} {good} --out-dir {a_file} => a_file
tools/boxam_vis_demo.py {image} {config} {good} --out-dir {out} --max-shape x => max-shape
tools/boxam_vis_demo.py {image} {config} {good} --out-dir {out} --method gradcamm => --method
tools/export_onnx.py {configs}/[syntax.py|empty.py] {good} --out {out}/m.onnx => correct the config
tools/export_onnx.py {config} {checkpoints}/[zero|other_model|other_classes|evil_all].pth --out {out}/m.onnx =>
tools/export_onnx.py {config} {good} --out {out}/m.onnx --img-size [0|-32|100] => image size
tools/export_onnx.py {config} {good} --out {a_file}/m.onnx => a_file
tools/export_onnx.py {config} {good} --out {out}/m.onnx --images {broken}/[empty.jpg|pipe.jpg] =>
tools/onnx_demo.py {image} {onnx}/[zero|text|folder|nothing|other_model|metadata_words|metadata_list|metadata_no_keys].onnx --out-dir {out} => .onnx
tools/onnx_demo.py {broken}/[empty.jpg|bomb.png] {onnx}/zero.onnx --out-dir {out} =>
tools/onnx_demo.py {broken}/[folder|dangling|loop|pipe].jpg {onnx}/zero.onnx --out-dir {out} => no such image
tools/test_onnx.py {config} {onnx}/[zero|text|nothing|other_model|metadata_list].onnx => .onnx
tools/report.py {configs}/[syntax.py|empty.py] {good} --out {out} => correct the config
tools/report.py {config} {checkpoints}/[zero|folder|nothing|other_model|other_classes|evil_all].pth --out {out} =>
tools/report.py {config} --predictions {results}/[text|zero|number|list|dict].pkl --out {out} => .pkl
tools/report.py {config} --predictions {results}/[broken|number|words|other_image|box_null|box_words|box_three|score_word|score_nan|image_list].json --out {out} => .json
tools/report.py {config} --predictions {checkpoints}/evil_results.pkl --out {out} => posix.system
tools/upstream.py mmdet [tools/none.py|../../setup.py|''] => no such script
tools/upstream.py {scripts}/no_main.py => main
tools/upstream.py [{scripts}|{a_file}|{scripts}/none.py] =>
data_tools/check_coco.py {coco}/[no_json|list|null|no_keys|deep|binary|images_null|image_number|width_word|width_null|width_infinite|name_number|name_missing|id_list|box_null|box_words|box_three|image_unknown|category_unknown|categories_empty].json --images {coco} --out {out} => .json
data_tools/check_coco.py {coco}/[images_empty|width_zero|name_null_byte|box_nan|box_infinite|box_huge|box_outside|segmentation_word|segmentation_odd|segmentation_words|area_word].json --images {coco} --out {out} =>
data_tools/check_coco.py {coco}/coco_images.json --images {a_file} --out {out} => problems
data_tools/check_coco.py {coco}/coco_images.json --images {coco} --out {a_file} => a_file
data_tools/check_coco.py {coco}/coco_images.json --images {coco} --out {out} --img-size [0|-1|x] => img-size
data_tools/check_coco.py {locked}/coco.json => Permission denied
data_tools/balloon2coco.py {via}/[text|binary|null|number|deep|name_number|name_list|regions_number|twice|csv_short|csv_header]/via.json --out {out}/c.json => via.json
data_tools/balloon2coco.py {via}/[name_up|name_absolute|name_newline|name_quotes|name_null_byte|name_surrogate|name_folder]/via.json --out {out}/c.json => none of its 1 images
data_tools/balloon2coco.py {via}/name_long/via.json --out {out}/c.json => too long
data_tools/balloon2coco.py {via}/image_[empty|text|zero|header|bomb|folder]/via.json --out {out}/c.json =>
data_tools/balloon2coco.py [{empty_folder}|{a_file}|{root}/none] --out {out}/c.json =>
data_tools/balloon2coco.py {via}/none.json --out {out}/c.json => no such file
data_tools/balloon2coco.py {root}/val --split [0|1|-1|nan|inf|x] --data-root {out} => --split
data_tools/balloon2coco.py {root}/val --out [{a_file}/c.json|{empty_folder}] =>
data_tools/balloon2coco.py --data-root {locked} => Permission denied
data_tools/import_annotations.py {coco}/[yolo_latin|yolo_yaml_broken|yolo_yaml_list|yolo_yaml_code|yolo_yaml_number|voc_broken|voc_empty|voc_entities|labelme_broken|labelme_path] --out {out}/c.json =>
data_tools/import_annotations.py {coco}/[yolo_infinite|yolo_nan|voc_nan|labelme_points|labelme_words|labelme_shape] --out {out}/c.json --strict =>
data_tools/import_annotations.py {coco}/[no_json|list|null|no_keys|deep|images_null|image_number|name_number|name_missing|id_list|image_unknown].json {coco} --out {out}/c.json =>
data_tools/import_annotations.py {locked} => Permission denied
data_tools/download_balloon.py --data-root {out} --zip {zips}/[text|zero|empty|other|no_json|no_image|outside|other_size|cut|flipped].zip => .zip
data_tools/download_balloon.py --data-root {out} --zip [{root}/none.zip|{broken}/pipe.jpg] =>
data_tools/download_balloon.py --data-root {out} --from [{a_file}|{empty_folder}|{root}/none] =>
data_tools/download_balloon.py --data-root {out} --from {locked} => Permission denied
data_tools/download_balloon.py --data-root {out}/d --url [nonsense|gopher://host/x.zip|http://127.0.0.1:9/x.zip|http://[::1|file:///etc/passwd] =>
data_tools/download_balloon.py --data-root {a_file} --from {coco} =>
data_tools/make_toy_balloons.py --out {out} --train [0|-1|x|1.5] =>
data_tools/make_toy_balloons.py --out {out} --seed [-1|x] =>
data_tools/make_toy_balloons.py --out [{a_file}|{a_file}/below|{coco}] =>
data_tools/make_toy_balloons.py --out {locked}/below => Permission denied
tools/image_demo.py {legal} {config} --weights {good} --out-dir {out} => works
tools/featmap_vis_demo.py {legal} {config} {good} --out-dir {out} => works
tools/boxam_vis_demo.py {legal} {config} {good} --out-dir {out} --score-thr 0 --topk 1 --target-layers backbone.stage4 => works
"""
for word in ('CONFIGS', 'CHANGES'):
    CASES = CASES.replace(f'[{word}]', f'[{"|".join(getattr(bad_input_files, word))}]')


def expand(text):
    """[(words of a command, what to expect)] of a text like CASES."""
    found = []
    for line in text.strip().splitlines():
        command, expected = line.rsplit('=>', 1)
        parts = re.split(r'\[([^\]]*\|[^\]]*)\]', command)
        choices = [part.split('|') if i % 2 else [part] for i, part in enumerate(parts)]
        for chosen in itertools.product(*choices):
            found.append((shlex.split(''.join(chosen)), expected.strip()))
    return found


ALL = expand(CASES)


@contextlib.contextmanager
def without_privileges():
    """Root may read everything; so take this right (CAP_DAC_*) away from this thread for a while."""
    if os.getuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = struct.pack('Ii', 0x20080522, 0), ctypes.create_string_buffer(24)
    assert libc.capget(header, data) == 0
    before = data.raw
    effective, *others = struct.unpack('6I', before)
    data.raw = struct.pack('6I', effective & ~0b110, *others)
    assert libc.capset(header, data) == 0
    try:
        yield
    finally:
        data.raw = before
        assert libc.capset(header, data) == 0


@pytest.fixture(scope='module')
def files(tiny, tmp_path_factory):
    """{placeholder: path}"""
    folder = tmp_path_factory.mktemp('bad')
    mark = bad_input_files.make(folder, tiny)
    names = {path.name: path for path in folder.iterdir()}
    locked_image = folder / 'locked.jpg'
    locked_image.write_bytes(tiny.images[0].read_bytes())
    locked_image.chmod(0)
    locked = folder / 'locked'
    locked.mkdir(mode=0)
    yield dict(
        names, mark=mark, config=tiny.config, good=tiny.checkpoint, root=tiny.root,
        image=tiny.images[0], locked=locked, locked_image=locked_image,
    )  # fmt: skip
    locked.chmod(0o700)


@pytest.mark.parametrize('command, expected', ALL, ids=[' '.join(words) for words, _ in ALL])
def test_one_line_and_nothing_half_written(command, expected, files, in_process, tmp_path):
    places = dict(files, out=tmp_path / 'out')
    words = [word.format(**places) for word in command]
    with without_privileges():
        done = in_process(*words, env=dict(BALLOON_ROOT=files['root']))
    written = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert not files['mark'].exists(), 'a hostile file ran its code'
    assert not [path for path in written if path.name.endswith('.part')]
    if expected == 'works':
        images = len(list(files['legal'].iterdir()))
        assert done.status == 0, done.err
        assert (
            len([path for path in written if path.suffix == '.jpg' or 'vis' in path.parts])
            == images
        )
        return
    lines = [line for line in done.err.splitlines() if 'error: ' in line]
    assert done.status == 2 and len(lines) == 1 and expected in lines[0], done.err
    assert '; next: ' in lines[0] or 'usage: ' in done.err, done.err
    if 'check_coco' in command[0]:  # it draws what is wrong
        return
    results = ('.pth', '.onnx', '.png', '.jpg', '.pkl')
    assert not [path for path in written if path.suffix in results or path.name == 'c.json']


def test_how_many_were_tried(capsys):
    legal = 3 * 20  # images, by three commands
    with capsys.disabled():
        print(
            f'\nbad inputs tried: {sum(e != "works" for _, e in ALL)}; unusual but legal: {legal}'
        )
    assert len({tuple(words) for words, _ in ALL}) == len(ALL) >= 100


@pytest.mark.parametrize(
    'command',
    [
        'tools/train.py none.py', 'tools/test.py none.py none.pth',
        'tools/image_demo.py none.jpg none.py --weights none.pth',
        'tools/featmap_vis_demo.py none.jpg none.py none.pth',
        'tools/boxam_vis_demo.py none.jpg none.py none.pth',
        'tools/export_onnx.py none.py none.pth', 'tools/onnx_demo.py none.jpg none.onnx',
        'tools/test_onnx.py none.py none.onnx', 'tools/report.py none.py none.pth',
        'tools/upstream.py none.py', 'data_tools/check_coco.py none.json',
        'data_tools/balloon2coco.py none.json', 'data_tools/import_annotations.py none',
        'data_tools/download_balloon.py --zip none.zip',
        'data_tools/make_toy_balloons.py --out Makefile',
    ],
)  # fmt: skip
def test_as_typed(command):
    """One command line for each command, in a process of its own."""
    assert 'none' in one_line_error(*command.split()) or 'Makefile' in command
