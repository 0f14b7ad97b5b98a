"""Resolved configs as flat dictionaries, to compare them key by key."""

# Names of helper variables, and keys that change nothing.
UNIMPORTANT = ('_scope_', 'backend_args', 'custom_imports')


def flatten(value, prefix=''):
    """{'model.bbox_head.num_classes': 1, ...} of a nested config."""
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items() if key not in UNIMPORTANT]
    elif isinstance(value, (list, tuple)) and any(isinstance(v, dict) for v in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {prefix: list(value) if isinstance(value, tuple) else value}
    flat = {} if items else {prefix: value}
    for key, item in items:
        flat.update(flatten(item, f'{prefix}.{key}' if prefix else key))
    return flat


def differences(config, base):
    """What a resolved config says that its base does not, for the keys that MMEngine reads."""
    ours, theirs = flatten(config), flatten(base)
    sections = [key for key, value in base.items() if isinstance(value, (dict, list))]
    sections += ['custom_hooks', 'load_from', 'randomness', 'auto_scale_lr']
    helpers = ('train_pipeline', 'test_pipeline', 'tta_pipeline', 'img_scales')
    wanted = tuple(name for name in sections if not name.startswith(helpers))
    found = {}
    for key, value in ours.items():
        section = key.split('.')[0]
        if section in wanted and (key not in theirs or theirs[key] != value):
            found[key] = value
    return found
