# One list of commands, for people and for CI.
python := ".venv-dev/bin/"

# photographs of ImageNet's classes (fit, validate, report) and held-out readers; large photographs; what takes hours
data := "../shared/data"
wallpapers := "/usr/share/backgrounds"
recorded := "build/recorded"
grid := "scale=.05,.08,.12,.18,.26,.38,.54,.75,1:quality=5,10,18,26,35,45,55,65,75,85,93"
large := "scale=.54,.75,1:quality=5,10,18,26,35,45,55,65,75,85,93"
every := "scale=.6,1:quality=40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65,66,67,68,69,70,71,72,73,74,75,76,77,78,79,80,81,82,83,84,85,86,87,88,89,90"
one := "scale=1:quality=" + `seq -s, 30 95`
coarse := "scale=.05,.08,.12,.18,.26,.38,.54,.75,1:quality=8,20,35,50,65,80"
grain := "avif:grain=true:subsampling='\"4:4:4\"'"
machine := "--compressor jpeg:" + grid + " --compressor webp:" + grid + " --compressor avif:" + coarse + " --evaluator center=classifier:view=center --evaluator full=classifier:view=full"

# an environment with everything that development needs
setup:
    python3 -m venv .venv-dev
    .venv-dev/bin/pip install -q -e '.[dev]'

# the oldest versions that pyproject.toml allows; what needs PyTorch or programs that are missing is skipped. Needs uv
lowest *args:
    uv venv -q --clear build/lowest
    uv pip install -q --python build/lowest --resolution lowest-direct -e '.[mkdocs,sphinx,feature,dask,s3]' 'pytest>=8.3' 'pytest-xdist>=3.6' 'hypothesis>=6.100' 'jsonschema>=4.23' 'pyexiv2>=2.15' 'selenium>=4.20'
    CI= build/lowest/bin/pytest -q -n 2 {{args}}

test *args:
    {{python}}pytest -q -n 2 {{args}}

lint:
    {{python}}ruff check .
    {{python}}ruff format --check .
    {{python}}mypy

format:
    {{python}}ruff format .
    {{python}}ruff check --fix .

# site generators that are not Python's, installed from their registry
hosts *args:
    {{python}}pytest -q -m hosts {{args}}

# kills, full disks, changing rights and clocks; RUNS kills of compress and as many of build (200 in all take about ten minutes)
torture runs="100":
    SEMCOMPRESS_TORTURE_RUNS={{runs}} {{python}}pytest -q -n 2 tests/test_torture.py

# each protection of tests/protections.toml taken away, one by one: its tests must fail (a quarter of an hour)
[positional-arguments]
protections *words:
    {{python}}python tests/protections.py "$@"

# damaged pictures of every format, and what must hold for each (10,000 take two to eight minutes)
fuzz count="10000" *args:
    {{python}}python tests/fuzz.py {{count}} {{args}}

# coverage-guided, of everything that reads what strangers write; needs the extra [fuzz]
fuzz-coverage seconds="140":
    for target in images semc lock policy; do {{python}}python fuzz/cover.py $target {{seconds}} || exit 1; done

# the example site, shrunk
demo:
    {{python}}semcompress build examples/site build/site

