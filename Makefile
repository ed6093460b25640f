# Each target sets up what it needs, in .venv/. Another Python than python3: make test PYTHON=python3.12
PYTHON ?= python3
# Where the runs, models and sound go.
MADE = $(shell .venv/bin/python -c 'from distillgan.paths import Home, default_home; print(Home(default_home()).root)')
INSTALLED := .venv/installed

.PHONY: demo test test-all browser-test lint docs clean

demo: $(INSTALLED)
	.venv/bin/python -m distillgan.train name=demo vocoder=harmonic trainer.max_time=00:00:01:30
	.venv/bin/python -m distillgan.generate model=demo duration=10 count=2
	@echo
	@echo "the sound (.wav) and its pictures (.png) are in  $(MADE)/audio"
	@echo "the model is                                     $(MADE)/models/demo.distillgan"
	@echo "how the training went, in a browser:             .venv/bin/distillgan board demo"

# A process a core, each with one thread: half the time of one process with two. The longest files first.
PYTEST := OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: $(INSTALLED)
	$(PYTEST) -m 'not slow'

# Also what several processes prove that wait for one another, start anew and are killed.
test-all: $(INSTALLED)
	$(PYTEST)

# The page in a real browser, which is installed where that is allowed; DISTILLGAN_SCREENSHOTS=docs keeps pictures of it.
browser-test: $(INSTALLED)
	@command -v chromium >/dev/null || apt-get install -y chromium || sudo -n apt-get install -y chromium || { \
	echo "error: there is no chromium, and it cannot be installed from here: install it, and try again" >&2; exit 1; }
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt playwright
	DISTILLGAN_BROWSER=1 .venv/bin/python -m pytest tests/browser

lint: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# The reference from the docstrings, to be searched and read offline, and the drawing of the imports. pdoc is told each
# package: of one with __all__ it shows no other. Left out are the module that is called as a function of the API is, and
# a kernel for GPUs, which cannot be imported where there is no Triton.
PAGES := $(subst /,.,$(patsubst %.py,%,$(patsubst %/__init__.py,%,$(wildcard distillgan/*.py distillgan/*/__init__.py))))
docs: $(INSTALLED)
	.venv/bin/python docs/architecture.py
	.venv/bin/python -W "ignore:Couldn't import distillgan.vendor.bigvgan.fused_cuda" \
	    -W "ignore:Error parsing type annotation hashlib._Hash" -m pdoc --docformat google --no-include-undocumented \
	    --output-directory docs/reference $(filter-out distillgan.train,$(PAGES)) \
	    '!distillgan.train$$' '!distillgan.vendor.bigvgan.fused_cuda'
	@echo "the reference is $(abspath docs/reference/index.html)"

# Takes away the environment, caches and built packages; outputs/ with its runs, models and sound stays.
clean:
	rm -rf .venv build dist distillgan.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis docs/reference
	find distillgan vendor tests -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is not a Python of version \
	3.11 or newer: name one, for example make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -C editable_mode=compat -e '.[dev]'
	.venv/bin/python -c 'import distillgan.generate' # byte code and matplotlib's list of fonts: the first sound would wait
	@touch $@
