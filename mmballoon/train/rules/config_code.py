"""Nothing runs while a .yml config is read, and nothing that a checkpoint holds is run.

Symptom:  a config such as ``model: !!python/object/apply:os.system [...]`` runs the command; ``--resume`` runs
          the text that a checkpoint has in meta['config'] as Python
Cause:    MMEngine reads YAML with yaml.Loader, which calls what a tag names; Runner.resume gives the text to
          Config.fromstring
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/fileio/handlers/yaml_handler.py

The tuples that MMEngine itself writes are still read. A config remains a program, though, in any format: it
names the functions that build a model. So use configs of people whom you trust.
"""

import yaml
from mmengine.fileio.handlers import yaml_handler


def without_config(loaded):
    """The content of a checkpoint without the text that Runner.resume would run; MMEngine writes none."""
    meta = loaded.get('meta')
    if isinstance(meta, dict):
        meta.pop('config', None)
    return loaded


def apply():
    """Read YAML with PyYAML's FullLoader: MMEngine reads a hundred files for each config of MMDetection's."""
    yaml_handler.Loader = getattr(yaml, 'CFullLoader', yaml.FullLoader)  # ten times as fast