# every figure of docs/benchmarks.md, in its order: on a quiet machine, some hours the first time (what is
# recorded is kept in `recorded`; benchmarks/record.py --part shares the longest of it between processes). Needs the extras [dev,bench], and apt-get install lomiri-wallpapers-16.04 qemu-user and what benchmarks/palettes.py names
bench: record
    {{python}}python benchmarks/fidelity.py --fit {{data}}/imagenet/fit --validate {{data}}/imagenet/validate --report {{data}}/imagenet/report --readers {{recorded}}/readers --cache {{recorded}}/cache --classes {{data}}/imagenet_wnids.txt
    {{python}}python benchmarks/grain.py {{data}}/imagenet/fit --readers {{recorded}}/readers
    {{python}}python benchmarks/photos.py {{data}}/imagenet/report
    {{python}}python benchmarks/feature.py {{data}}/imagenet/report
    {{python}}python benchmarks/install.py
    {{python}}python benchmarks/torch_agreement.py {{data}}/imagenet/validate
    {{python}}python benchmarks/portability.py {{data}}/imagenet/fit {{data}}/imagenet/validate --cpu Haswell --cpu SandyBridge
    {{python}}python benchmarks/msssim.py
    {{python}}python benchmarks/encoders.py examples/site/img
    {{python}}python benchmarks/throughput.py {{data}}/imagenet/validate --torch-python {{python}}python
    {{python}}python benchmarks/presets.py photographs=web:{{wallpapers}} site=web:examples/site photos=machine:{{data}}/imagenet/validate diagrams=text:examples/site/img
    {{python}}python benchmarks/subsampling.py photographs={{data}}/imagenet/validate site=examples/site/img --limit 100 --readers {{recorded}}/readers
    {{python}}python benchmarks/palettes.py /usr/share/doc /usr/share/help
    {{python}}python benchmarks/effort.py {{data}}/imagenet/validate
    {{python}}python benchmarks/search.py {{recorded}}/validate.jsonl
    {{python}}python benchmarks/search.py {{recorded}}/one.jsonl --page one-knob-web --formats jpeg webp avif --keep js_divergence=0.02 score=0.992 worst_tile=0.98 chroma=0.985 colour_shift=0.012
    {{python}}python benchmarks/search.py {{recorded}}/one.jsonl --page one-knob-text --formats jpeg webp avif --keep js_divergence=0.02 score=0.998 worst_tile=0.998 chroma=0.99 colour_shift=0.01
    {{python}}python benchmarks/equal_bytes.py {{data}}/imagenet/report --prior {{recorded}}/prototype.jsonl
    {{python}}python benchmarks/isolation.py
    {{python}}python benchmarks/originals.py
    {{python}}python benchmarks/scale.py {{data}}/imagenet/validate
    {{python}}python benchmarks/noop.py {{data}}/imagenet/report
    {{python}}python benchmarks/plan.py
    {{python}}python benchmarks/looks.py {{data}}/imagenet/validate

# what benchmarks/search.py replays and fidelity.py asks; goes on where it was stopped
record:
    mkdir -p {{recorded}}/readers
    cp -n {{data}}/readers/* {{recorded}}/readers/
    {{python}}python tools/make_readers.py {{recorded}}/readers
    {{python}}python tools/record_grids.py {{data}}/imagenet/validate {{recorded}}/validate.jsonl --limit 100 {{machine}}
    {{python}}python tools/record_grids.py {{data}}/imagenet/fit {{recorded}}/prototype.jsonl --compressor webp:scale=.12,.18,.26,.38,.54,.75,1:quality=5,10,18,26,35,45,55,65,75,85,93 --evaluator center=classifier:view=center --evaluator full=classifier:view=full
    {{python}}python tools/record_grids.py {{data}}/imagenet/validate {{recorded}}/one.jsonl --limit 30 --compressor jpeg:{{one}} --compressor webp:{{one}} --compressor avif:{{one}} --evaluator center=classifier:view=center --evaluator full=classifier:view=full --evaluator msssim

# what the search's prior is made from: about an hour on one core, a third of that again with the kept files; then `just prior`
record-prior:
    {{python}}python tools/record_grids.py {{data}}/imagenet/fit {{recorded}}/fit.jsonl --files {{recorded}}/files {{machine}} --compressor {{grain}}:{{coarse}}
    {{python}}python tools/record_grids.py {{data}}/imagenet/fit {{recorded}}/fit-444.jsonl --compressor jpeg-444:{{large}} --evaluator center=classifier:view=center --evaluator full=classifier:view=full
    {{python}}python tools/record_grids.py {{data}}/imagenet/fit {{recorded}}/fit-msssim.jsonl --compressor jpeg:{{large}} --compressor jpeg-444:{{large}} --compressor webp:{{large}} --compressor avif:scale=.54,.75,1:quality=8,20,35,50,65,80 --evaluator msssim
    {{python}}python tools/record_grids.py {{data}}/imagenet/fit {{recorded}}/fine.jsonl --limit 11 --compressor jpeg:{{every}} --compressor jpeg-444:{{every}} --compressor webp:{{every}} --compressor avif:{{every}} --compressor {{grain}}:{{every}} --evaluator center=classifier:view=center --evaluator full=classifier:view=full --evaluator msssim

# the search's prior, from what `record-prior` recorded (seconds)
prior:
    {{python}}python tools/make_prior.py {{recorded}}/fit.jsonl {{recorded}}/fit-444.jsonl {{recorded}}/fit-msssim.jsonl --fine {{recorded}}/fine.jsonl

# remake what is checked in: the models, and what is learned of their classes and features (needs Debian's wordnet-base)
models:
    {{python}}python tools/make_classifier.py
    {{python}}python tools/make_msssim.py
    {{python}}python tools/make_hierarchy.py {{data}}/imagenet_wnids.txt
    {{python}}python tools/make_feature_tables.py {{data}}/imagenet/fit

# everything that CI runs, in a clean clone
ci:
    .ci/run
