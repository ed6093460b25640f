"""The page: the same engine with hands on it. `distillgan ui`, or `python -m distillgan.ui`."""

import sys
from importlib.util import find_spec

from omegaconf import DictConfig

from distillgan.cli import hydra_app
from distillgan.errors import UserError


def ui(config: DictConfig) -> None:
    """Serve the page until Ctrl-C, SIGTERM or SIGHUP.

    Raises:
        UserError: gradio is not installed, or a value of conf/ui.yaml is refused.
    """
    if find_spec("gradio") is None:
        raise UserError("the page wants gradio: pip install 'distillgan[ui]'")
    # Gradio takes seconds to import, torch another one: no other verb waits for them, and mistakes come first.
    from distillgan.ui.serving import Served

    Served(config).run()


def main(arguments: list[str] | None = None) -> None:
    hydra_app.run(ui, "ui", sys.argv[1:] if arguments is None else arguments)
