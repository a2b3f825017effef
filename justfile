# One list of commands, for people and for CI.
python := ".venv-dev/bin/"

# an environment with everything that development needs
setup:
    python3 -m venv .venv-dev
    .venv-dev/bin/pip install -q -e '.[dev]'

test *args:
    {{python}}pytest -q -n 2 {{args}}

lint:
    {{python}}ruff check .
    {{python}}ruff format --check .
    {{python}}mypy

format:
    {{python}}ruff format .
    {{python}}ruff check --fix .

# the example site, shrunk
demo:
    {{python}}semcompress build examples/site build/site

# remake what is checked in: the models, the search's prior needs recorded grids (see tools/)
models:
    {{python}}python tools/make_classifier.py
    {{python}}python tools/make_msssim.py

# everything that CI runs, in a clean clone
ci:
    .ci/run
