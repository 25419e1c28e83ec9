# run x notebook -> artefacts and an executed copy under results/<run>/ -> the book in _build/html.
# Runs that are not named are shown from their shared tables, if book/runs has them.
# `make book` calls it; by hand: snakemake --cores all --config runs="support2 nhanes"
import json
import os
import sys
from functools import cache
from pathlib import Path

from mmlib.runs.execution import drawn_earlier
from mmlib.runs.parameters import LESSONS, chapters_of, notebook_parameters, own_parameters, run_parameters, shared_runs, sources
from mmlib.runs.warm import start_warm

# Jobs find this environment's python even if it was not activated; nothing reports home.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

# Where there is no book yet, there is something to do: the libraries are loaded while the steps are found.
if workflow.is_main_process and not Path("_build/html/index.html").is_file():
    os.environ.update(start_warm())

# What RUNS=all stands for: runs whose data come with packages or are simulated.
ALL = "support2 nhanes reviews mimic_eye_twin mds_ed_twin"
RUNS = str(config.get("runs", "support2")).split()
RUNS = ALL.split() if RUNS == ["all"] else RUNS
SHARED = shared_runs("book/runs", besides=RUNS)
ROOT = str(config.get("root", ""))
if ROOT and len(RUNS) != 1:
    sys.exit(f"ROOT is {ROOT!r} beside the runs {' '.join(RUNS)}; expected one run, whose data lie there.")

# What each notebook reads of other notebooks and what it writes. Its parameters, the notebook itself and the
# modules it imports are added below: a change to anything else leaves it alone. Tables are of the book, files those of the
# cohort. Chapters that load, encode or train are slow: a change of their figures leaves them alone too, and `make redraw`
# draws those anew. Threads are for torch and BLAS.
CHAPTERS = {
    "01_cohort": {
        "slow": True,
        "files": True,
        "reads": [],
        "writes": ["cohort.parquet", "fields.parquet", "notes.parquet", "audit.parquet", "sizes.parquet"],
        "threads": 8,
    },
    "02_encoding": {
        "slow": True,
        "files": True,
        "reads": ["cohort.parquet", "fields.parquet", "notes.parquet", "audit.parquet"],
        "writes": ["embeddings.nc", "encoding.parquet"],
        "threads": 8,
    },
    "03_rq1_addition": {
        "slow": True,
        "files": True,
        "reads": ["cohort.parquet", "audit.parquet", "embeddings.nc"],
        "writes": ["powerset.nc", "models.safetensors", "noise.nc", "bins.parquet", "rq1.parquet"],
        "threads": 4,
    },
    "04_rq2_masking": {
        "reads": ["cohort.parquet", "embeddings.nc", "powerset.nc", "models.safetensors"],
        "writes": ["masking.nc", "rq2.parquet"],
        "threads": 4,
    },
    "05_fairness": {
        "reads": ["cohort.parquet", "powerset.nc", "masking.nc"],
        "writes": ["fairness.parquet", "declared.parquet"],
        "threads": 1,
    },
    "06_selection": {
        "reads": ["cohort.parquet", "embeddings.nc", "powerset.nc"],
        "tables": ["flags.csv", "prediction_model.csv", "prediction_real.csv", "prediction_twins.csv"],
        "writes": ["selection.parquet"],
        "threads": 1,
    },
    "07_mitigation": {
        "reads": ["cohort.parquet", "embeddings.nc", "powerset.nc", "models.safetensors"],
        "writes": ["mitigation_models.safetensors", "mitigation_scores.nc", "mitigation.parquet"],
        "threads": 4,
    },
}
# Only runs that name them as their `chapters` have these.
OWN = {
    "10_leak": {"files": True, "reads": ["cohort.parquet"], "writes": ["leak.parquet"], "threads": 4},
    "12_learned": {
        "files": True,
        "reads": ["cohort.parquet", "fields.parquet", "embeddings.nc"],
        "writes": ["learned.parquet"],
        "threads": 1,
    },
    "13_elsewhere": {"reads": ["cohort.parquet", "embeddings.nc"], "writes": ["elsewhere.parquet"], "threads": 1},
}
# Runs of `cohort: predictions` read scores instead of training models, and go on with 05_fairness.
SCORES = {
    "14_predictions": {
        "files": True,
        "reads": [],
        "writes": ["cohort.parquet", "sizes.parquet", "powerset.nc", "masking.nc", "bins.parquet"],
        "threads": 1,
    },
    "15_adding": {"reads": ["cohort.parquet", "powerset.nc"], "writes": ["rq1.parquet"], "threads": 4},
    "16_missing": {"reads": ["cohort.parquet", "masking.nc"], "writes": ["rq2.parquet"], "threads": 4},
}
EVERY = CHAPTERS | OWN | SCORES


