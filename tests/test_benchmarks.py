"""The benchmarks run and print what they promise; how fast it is here is nobody's test."""

import re

import pytest
from conftest import run


@pytest.mark.parametrize(
    'script, options', [('train_step', ['--batch-size', '2']), ('inference', [])]
)
def test_model_benchmarks(script, options):
    out = run(f'benchmarks/{script}.py', '--size', '64', '--repeats', '2', *options).stdout
    assert float(re.search(r': ([0-9.]+) GFLOP;', out)[1]) > 0.1
    assert re.search(
        r'ours: [0-9.]+ times as fast as upstream \([0-9.]+ to [0-9.]+ over 2 repeats\)', out
    ), out


def test_pipeline_benchmark(tiny_data):
    out = run(
        'benchmarks/pipeline.py', '--data-root', tiny_data.root, '--samples', '4', '--repeats', '1'
    ).stdout
    assert re.findall(r'^(stage [12]): upstream [0-9.]+ ms per image, ours', out, re.M) == [
        'stage 1',
        'stage 2',
    ]
