"""Print the COCO table of an exported detector: python tools/test_onnx.py CONFIG model.onnx"""

from argparse import ArgumentParser

from mmballoon import upstream
from mmballoon.cli import report_errors

if __name__ == '__main__':
    parser = ArgumentParser(description=__doc__, epilog='tools/report.py takes the file as well.')
    parser.add_argument('config', help='config file')
    parser.add_argument('model', help='file of tools/export_onnx.py')
    choices = ('openvino-bfloat16', 'openvino-float32', 'onnxruntime')
    parser.add_argument('--runtime', choices=choices, help='(default: the fastest)')
    args = parser.parse_args()
    with report_errors():
        rules = upstream.apply_rules()
        import hotcoco
        from mmengine.config import Config

        from mmballoon.export.compare import detect
        from mmballoon.report.numbers import evaluate
        from mmballoon.report.split import load_split, to_coco

        cfg = Config.fromfile(args.config)
        rules.classes.note(rules.classes.check(cfg, 'test'))
        split = load_split(cfg.test_dataloader.dataset)
        evaluation = evaluate(hotcoco.COCO(to_coco(split)), detect(args.model, split, args.runtime))
        print(*evaluation.summary_lines(), sep='\n')
