# Two commands do everything on a fresh machine with git, make and Python 3.11 to 3.13:
#   make reproduce   set up .venv and run the study at the quick profile (PROFILE=smoke|gpu|paper for another)
#   make test        set up .venv and run all tests

PYTHON ?= python3
PROFILE ?= quick
STUDENTS ?= ../dwikit-students
BIN := .venv/bin
PINNED := course book scale acquire logs test backends export
VENV := $(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv .venv
INSTALL := $(BIN)/python install.py
# Each notebook is a process of its own: where images of containers set this, every one would compile all packages again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: reproduce test verify lab book slides course students hardships figures notebooks benchmarks lint constraints resolve clean

reproduce: .venv/.ready
	$(BIN)/dwikit reproduce --profile $(PROFILE)

# The notebooks run with the smoke profile in their own folder, so that your results are not touched.
test: .venv/.ready-test
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	DWIKIT_PROFILE=smoke DWIKIT_RUNS=$$folder/runs DWIKIT_FIGURES=$$folder/figures DWIKIT_FILL_IN=1 \
	$(BIN)/python -m pytest tests notebooks -n 2 --ignore notebooks/exercises --nbval-lax --nbval-current-env --nbval-cell-timeout 600 --durations 15

lab: .venv/.ready
	$(BIN)/jupyter lab notebooks

# The notebooks, exercises, results and reference as a website, from what is committed: build/book/index.html.
book: .venv/.ready-book
	$(BIN)/python -m sphinx -q -W --keep-going -c docs/book . build/book
	cp build/book/README.html build/book/index.html
	$(BIN)/python docs/book/check.py build/book

# The lecturer's slides of four sessions, with the notebooks' figures: build/slides/index.html.
slides: .venv/.ready-book
	$(BIN)/python -m sphinx -q -W --keep-going -b revealjs lecturers/slides build/slides

# Student versions of the exercises, from the sources with solutions and hidden tests (docs/lecturers.md).
course: .venv/.ready-course
	cd notebooks/exercises && PATH="$(CURDIR)/$(BIN):$$PATH" nbgrader generate_assignment --assignment='*' --force
	@echo "Student versions: notebooks/exercises/release/"

# A copy of the kit for students, without solutions, tests and history; make students STUDENTS=FOLDER for another place.
students: course
	$(BIN)/python lecturers/students.py $(STUDENTS) --profile $(PROFILE)

# Long trials: mutated files, kills, full disks, other processes; prints the counts that figures/hardships.md keeps.
hardships: .venv/.ready-test
	$(BIN)/python -m pytest tests -m hardship -s

# The tables, figures and verdicts of the kit's weights at 128 pixels, computed again and compared with figures/hours.
verify: .venv/.ready
	$(BIN)/dwikit verify --profile hours

# Tables and figures again from what is already trained.
figures: .venv/.ready
	$(BIN)/dwikit run 05_evaluate -p profile=$(PROFILE)

# The committed notebooks come from a clean run of the quick profile; README.md and docs/ show its tables.
notebooks: reproduce
	$(BIN)/dwikit run 08_beyond -p profile=$(PROFILE)
	$(BIN)/python -m dwikit.course.publish runs/$(PROFILE)/notebooks notebooks

# Tables of speed, in figures/; only the comparison needs PyTorch. benchmarks/README.md says what each measures.
benchmarks: .venv/.ready-test
	@$(INSTALL) -e '.[export]' torch
	for name in flops train_step step_profile precision pipeline sampling kernels changes simulation preprocess scale growth; do $(BIN)/python benchmarks/$$name.py || exit 1; done

lint: .venv/.ready-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

# Exact versions for every Python from 3.11.0 on; pinned versions stay (make constraints UPGRADE=--upgrade renews all).
# PyTorch's GPU packages depend on its build, so they are not pinned.
constraints: $(BIN)/uv
	$< pip compile -q pyproject.toml $(addprefix --extra ,$(PINNED)) --universal --fork-strategy fewest --python-version 3.11 \
	  --no-annotate --custom-compile-command "make constraints" $(UPGRADE) -o constraints.txt
	sed -i -E '/^(nvidia|cuda|triton)/d' constraints.txt

# Can all be installed together, with every extra, on the oldest and newest release of each Python? Nothing is installed.
resolve: $(BIN)/uv
	@for version in 3.11.0 3.11.2 3.11.99 3.12.0 3.12.99 3.13.0 3.13.99; do \
	  $< pip compile -q pyproject.toml $(addprefix --extra ,$(PINNED)) -c constraints.txt --only-binary :all: \
	    --python-platform x86_64-manylinux_2_28 --python-version $$version > /dev/null || { echo "Python $$version: no"; exit 1; }; \
	  echo "Python $$version: yes"; \
	done

clean:
	rm -rf runs build *.egg-info .pytest_cache .ruff_cache

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed and this is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	@$(VENV)
	@$(INSTALL) -e .
	@touch $@

$(BIN)/uv:
	@$(VENV)
	@$(INSTALL) uv

.venv/.ready-course: .venv/.ready
	@$(INSTALL) -e '.[course]'
	@touch $@

.venv/.ready-book: .venv/.ready
	@$(INSTALL) -e '.[book]'
	@touch $@

.venv/.ready-test: .venv/.ready
	@$(INSTALL) -e '.[test]'
	@touch $@