# Seconds that a chapter takes for a cohort such as SUPPORT2 on two idle cores, until it has run once.
SECONDS = {"01_cohort": 20, "02_encoding": 60, "03_rq1_addition": 150, "04_rq2_masking": 180, "05_fairness": 40}
SECONDS |= {"06_selection": 40, "07_mitigation": 110, "pages": 60}


def seconds(rule, run=""):
    """Give how long a job is likely to take: as long as the last time, if there was one."""
    executed = Path(f"results/{run}/notebooks/{rule}.ipynb")
    if executed.is_file():
        return round(json.loads(executed.read_text())["metadata"].get("papermill", {}).get("duration") or 1)
    return SECONDS.get(rule, 15)


def in_words(seconds):
    return f"about {seconds} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


onstart:
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name != "book"]
    total = sum(seconds(job.rule.name, getattr(job.wildcards, "run", "book")) for job in jobs)
    shown = f"; shared runs: {', '.join(SHARED)}" if SHARED else ""
    print(
        f"Computed here: {', '.join(RUNS)}{shown}. {len(jobs)} steps to do, {in_words(total)} on one core.",
        file=sys.stderr,
    )
    if len(jobs) > 2:  # it takes as long to start as a few notebooks
        os.environ.update(start_warm())  # jobs start their notebooks from it


NOTEBOOKS = sorted(Path("notebooks").glob("*.ipynb"))
# Executed once per book, over the tables of all runs.
STORY = sorted(Path("notebooks/story").glob("*.ipynb"))
LESSON = sorted(Path(LESSONS).glob("*.ipynb"))
TABLES = ["rq1", "rq2", "fairness", "declared", "selection", "mitigation", "audit", "sizes"]


@cache
def settings(run):
    """Read the file of a run, once."""
    return run_parameters(f"notebooks/params/{run}.yml", NOTEBOOKS)


def parameters_of(name):
    """Give only what this notebook takes, so that it alone reruns when one of them changes."""
    return lambda wildcards: own_parameters(f"notebooks/{name}.ipynb", f"notebooks/params/{wildcards.run}.yml")


def shards_before(name):
    """Let chapter 2 wait for the jobs that fill the cache of vectors, if the run has `encode_shards: K`."""

    def markers(wildcards):
        run = settings(wildcards.run)
        parts = run.get("encode_shards", 1) if name == "02_encoding" else 1
        return [f"results/{wildcards.run}/shards/{i}-of-{parts}" for i in range(1, parts + 1) if parts > 1]

    return markers


def encoder_options(wildcards):
    own = parameters_of("02_encoding")(wildcards)
    names = ("encoder", "unit", "pooling", "max_length", "precision", "device")
    return [word for n in names if n in own for word in (f"--{n.replace('_', '-')}", str(own[n]))]


def twin_of(name):
    """Give the folder of the twin that this notebook reads, if its run is of one."""

    def folder(wildcards):
        run, chapter = settings(wildcards.run), EVERY[name]
        return [run["root"]] if "twin" in run and chapter.get("files") else []

    return folder


