# `make book` and `make test` set everything up by themselves; what is up to date is not done again.
# RUNS names what is computed, "all" all that needs no outside data; other runs are shown from their tables in book/runs.
# ROOT=<folder> replaces the `root:` of a single run: make book RUNS=ptb_xl ROOT=<folder of PTB-XL>
RUNS ?= support2
CORES ?= all
PYTHON ?= python3
BIN := .venv/bin
# Where this is set, every process would compile the libraries anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: book redraw release lessons lab test style behaviour check faults bench bench-large serve clean

book: .venv/ready
	$(BIN)/python -m mmlib mend
	$(BIN)/snakemake --cores $(CORES) --rerun-incomplete --max-checksum-file-size 1GB --nolock --show-failed-logs --quiet host reason --config runs="$(RUNS)" $(if $(ROOT),root="$(ROOT)") $(SNAKEMAKE_OPTIONS)

# Chapters 1 to 3 load, encode and train: a change of their figures alone does not run them again, this does.
redraw: SNAKEMAKE_OPTIONS = --forcerun 01_cohort 02_encoding 03_rq1_addition
redraw: book

# Packs the book that is built, the tables of all its runs and their checksums: equal contents give equal bytes.
release: book
	$(BIN)/python -m mmlib release $(RUNS)

# Executes the six lessons with their solutions, checks the students' copies, and zips both into _build/lessons.
lessons: .venv/ready
	$(BIN)/snakemake lessons --cores $(CORES) --rerun-incomplete --nolock --show-failed-logs --quiet host reason

# Opens JupyterLab at the first lesson; what a student writes stays in my_lessons/.
lab: .venv/ready
	$(BIN)/python -m mmlib lessons my_lessons
	$(BIN)/jupyter lab --notebook-dir=my_lessons $(if $(filter 0,$(shell id -u)),--allow-root) my_lessons/1_thresholds.ipynb

test: .venv/ready
	$(MAKE) --jobs 2 style behaviour

style: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb notebooks/story/*.ipynb notebooks/lessons/*.ipynb

behaviour: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Executes whole lessons and the notebooks that only some cohorts have, searches the pages of the book that is built, then
# of a small one, for words that say more than numbers do and for intervals that cannot be, audits pages with axe-core in
# Chromium, and compares the verdicts of all pages of all runs with the declared ones. It leaves the small book in _build;
# `make book` brings back the other in seconds.
check: .venv/ready
	$(MAKE) lessons
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist worksteal -m whole
	if [ -d _build/html ]; then $(BIN)/python -m tests.check_pages _build/html; fi
	$(MAKE) book RUNS=smoke
	$(BIN)/python -m tests.check_pages _build/html
	$(BIN)/python -m tests.check_accessibility _build/html
	$(BIN)/python -m tests.check_verdicts results $$(cd results && ls */declared.parquet | xargs -n 1 dirname)

# Kills, fills disks, damages files and takes the network away while a small book is made; afterwards its tables have to
# be the same to the last digit. Two hours of one core; it writes book/tables/faults.csv.
faults: .venv/ready
	$(BIN)/python -m tests.faults

# Times the fast paths beside what one would otherwise write: ten minutes on two idle cores.
bench: .venv/ready
	$(BIN)/python -m tests.benchmarks.bench

# Makes the other tables of book/tables anew: about an hour.
bench-large: export OMP_NUM_THREADS = 1
bench-large: .venv/ready
	$(BIN)/python tests/benchmarks/operating_characteristics.py
	$(BIN)/python -m tests.benchmarks.rate_coverage
	$(BIN)/python -m tests.benchmarks.absence_placebo
	$(BIN)/python -m tests.benchmarks.noise_studies
	$(BIN)/python -m tests.benchmarks.noise_shapley
	$(BIN)/python -m tests.benchmarks.procedure_spread
	$(BIN)/python -m tests.benchmarks.audit_characteristics --out book/tables/audit_characteristics.csv
	$(BIN)/python tests/benchmarks/sign_recovery.py
	$(BIN)/python tests/benchmarks/predict_effects.py
	$(BIN)/python tests/benchmarks/flag_modalities.py
	$(BIN)/python tests/benchmarks/hospital_tables.py
	$(BIN)/python -m tests.benchmarks.hospital
	$(BIN)/python -m tests.benchmarks.student_twins
	$(BIN)/pytest -m slow

serve:
	$(PYTHON) -m http.server --directory _build/html --bind 127.0.0.1

clean:
	rm -rf _build results .snakemake

# uv installs in a seventh of pip's time, but reads none of pip's settings: those of the environment are handed on.
# Where that is not enough (a mirror named in one of pip's files, say), pip installs the same list. What is imported most
# is then compiled, by two processes from both ends.
UV = $(BIN)/uv pip install --quiet --python $(BIN)/python --index-strategy unsafe-best-match \
	$(addprefix --default-index ,$(PIP_INDEX_URL)) $(addprefix --extra-index-url ,$(PIP_EXTRA_INDEX_URL)) \
	$(addprefix --find-links ,$(PIP_FIND_LINKS))
LOCKED = --requirement requirements.lock --editable .

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock uv
	$(UV) $(LOCKED) || $(BIN)/pip install --quiet --disable-pip-version-check --use-pep517 --no-compile $(LOCKED)
	for step in 1 -1; do PYDEVD_DISABLE_FILE_VALIDATION=1 $(BIN)/python -c "from mmlib.runs.warm import load; load($$step)" & done; wait
	touch $@
