"""Files that no command should stumble over, for test_bad_input.py."""

import json
import os
import pickle
import struct
import zipfile

import mmcompat  # noqa: F401

import cv2
import numpy as np
import torch
from conftest import ROOT
from PIL import Image

TOY = ROOT / 'configs/my_rtmdet_tiny_toy.py'
CONFIGS = {
    'syntax.py': 'model = dict(',
    'empty.py': '',
    'binary.py': b'\xff\xfe\x00\x01',
    'null.py': b'a = 1\0',
    'broken.json': '{"model": ',
    'broken.yml': 'model: [1, 2',
    'list.json': '[1, 2]',
    'notes.txt': 'model = 1',
    'no_base.py': '_base_ = "./nothing_here.py"',
    'circle.py': '_base_ = "./circle.py"',
    'number_base.py': '_base_ = 5',
    'base_key.py': f'_base_ = {str(TOY)!r}\nx = _base_.there_is_no_such_key',
}
NO_WORKERS = 'train_dataloader = dict(num_workers=0, persistent_workers=False)'
# Changes of the toy config, written as a person would write them into a config.
CHANGES = {
    'classes_string': 'train_dataloader.update(dataset=dict(metainfo=dict(classes=("balloon"))))',
    'classes_empty': 'train_dataloader.update(dataset=dict(metainfo=dict(classes=())))',
    'model_unknown': 'model = dict(type="RTMDetector")',
    'model_argument': 'model = dict(backbone=dict(depht=3))',
    'transform_unknown': 'train_dataloader.update(dataset=dict(pipeline=[dict(type="Lode")]))',
    'dataset_unknown': 'train_dataloader.update(dataset=dict(type="CocoDatset"))',
    'images_missing': 'train_dataloader.update(dataset=dict(data_prefix=dict(img="nowhere/")))',
    'annotations_missing': 'train_dataloader.update(dataset=dict(ann_file="nothing.json"))',
    'evaluator_missing': 'val_evaluator = dict(ann_file="nothing.json")',
    'schedule_unknown': 'param_scheduler = [dict(type="Cosine")]',
    'hook_unknown': 'custom_hooks = [dict(type="EMAHok")]',
    'load_from_missing': 'load_from = "nothing.pth"',
    'test_missing': 'test_dataloader = None',
}


