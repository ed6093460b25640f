"""`python -m distillgan.evaluate`: how well a model, its sliders or a vocoder do."""

import sys

from distillgan.cli import hydra_app
from distillgan.cli.overrides import model_by_name


def main(arguments: list[str] | None = None) -> None:
    arguments = model_by_name(sys.argv[1:] if arguments is None else arguments)
    hydra_app.show_help("evaluate", arguments)
    from distillgan.evaluation.tasks import EvaluateRequest, evaluate

    hydra_app.run(lambda config: evaluate(EvaluateRequest.from_config(config)), "evaluate", arguments)


if __name__ == "__main__":
    main()
