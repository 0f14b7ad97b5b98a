"""Rules: how this project's own commands train, test and detect.

``apply()`` is called by our commands, also in the data-loader workers that they start. Importing a
module of this package changes nothing.
"""


def apply():
    """Apply the repairs of upstream, then our rules; a second call changes nothing."""
    import mmcompat  # noqa: F401

    from . import (
        checkpoint_hook,
        config_code,
        config_text,
        config_variables,
        device,
        fit,
        local_backend,
        nms_best_first,
        number_type,
        resume,
        screen,
        spawn,
        warnings_filter,
        weights,
    )  # fmt: skip

    for rule in (
        warnings_filter, device, number_type, checkpoint_hook, config_code, config_text,
        config_variables, fit, local_backend, nms_best_first, resume, screen, spawn,
        weights,
    ):  # fmt: skip
        rule.apply()