class Evil:
    """Its pickle runs a command."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f'touch {self.mark}',)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def configs(folder):
    for name, text in CONFIGS.items():
        write(folder / name, text)
    for name, change in CHANGES.items():
        write(folder / f'{name}.py', f'_base_ = {str(TOY)!r}\n{NO_WORKERS}\n{change}')


def checkpoints(folder, good, mark):
    """Broken ones, and hostile ones by every route into a checkpoint."""
    write(folder / 'zero.pth', b'')
    write(folder / 'text.pth', 'not a checkpoint')
    write(folder / 'half.pth', good.read_bytes()[: good.stat().st_size // 2])
    data = bytearray(good.read_bytes())
    data[len(data) // 2] ^= 0xFF
    write(folder / 'flipped.pth', bytes(data))
    with zipfile.ZipFile(folder / 'zip.pth', 'w') as archive:
        archive.writestr('readme.txt', 'no pickle in here')
    (folder / 'folder.pth').mkdir()
    os.symlink('nowhere.pth', folder / 'dangling.pth')
    checkpoint = torch.load(good, weights_only=True)
    state = checkpoint['state_dict']
    torch.save([1, 2, 3], folder / 'list.pth')
    torch.save(dict(state_dict=5), folder / 'number.pth')
    torch.save({}, folder / 'nothing.pth')
    torch.save(dict(state_dict={'fc.weight': torch.zeros(3, 3)}), folder / 'other_model.pth')
    classes = {
        name: torch.zeros(80, *value.shape[1:]) if 'rtm_cls' in name else value
        for name, value in state.items()
    }
    torch.save(dict(checkpoint, state_dict=classes), folder / 'other_classes.pth')
    parts = ('state_dict', 'optimizer', 'message_hub', 'param_schedulers', 'meta', 'ema_state_dict')
    for part in parts:
        torch.save(dict(checkpoint, **{part: Evil(mark)}), folder / f'evil_{part}.pth')
    torch.save(Evil(mark), folder / 'evil_all.pth')
    torch.save(Evil(mark), folder / 'evil_old_format.pth', _use_new_zipfile_serialization=False)
    write(folder / 'evil_pickle.pth', pickle.dumps(Evil(mark)))
    write(folder / 'evil_protocol_0.pth', f"cos\nsystem\n(S'touch {mark}'\ntR.")
    write(folder / 'evil_results.pkl', pickle.dumps([Evil(mark)]))
    write(
        folder / 'evil_getattr.pth',
        b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntRS'system'\ntR.",
    )
    write(folder / 'evil_eval.pth', b"c__builtin__\neval\n(S'1+1'\ntR.")


def broken_images(folder):
    write(folder / 'empty.jpg', b'')
    write(folder / 'text.jpg', 'no image')
    write(folder / 'zero.pgm', 'P5\n0 0\n255\n')
    write(folder / 'header.png', b'\x89PNG\r\n\x1a\n')
    size = struct.pack('>II', 100_000, 100_000)  # 10,000 million pixels
    chunk = b'IHDR' + size + b'\x08\x02\x00\x00\x00'
    crc = struct.pack('>I', zipfile.crc32(chunk))
    write(folder / 'bomb.png', b'\x89PNG\r\n\x1a\n\x00\x00\x00\x0d' + chunk + crc)
    (folder / 'mine/vis').mkdir(parents=True)
    Image.new('RGB', (80, 60)).save(folder / 'mine/vis/a.png')
    (folder / 'folder.jpg').mkdir()
    os.symlink('nowhere.jpg', folder / 'dangling.jpg')
    os.symlink('loop.jpg', folder / 'loop.jpg')
    os.mkfifo(folder / 'pipe.jpg')


def legal_images(folder):
    """Rare ones, and rare names: each of these is an image."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    photo = Image.fromarray(noise)
    cv2.imwrite(str(folder / 'one.png'), noise[:1, :1])
    cv2.imwrite(str(folder / 'wide.png'), np.zeros((300, 20_000, 3), np.uint8))
    cv2.imwrite(str(folder / 'sixteen.png'), noise.astype(np.uint16) * 257)
    photo.convert('L').save(folder / 'grey.png')
    photo.convert('1').save(folder / 'bits.png')
    photo.convert('P').save(folder / 'palette.png')
    photo.convert('RGBA').save(folder / 'alpha.png')
    photo.convert('CMYK').save(folder / 'cmyk.jpg')
    moving = [photo, photo.rotate(90)]
    photo.save(folder / 'animated.webp', save_all=True, append_images=moving)
    photo.save(folder / 'moving.png', save_all=True, append_images=moving)
    photo.save(folder / 'pages.tif', save_all=True, append_images=moving)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / 'turned.jpg', exif=exif)
    names = ['quo"t\'es', 'new\nline', 'dots..dots', '$(touch x)', 'ünï 图', '%s{}', '-dash']
    for name in names:
        photo.save(folder / f'{name}.jpg')
    photo.save(os.fsencode(folder) + b'/latin\xff.jpg', 'JPEG')


def coco(**changes):
    data = dict(
        images=[dict(id=1, file_name='a.jpg', width=80, height=60)],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)],
        categories=[dict(id=1, name='balloon')],
    )
    data.update(changes)
    return json.dumps(data)