def root_of(name):
    """Replace the folder of a run's own data by that of `make book ROOT=<folder>`, in the notebooks that take it."""

    def words(wildcards):
        takes = "root" in notebook_parameters(f"notebooks/{name}.ipynb") and "twin" not in settings(wildcards.run)
        return ["-p", "root", ROOT] if ROOT and takes else []

    return words


# Chapters that use all of their threads to the end; lessons wait until they are done.
BUSY = ["02_encoding", "03_rq1_addition"]
# What others wait for, and what takes long, starts first; lessons fill the gaps.
FIRST = ["05_fairness", "04_rq2_masking", "07_mitigation", "03_rq1_addition", "12_learned", "02_encoding", "01_cohort"]


def workers_of(name, most):
    """Give a chapter the threads it can use, or fewer where others can run beside it."""
    beside = len(RUNS) * (1 if name < "04" else 4)
    return max(1, min(most, workflow.cores // beside))


def sources_of(name):
    """Give the modules behind a notebook, without those of the room `show` if it is slow."""
    slow = EVERY[name].get("slow", False)
    return [file for file in sources(f"notebooks/{name}.ipynb") if not (slow and "/mmlib/show/" in f"/{file}")]


# A misspelt or ill-typed parameter of any run stops everything before the first notebook starts.
try:
    for run in RUNS:
        settings(run)
except (OSError, ValueError) as error:
    sys.exit(str(error))


EARLIER = [
    f"{run}/{name}"
    for run in RUNS
    for name, chapter in CHAPTERS.items()
    if chapter.get("slow") and drawn_earlier(f"notebooks/{name}.ipynb", f"results/{run}/notebooks/{name}.ipynb")
]
if EARLIER:
    print(f"Figures of {', '.join(EARLIER)} were drawn by an earlier mmlib/show: `make redraw` draws them anew.", file=sys.stderr)


# Runs of predictions: the story, which needs all chapters, goes without them.
SCORED = [run for run in RUNS if settings(run).get("cohort") == "predictions"]


def runs_of(name):
    """Give the runs that a chapter is for, as a pattern."""
    if name in SCORES:
        return "|".join(SCORED) or "(?!)"
    return "[^/]+" if name == "05_fairness" or not SCORED else f"(?!({'|'.join(SCORED)})/)[^/]+"


wildcard_constraints:
    run="[^/]+",


# The reference is made from docstrings, so every module is a page's source.
PAGES = [
    str(file)
    for folder in ("book", "mmlib")
    for file in sorted(Path(folder).rglob("*.*"))
    if file.is_file() and "__pycache__" not in file.parts
]


OF_RUNS = [(run, name) for run in RUNS for name in chapters_of(settings(run), CHAPTERS)]
EXECUTED = [f"results/{run}/notebooks/{name}.ipynb" for run, name in OF_RUNS]
EXECUTED += [f"results/book/notebooks/{notebook.name}" for notebook in STORY + LESSON]


# Results are asked for by name: what was deleted is made again although the pages are there.
rule book:
    default_target: True
    input:
        "_build/html/index.html",
        EXECUTED,
        [f"results/{run}/{file}" for run, name in OF_RUNS for file in EVERY[name]["writes"]],


rule pages:
    input:
        EXECUTED,
        PAGES,
        "_config.yml",
        "_toc.yml",
    output:
        "_build/html/index.html",
    params:
        runs=RUNS,
    log:
        "_build/book.log",
    message:
        "The book of {params.runs}: _build/html/index.html"
    shell:
        "python -m mmlib stage --runs {params.runs} --out _build/src --render >{log} 2>&1"


def titles():
    """Give the title and kind of each run: real health cohorts are counted, others and twins stand apart."""
    about = {run: settings(run) for run in RUNS if run not in SCORED} | SHARED
    return json.dumps(
        {run: {"title": own.get("title", run), "kind": own.get("kind", "health")} for run, own in about.items()}
    )


def tables_of(notebook):
    """Give the tables of all runs, if the notebook is over runs."""
    if "runs" not in notebook_parameters(notebook):
        return []
    made_here = [f"results/{run}/{table}.parquet" for run in RUNS if run not in SCORED for table in TABLES]
    return made_here + expand("book/runs/{run}/run.yml", run=SHARED)


for notebook in STORY + LESSON:

    rule:
        name:
            f"{notebook.parent.name}_{notebook.stem}"
        input:
            tables_of(notebook),
            notebook=str(notebook),
            sources=sources(notebook),
        output:
            executed=f"results/book/notebooks/{notebook.name}",
        params:
            runs=["-p", "runs", titles()] if "runs" in notebook_parameters(notebook) else [],
        log:
            f"results/book/logs/{notebook.stem}.log",
        message:
            f"{notebook.parent.name}: {notebook.stem}"
        shell:
            "python -m mmlib execute {input.notebook} {output.executed} {params.runs:q} >{log} 2>&1"


rule lessons:
    input:
        "mmlib/runs/lessons.py",
        executed=[f"results/book/notebooks/{notebook.name}" for notebook in LESSON],
    output:
        "_build/lessons/students.zip",
        "_build/lessons/solutions.zip",
    message:
        "the lessons, for students and with solutions: _build/lessons"
    shell:
        "python -m mmlib lessons _build/lessons {input.executed}"


rule encode_shard:
    input:
        "results/{run}/notes.parquet",
    output:
        touch("results/{run}/shards/{part}-of-{parts}"),
    params:
        options=encoder_options,
    log:
        "results/{run}/logs/encode-{part}-of-{parts}.log",
    message:
        "{wildcards.run}: part {wildcards.part} of {wildcards.parts} of the texts"
    threads: 8
    shell:
        "python -m mmlib encode {input} --shard {wildcards.part}/{wildcards.parts} {params.options:q} >{log} 2>&1"


rule twin:
    output:
        directory("results/twins/{run}"),
    params:
        arguments=lambda wildcards: settings(wildcards.run)["twin"],
    log:
        "results/logs/twin_{run}.log",
    message:
        "{wildcards.run}: the synthetic data"
    shell:
        "python -m mmlib twins {params.arguments} {output} >{log} 2>&1"


for name, chapter in EVERY.items():
    workers = workers_of(name, chapter["threads"])

    rule:
        name:
            name
        wildcard_constraints:
            run=runs_of(name),
        input:
            [f"results/{{run}}/{file}" for file in chapter["reads"]],
            [f"book/tables/{file}" for file in chapter.get("tables", [])],
            shards_before(name),
            twin=twin_of(name),
            notebook=f"notebooks/{name}.ipynb",
            sources=sources_of(name),
        output:
            [f"results/{{run}}/{file}" for file in chapter["writes"]],
            executed=f"results/{{run}}/notebooks/{name}.ipynb",
        params:
            parameters=parameters_of(name),
            root=root_of(name),
        log:
            f"results/{{run}}/logs/{name}.log",
        priority: len(FIRST) - FIRST.index(name) if name in FIRST else 0
        resources:
            expected=lambda wildcards, rule=name: in_words(seconds(rule, wildcards.run)),
            workers=workers,
        message:
            f"{{wildcards.run}}: {name}, {{resources.expected}}"
        # A chapter reserves one core less than it uses: start-up, figures and much of Python keep one core busy, so that
        # another job fits beside it. Those that encode and train keep all of theirs busy.
        threads: max(1, workers - (name not in BUSY))
        shell:
            "export OMP_NUM_THREADS={resources.workers} MKL_NUM_THREADS={resources.workers}"
            " OPENBLAS_NUM_THREADS={resources.workers};"
            " python -m mmlib execute {input.notebook} {output.executed} -f notebooks/params/{wildcards.run}.yml"
            " {params.root:q} >{log} 2>&1"
