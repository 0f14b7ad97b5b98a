"""Test an exported detector: MMDetection's COCO metrics on the validation split of the config.

    python tools/test_onnx.py configs/my_rtmdet_tiny.py model.onnx
    python tools/test_onnx.py CONFIG model.onnx --out results.json       for tools/report.py --predictions

It prints the same numbers as tools/test.py on the checkpoint that was exported.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from mmballoon.cli import UserError, report_errors


def parse_args(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('model', help='file of tools/export_onnx.py')
    parser.add_argument('--out', type=Path, help='write the detections as COCO results JSON')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        from mmballoon.train import rules

        rules.apply()

        from mmdet.utils import register_all_modules
        from mmengine.config import Config

        from mmballoon.export import parity
        from mmballoon.report.results import coco_results, write_results

        register_all_modules()
        cfg = Config.fromfile(args.config)
        dataset = parity.dataset(cfg.val_dataloader)
        runtime = parity.runtime()
        try:
            detect = parity.onnx_detector(runtime(args.model))
        except Exception as error:  # ONNX Runtime's errors have no common class
            found = str(error).splitlines()[0]
            advice = 'pass a file of tools/export_onnx.py'
            raise UserError(f'{args.model}: {found}; next: {advice}') from None
        files = parity.image_files(dataset)
        found = [detect(file) for file in files]
        if args.out:
            rows = []
            for i, (boxes, scores, labels) in enumerate(found):
                columns = dict(bboxes=boxes, scores=scores, labels=labels)
                rows += coco_results(dataset.get_data_info(i)['img_id'], columns, dataset.cat_ids)
            write_results(args.out, rows)
        metrics = parity.coco_metrics(cfg, dataset, found, quiet=False)
    print('  '.join(f'{name} {value:.3f}' for name, value in metrics.items()))


if __name__ == '__main__':
    main()