def annotations(folder):
    """COCO files that are none, and annotations of other programs, beside one image a.jpg."""
    image, box = dict(id=1, file_name='a.jpg', width=80, height=60), dict(id=1, image_id=1)
    box.update(category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)
    files = {
        'no_json': 'images',
        'list': '[]',
        'null': 'null',
        'no_keys': '{}',
        'deep': '[' * 100_000,
        'binary': b'\xff\xfe\x00',
        'images_null': coco(images=None),
        'images_empty': coco(images=[], annotations=[]),
        'image_number': coco(images=[5]),
        'width_word': coco(images=[dict(image, width='wide')]),
        'width_zero': coco(images=[dict(image, width=0)]),
        'width_null': coco(images=[dict(image, width=None)]),
        'width_infinite': coco(images=[dict(image, width=float('inf'))]),
        'name_number': coco(images=[dict(image, file_name=5)]),
        'name_missing': coco(images=[dict(id=1, width=80, height=60)]),
        'name_null_byte': coco(images=[dict(image, file_name='a\0.jpg')]),
        'id_list': coco(images=[dict(image, id=[1])]),
        'box_null': coco(annotations=[dict(box, bbox=None)]),
        'box_words': coco(annotations=[dict(box, bbox=['a', 'b', 'c', 'd'])]),
        'box_three': coco(annotations=[dict(box, bbox=[1, 2, 3])]),
        'box_nan': coco(annotations=[dict(box, bbox=[float('nan')] * 4)]),
        'box_infinite': coco(annotations=[dict(box, bbox=[0, 0, float('inf'), 5])]),
        'box_huge': coco(annotations=[dict(box, bbox=[0, 0, 1e300, 1e300])]),
        'box_outside': coco(annotations=[dict(box, bbox=[70, 50, 50, 50])]),
        'image_unknown': coco(annotations=[dict(box, image_id=9)]),
        'category_unknown': coco(annotations=[dict(box, category_id='x')]),
        'categories_empty': coco(categories=[]),
        'category_null': coco(categories=[dict(id=1, name=None)]),
        'segmentation_word': coco(annotations=[dict(box, segmentation='everything')]),
        'segmentation_odd': coco(annotations=[dict(box, segmentation=[[1, 2, 3]])]),
        'segmentation_words': coco(annotations=[dict(box, segmentation=[['a', 'b'] * 3])]),
        'area_word': coco(annotations=[dict(box, area='large')]),
    }
    for name, content in files.items():
        write(folder / f'{name}.json', content)
    write(folder / 'coco_images.json', coco())
    photo = Image.new('RGB', (80, 60))
    photo.save(folder / 'a.jpg')
    others = {
        'yolo_latin/a.txt': b'\xe9 0.5 0.5 0.1 0.1',
        'yolo_yaml_broken/a.txt': '0 0.5 0.5 0.1 0.1',
        'yolo_yaml_broken/data.yaml': 'names: [a, b',
        'yolo_yaml_list/a.txt': '0 0.5 0.5 0.1 0.1',
        'yolo_yaml_list/data.yaml': '- a\n- b',
        'yolo_yaml_code/a.txt': '0 0.5 0.5 0.1 0.1',
        'yolo_yaml_code/data.yaml': 'names: !!python/object/apply:os.system ["touch {mark}"]',
        'yolo_yaml_number/a.txt': '0 0.5 0.5 0.1 0.1',
        'yolo_yaml_number/data.yaml': 'names: 5',
        'yolo_infinite/a.txt': 'inf inf inf inf inf',
        'yolo_nan/a.txt': '0 nan nan nan nan',
        'voc_broken/a.xml': '<annotation><object>',
        'voc_empty/a.xml': '',
        'voc_nan/a.xml': '<annotation><filename>a.jpg</filename><object><name>b</name><bndbox>'
        '<xmin>nan</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>',
        'voc_entities/a.xml': '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
        + ''.join(
            f'<!ENTITY a{i} "{f"&a{i - 1};" if i else "&a;"}{f"&a{i - 1};" * 9 if i else ""}">'
            for i in range(12)
        )
        + ']><annotation><filename>&a11;</filename></annotation>',
        'voc_file/a.xml': '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        '<annotation><filename>&f;</filename></annotation>',
        'labelme_points/a.json': '{"imagePath": "a.jpg", "shapes": [{"label": "b", "points": 5}]}',
        'labelme_path/a.json': '{"imagePath": ["a"], "shapes": []}',
        'labelme_words/a.json': '{"imagePath": "a.jpg", "shapes": '
        '[{"label": "b", "points": [["x", "y"], ["x", "z"], ["q", "z"]]}]}',
        'labelme_shape/a.json': '{"imagePath": "a.jpg", "shapes": [null]}',
        'labelme_broken/a.json': '{"imagePath": ',
    }
    for name, content in others.items():
        write(folder / name, content)
        photo.save((folder / name).parent / 'a.jpg')


def via(folder):
    """VIA files, each in a folder of its own with one image a.jpg."""

    def entry(name='a.jpg', **region):
        shape = dict(shape_attributes=region or dict(name='rect', x=1, y=1, width=9, height=9))
        return {'k': dict(filename=name, size=-1, regions=[dict(shape, region_attributes={})])}

    files = {
        'text': 'hello',
        'binary': b'\xff\xfe\x00',
        'null': 'null',
        'number': '5',
        'deep': '{"a":' * 50_000,
        'name_number': json.dumps(entry(5)),
        'name_list': json.dumps(entry(['a'])),
        'name_up': json.dumps(entry('../../etc/passwd')),
        'name_absolute': json.dumps(entry('/etc/passwd')),
        'name_newline': json.dumps(entry('a\nb.jpg')),
        'name_quotes': json.dumps(entry('"\'`$(touch x).jpg')),
        'name_null_byte': json.dumps(entry('a\0.jpg')),
        'name_surrogate': json.dumps(entry('\udcff.jpg')),
        'name_long': json.dumps(entry('a' * 5000 + '.jpg')),
        'name_folder': json.dumps(entry('.')),
        'regions_number': json.dumps({'k': dict(filename='a.jpg', size=1, regions=5)}),
        'twice': '{"k": {"filename": "a.jpg"}, "k": {"filename": "a.jpg"}}',
        'csv_short': '#filename,file_size,file_attributes,region_count,region_id,'
        'region_shape_attributes,region_attributes\na.jpg,1\n',
        'csv_header': 'a,b,c\n1,2,3\n',
    }
    for name, content in files.items():
        write(folder / name / 'via.json', content)
        Image.new('RGB', (80, 60)).save(folder / name / 'a.jpg')
    for name in ('empty.jpg', 'text.jpg', 'zero.pgm', 'header.png', 'bomb.png', 'folder.jpg'):
        target = folder / f'image_{name.split(".")[0]}'
        write(target / 'via.json', json.dumps(entry(name)))
        os.symlink(folder.parent / 'broken' / name, target / name)


