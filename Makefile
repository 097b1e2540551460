# `make table2` and `make test` set up what is missing: a virtual environment from requirements.lock
# (LOCK=requirements-cu126.lock for older drivers and cards: docs/gpu.md).

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed-from-lock
LOCK ?= requirements.lock
# Under PYTHONSAFEPATH `python -m` does not look into the folder that it works in.
RUN := PYTHONSAFEPATH= PATH="$(abspath $(BIN)):$$PATH"
ARGS ?=

.PHONY: help table1 table2 reports bench bench-scale bench-table2 bench-tracking fuzz fuzz-quick test test-gpu test-slow test-slurm test-servers test-browser test-avx2 test-default chaos lint format lock ui clean

help:
	@echo "make table2    regenerate Table 2 of the paper at preset mini (the environment included)"
	@echo "make reports   every report; ARGS='--config preset=small sources=DIR' for another preset"
	@echo "make bench     our models' speed beside mmsegmentation's, also on a GPU; ARGS=--quick for a first look"
	@echo "make bench-scale   how plan, dry run and jobs take thousands of cells"
	@echo "make bench-table2  where the seconds of Table 2 at mini go"
	@echo "make bench-tracking   whether a tracking server that is away slows a training"
	@echo "make test      the tests;  make lint    formatters and type checks"
	@echo "make test-avx2   the tests that compute, as on a processor without AVX-512"
	@echo "make test-default   the same without AVX"
	@echo "make test-gpu  the tests on a GPU; ARGS=--rehearsal tries them out without one"
	@echo "make test-slow   tests that start many processes, such as training in several"
	@echo "make test-slurm   the tests on a real SLURM cluster of this machine, as root"
	@echo "make test-servers   the tests with PostgreSQL, MLflow and S3 servers, started by them"
	@echo "make test-browser   the tests of MLflow's pages in Chromium"
	@echo "make fuzz      mutated files given to whatever reads them; ARGS='--seconds 3600 --seed 7'"
	@echo "make fuzz-quick   the same with CI's seed, two minutes of a processor"
	@echo "make chaos     random signals to 30 random workflows; ARGS='--rounds 4 --seed 2' for a look"
	@echo "make ui        the MLflow UI, by the link that it prints"

# The .pth file is for PYTHONSAFEPATH where no make is: the code of this clone is found through it.
$(READY): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "error: $(PYTHON) is not Python 3.11; install it or give PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(LOCK)
	@echo "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/dmnet-reproduction.pth"
	@touch $@

table1 table2: $(READY)
	$(RUN) snakemake --cores all reports/$@.md $(ARGS)

reports: $(READY)
	$(RUN) snakemake --cores all reports $(ARGS)

# The reference implementation lives in an environment of its own; without one: docs/gpu.md.
bench: $(READY)
	PYTHON=$(PYTHON) tests/reference/install.sh $(VENV)-reference
	$(RUN) python -m bench --reference $(VENV)-reference $(ARGS)

# plan, dry run and the start of a job in studies of up to 5,000 cells; writes docs/scale.md.
bench-scale: $(READY)
	$(RUN) python -m bench.scale $(ARGS)

# Where the seconds of Table 2 at `mini` go; writes docs/seconds.md.
bench-table2: $(READY)
	$(RUN) python -m bench.table2 $(ARGS)

# The same training with the tracking server refusing, hanging or gone, round by round.
bench-tracking: $(READY)
	$(RUN) python -m bench.tracking $(ARGS)

# A file's tests stay in one process, as they share what they begin with.
test: $(READY)
	$(RUN) python -m pytest -n 2 --dist loadfile $(ARGS)

# What each library is told stands in tests/instruction_sets.py. Snakemake's own tests are not among
# them: what its jobs compute, these do.
NUMERIC ?= tests/dmnet tests/bench tests/pipeline/reports tests/pipeline/experiments
test-avx2 test-default: test-%: $(READY)
	$(RUN) python -m tests.instruction_sets $* -n 2 --dist loadfile $(NUMERIC) $(ARGS)

# On the first GPU that PyTorch finds; without one it is an error.
test-gpu: $(READY)
	$(RUN) python -m pytest -m gpu tests/dmnet/gpu $(ARGS)

# Needs root and Debian (or its packages of SLURM, munge and MariaDB); see tests/slurm/README.md.
test-slow: $(READY)
	$(RUN) python -m pytest -m "slow and not slurm" tests $(ARGS)

test-slurm: $(READY)
	$(RUN) python -m pytest -m "slurm and not slow" tests/workflow/test_slurm.py $(ARGS)

# Files as strangers make them; what fails is kept in .hostile/, with the command to have it again.
fuzz fuzz-quick: $(READY)
	$(RUN) OMP_NUM_THREADS=1 python -m tests.hostile \
		$(if $(filter fuzz,$@),--seconds 1200 --seed "$$(date +%s)",--calls 1500) $(ARGS)

# Their servers and browser are installed as root on Debian; see tests/servers/README.md.
SERVERS := $(VENV)-servers
test-servers test-browser: test-%: $(READY)
	tests/servers/install.sh $(VENV) $(SERVERS) $*
	$(RUN) $(SERVERS)/bin/python -m pytest -m $* tests/workflow $(ARGS)

# Which seed it took stands in its first line, what to give for the same rounds in its last.
chaos: $(READY)
	$(RUN) python -m tests.workflow.chaos $(ARGS)

lint: $(READY)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) snakefmt --check Snakefile pipeline/rules
	$(RUN) mypy

format: $(READY)
	$(RUN) ruff check --fix .
	$(RUN) ruff format .
	$(RUN) snakefmt Snakefile pipeline/rules

# Every version that requirements.in leads to, as it installs today.
lock:
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.in
	$(VENV)-lock/bin/python -m pip freeze --disable-pip-version-check | sed -E 's/\+cpu$$//' | \
		grep -v -i -E '^(nvidia-|triton|cuda-)' > requirements.lock
	sed -E 's/^(torch|torchvision)==(.*)$$/\1==\2+cu126/' requirements.lock > requirements-cu126.lock
	rm -rf $(VENV)-lock

ui: $(READY)
	$(RUN) python -m pipeline ui $(ARGS)

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
