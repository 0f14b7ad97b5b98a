"""Write the weights of a checkpoint in float16, without its optimizer, as the package holds them.

    python tools/publish_weights.py CHECKPOINT mmballoon/weights/rtmdet_tiny_objects.pth

It prints the sha256, which mmballoon/train/rules/weights.py compares. (MMDetection's own publish_model.py
keeps float32.)
"""

import hashlib
import io
from pathlib import Path

from mmballoon import upstream
from mmballoon.cli import UserError, atomic_write, make_parser, report_errors


def publish(checkpoint):
    """The content (bytes) of the file: weights and class names of a checkpoint file."""
    import torch

    loaded = torch.load(checkpoint, map_location='cpu')
    weights, halves = {}, {}
    for name, value in loaded['state_dict'].items():
        # The levels of the head share convolutions: each is stored once.
        half = value.half() if value.is_floating_point() else value
        weights[name] = halves.setdefault((value.data_ptr(), value.shape), half)
        if not half.isfinite().all():
            raise UserError(checkpoint, f'{name} is beyond float16', 'train it again')
    meta = dict(dataset_meta=dict(classes=tuple(loaded['meta']['dataset_meta']['classes'])))
    buffer = io.BytesIO()
    torch.save(dict(meta=meta, state_dict=weights), buffer)
    return buffer.getvalue()


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint of tools/train.py')
    parser.add_argument('out', type=Path, help='file to write')
    args = parser.parse_args(argv)
    with report_errors():
        if args.out.suffix != '.pth':
            raise UserError(args.out, 'no name of weights', 'give it a name that ends with .pth')
        packaged = upstream.apply_rules().weights.PACKAGED
        if args.out.exists() and args.out.resolve() != packaged:
            raise UserError(args.out, 'exists', 'move it away, or choose another name')
        content = publish(args.checkpoint)
        with atomic_write(args.out) as file:
            file.write(content)
        sha256 = hashlib.sha256(content).hexdigest()
        print(f'{args.out}: {len(content) / 1e6:.1f} MB, sha256 {sha256}')


if __name__ == '__main__':
    main()