def archives(folder, via_file):
    """Zip files that are no data set."""
    write(folder / 'text.zip', 'no archive')
    write(folder / 'zero.zip', b'')
    entries = {
        'empty': {},
        'other': {'readme.txt': b'hello'},
        'no_json': {f'{s}/via_region_data.json': b'hello' for s in ('train', 'val')},
        'no_image': {f'{s}/via_region_data.json': via_file for s in ('train', 'val')},
    }
    outside = via_file.replace(b'a.jpg', b'../../a.jpg')
    entries['outside'] = {f'{s}/via_region_data.json': outside for s in ('train', 'val')}
    entries['outside'] |= {'a.jpg': b'x', '../a.jpg': b'x'}
    sized = via_file.replace(b'"size": -1', b'"size": 99')
    entries['other_size'] = {f'{s}/via_region_data.json': sized for s in ('train', 'val')}
    entries['other_size'] |= {f'{s}/a.jpg': b'x' for s in ('train', 'val')}
    for name, files in entries.items():
        with zipfile.ZipFile(folder / f'{name}.zip', 'w') as archive:
            for path, content in files.items():
                archive.writestr(path, content)
    data = bytearray((folder / 'other_size.zip').read_bytes())
    write(folder / 'cut.zip', bytes(data[: len(data) // 2]))
    data[data.find(b'a.jpg') + 5] ^= 0xFF  # the content of an image no longer has its checksum
    write(folder / 'flipped.zip', bytes(data))


def results(folder):
    write(folder / 'text.pkl', 'hello')
    write(folder / 'zero.pkl', b'')
    write(folder / 'number.pkl', pickle.dumps(5))
    write(folder / 'list.pkl', pickle.dumps([1, 2]))
    write(folder / 'dict.pkl', pickle.dumps([dict(img_id=1)]))
    write(folder / 'broken.json', '[')
    write(folder / 'number.json', '5')
    write(folder / 'words.json', '["a"]')
    row = dict(image_id=1, category_id=1, bbox=[0, 0, 5, 5], score=0.5)
    for name, change in {
        'other_image': dict(image_id=999),
        'box_null': dict(bbox=None),
        'box_words': dict(bbox=['a'] * 4),
        'box_three': dict(bbox=[1, 2, 3]),
        'score_word': dict(score='high'),
        'score_nan': dict(score=float('nan')),
        'image_list': dict(image_id=[1]),
    }.items():
        write(folder / f'{name}.json', json.dumps([dict(row, **change)]))


def onnx_files(folder):
    import onnx

    write(folder / 'zero.onnx', b'')
    write(folder / 'text.onnx', 'no model')
    (folder / 'folder.onnx').mkdir()
    value = onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
    other = onnx.helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node('Identity', ['x'], ['y'])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], 'g', [value], [other]))
    model.ir_version = 10
    onnx.save(model, folder / 'other_model.onnx')
    for name, text in {'words': 'hello', 'list': '[]', 'no_keys': '{}'}.items():
        onnx.helper.set_model_props(model, {'detector': text})
        onnx.save(model, folder / f'metadata_{name}.onnx')


def make(folder, tiny):
    mark = folder / 'ran'
    configs(folder / 'configs')
    broken = folder / 'broken'
    broken.mkdir()
    broken_images(broken)
    legal_images(folder / 'legal')
    annotations(folder / 'coco')
    via(folder / 'via')
    for name in ('checkpoints', 'zips', 'results', 'onnx'):
        (folder / name).mkdir()
    checkpoints(folder / 'checkpoints', tiny.checkpoint, mark)
    archives(
        folder / 'zips',
        (folder / 'via/name_up/via.json').read_bytes().replace(b'../../etc/passwd', b'a.jpg'),
    )
    results(folder / 'results')
    onnx_files(folder / 'onnx')
    write(folder / 'a_file', 'hello')
    (folder / 'empty_folder').mkdir()
    scripts = {'no_main.py': 'x = 1\n', 'exits.py': 'def main():\n    raise SystemExit("stop")\n'}
    for name, text in scripts.items():
        write(folder / 'scripts' / name, text)
    return mark
