# Two commands do everything on a fresh machine with git, make and Python 3.11 to 3.13:
#   make reproduce   set up .venv and run the study at the quick profile (PROFILE=smoke|gpu|paper for another)
#   make test        set up .venv and run all tests

PYTHON ?= python3
PROFILE ?= quick
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: reproduce test lab course hardships figures notebooks benchmarks lint clean

reproduce: .venv/.ready
	$(BIN)/dwikit reproduce --profile $(PROFILE)

# The notebooks run at the smoke profile in a folder of their own, so that nobody's results are touched.
test: .venv/.ready-test
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	DWIKIT_PROFILE=smoke DWIKIT_RUNS=$$folder/runs DWIKIT_FIGURES=$$folder/figures \
	$(BIN)/python -m pytest tests notebooks --ignore notebooks/exercises --nbval-lax --nbval-current-env --nbval-cell-timeout 600 --durations 15

lab: .venv/.ready
	$(BIN)/jupyter lab notebooks

# The exercises' student versions, from the sources with solutions and hidden tests (docs/lecturers.md).
course: .venv/.ready-course
	cd notebooks/exercises && PATH="$(CURDIR)/$(BIN):$$PATH" nbgrader generate_assignment --assignment='*' --force
	@echo "Student versions: notebooks/exercises/release/"

# Long trials: thousands of mutated files, a hundred kills, full disks, company; prints the counts, figures/hardships.md keeps them.
hardships: .venv/.ready-test
	$(BIN)/python -m pytest tests -m hardship -s

# Tables and figures again from what was trained already.
figures: .venv/.ready
	$(BIN)/dwikit run 05_evaluate -p profile=$(PROFILE)

# The committed notebooks are those of a clean run of the quick profile.
notebooks: reproduce
	$(BIN)/python -m dwikit.course.notebook runs/$(PROFILE)/notebooks notebooks

# Tables of speed, in figures/; PyTorch is needed for the comparison only. benchmarks/README.md says what each measures.
benchmarks: .venv/.ready-test
	$(PIP) -e '.[export]' torch
	for name in flops train_step pipeline sampling kernels changes simulation preprocess scale; do $(BIN)/python benchmarks/$$name.py || exit 1; done

lint: .venv/.ready-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean:
	rm -rf runs build *.egg-info .pytest_cache .ruff_cache

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed and this is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -e .
	touch $@

.venv/.ready-course: .venv/.ready
	$(PIP) -e '.[course]'
	touch $@

.venv/.ready-test: .venv/.ready
	$(PIP) -e '.[test]'
	touch $@
