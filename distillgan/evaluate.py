"""`python -m distillgan.evaluate`: how well a model, its sliders or a vocoder do."""

import sys

from distillgan.cli import hydra_app
from distillgan.evaluation.tasks import evaluate


def main(arguments: list[str] | None = None) -> None:
    hydra_app.run(evaluate, "evaluate", hydra_app.model_by_name(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    main()
