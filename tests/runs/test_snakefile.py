import shutil
from pathlib import Path

import pytest

from mmlib.runs.artefacts import ARTEFACTS
from tests.workflows import run_snakemake

ROOT = Path(__file__).parents[2]
CHAPTERS = ["01_cohort", "02_encoding", "03_rq1_addition", "04_rq2_masking", "05_fairness"]
CHAPTERS += ["06_selection", "07_mitigation"]
OWN = ["10_leak", "12_learned", "13_elsewhere"]
SCORES = ["14_predictions", "15_adding", "16_missing"]  # of runs of predictions
WRITES = {
    name: [f"{key}{suffix}" for key, (suffix, by) in ARTEFACTS.items() if by == name]
    for name in CHAPTERS + OWN
}
EXECUTED = [f"results/demo/notebooks/{name}.ipynb" for name in CHAPTERS]
ACROSS = "results/book/notebooks/7_claims.ipynb"


def snakemake(folder, *arguments):
    return run_snakemake(folder, "--cores", "1", "--config", "runs=demo", *arguments)


def would_run(output):
    """Names of the chapters that Snakemake's own dry run lists."""
    return [name for name in CHAPTERS if f"\n{name} " in output]


def stale(folder):
    return would_run(snakemake(folder, "--dry-run", "--quiet", "host", "reason", "--", *EXECUTED).stdout)


def set_rate(folder, value):
    (folder / "notebooks/params/demo.yml").write_text(f"rate_04_rq2_masking: {value}\nrun: demo\n")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, write_notebook, warm_kernels):
    """The real Snakefile over small notebooks that write what the library says, all executed once."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "Snakefile", folder)
    shutil.copytree(ROOT / "mmlib", folder / "mmlib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "book" / "tables", folder / "book" / "tables")
    for name in ("_config.yml", "_toc.yml"):
        (folder / name).write_text("")
    for name in CHAPTERS + OWN + SCORES:
        parameters = f'run = "none"\nrate_{name} = 0.1'
        code = (
            "if False:\n    from mmlib.show.style import words\n"
            f"for file in {WRITES.get(name, [])}:\n    open(f'results/{{run}}/{{file}}', 'w').write(str(rate_{name}))"
        )
        write_notebook(folder / "notebooks" / f"{name}.ipynb", ("parameters", parameters), code)
    shown = "print(runs, open('results/demo/declared.parquet').read())"
    write_notebook(folder / "notebooks" / "story" / "7_claims.ipynb", ("parameters", 'run = "book"\nruns = {}'), shown)
    write_notebook(folder / "notebooks" / "story" / "1_paradox.ipynb", ("parameters", 'run = "book"'), "print(run)")
    (folder / "notebooks" / "params").mkdir()
    set_rate(folder, 0.2)
    result = snakemake(folder, "--show-failed-logs", "--", *EXECUTED)
    assert result.returncode == 0, result.stderr
    return folder


def test_every_artefact_of_the_library_is_an_output(checkout):
    own = [f"results/demo/notebooks/{name}.ipynb" for name in OWN]
    lines = snakemake(checkout, "--summary", "--", *EXECUTED, *own).stdout.splitlines()[1:]
    outputs = {line.split("\t")[0].removeprefix("results/demo/") for line in lines}
    assert {name for name in outputs if "/" not in name} == {
        file for files in WRITES.values() for file in files
    }
    assert (checkout / "results/demo/masking.nc").read_text() == "0.2"  # the run's parameter arrived
    assert (checkout / "results/demo/powerset.nc").read_text() == "0.1"  # and elsewhere the default holds


def test_the_chapter_without_patients_needs_no_run(checkout):
    executed = "results/book/notebooks/1_paradox.ipynb"
    output = snakemake(checkout, "--dry-run", "--quiet", "host", "--forceall", "--", executed).stdout
    assert "paradox" in output and not [name for name in CHAPTERS if name in output]


def test_the_claims_are_set_side_by_side_once_with_the_titles_of_all_runs_also_of_shared_ones(checkout):
    file, folder = checkout / "notebooks/params/demo.yml", checkout / "book" / "runs" / "theirs"
    text = file.read_text()
    file.write_text(text + "title: It's a demo\nkind: synthetic\n")
    folder.mkdir(parents=True)
    (folder / "run.yml").write_text("schema: 1\ntitle: Their cohort\nkind: health\n")
    result = snakemake(checkout, "--show-failed-logs", "--", ACROSS)
    file.write_text(text)
    shutil.rmtree(folder)
    assert result.returncode == 0, result.stderr
    told = (checkout / ACROSS).read_text()
    assert "It's a demo" in told and "synthetic" in told and "Their cohort" in told
    assert "7_claims" not in {path.stem for path in (checkout / "results/demo/notebooks").iterdir()}
    # no chapter of a shared run is waited for
    assert "Computed here: demo; shared runs: theirs. 1 steps to do, about" in result.stderr


def test_all_stands_for_the_runs_that_need_no_outside_data(checkout):
    result = snakemake(checkout, "--config", "runs=all", "--dry-run", "--", ACROSS)
    assert "There is no run file notebooks/params/support2.yml" in result.stderr


def test_a_book_has_the_chapters_that_a_run_names_and_no_more(checkout):
    file = checkout / "notebooks/params/demo.yml"
    text, asked = file.read_text(), []
    for more in ("", "chapters: [10_leak]\n"):
        file.write_text(text + more)
        asked.append("\n10_leak " in snakemake(checkout, "--dry-run", "--quiet", "host", "reason").stdout)
    file.write_text(text)
    assert asked == [False, True]


def test_only_what_is_stale_runs_again(checkout):
    (checkout / "notebooks/params/demo.yml").write_text("run: demo\nrate_04_rq2_masking: 0.2  # reordered\n")
    for notebook in (checkout / "notebooks").glob("*.ipynb"):
        notebook.touch()
    assert stale(checkout) == []  # same values, same contents

    set_rate(checkout, 0.3)
    assert stale(checkout) == ["04_rq2_masking", "05_fairness"]
    set_rate(checkout, 0.2)
    notebook = checkout / "notebooks/03_rq1_addition.ipynb"
    text = notebook.read_text()
    notebook.write_text(text.replace("0.1", "0.15"))
    assert stale(checkout) == CHAPTERS[2:]
    notebook.write_text(text)


def test_results_that_were_deleted_are_made_again_although_the_pages_are_there(checkout):
    page, table = checkout / "_build/html/index.html", checkout / "results/demo/masking.nc"
    page.parent.mkdir(parents=True)
    page.touch()
    content = table.read_bytes()
    table.unlink()
    asked = snakemake(checkout, "--dry-run", "--quiet", "host", "reason").stdout
    table.write_bytes(content)
    page.unlink()
    assert "\n04_rq2_masking " in asked and "\n03_rq1_addition " not in asked


def test_a_run_can_share_its_encoding_among_jobs_of_a_cluster(checkout):
    file = checkout / "notebooks/params/demo.yml"
    text = file.read_text()
    file.write_text(text + "encode_shards: 3\n")
    shutil.copytree(ROOT / "book/slurm", checkout / "book/slurm", dirs_exist_ok=True)
    # the profile as it is, save for the executor, whose package only a cluster needs
    result = snakemake(
        checkout, "--dry-run", "--profile", "book/slurm", "--executor", "local", "--", EXECUTED[1]
    )
    file.write_text(text)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("results/demo/shards/2-of-3") >= 1


def test_a_folder_of_data_goes_to_the_chapters_that_take_one(checkout):
    first = checkout / "notebooks" / "01_cohort.ipynb"
    before = first.read_text()
    first.write_text(before.replace('run = \\"none\\"', 'root = \\"\\"\\nrun = \\"none\\"'))
    done = snakemake(checkout, "root=there", "--dry-run", "--printshellcmds", "--forceall", "--", *EXECUTED)
    first.write_text(before)
    assert done.returncode == 0, done.stderr
    commands = [line for line in done.stdout.splitlines() if "python -m mmlib execute" in line]
    assert [("-p root there" in line) for line in commands] == ["01_cohort" in line for line in commands]
    assert sum("-p root there" in line for line in commands) == 1


def test_a_misspelt_parameter_stops_before_anything_runs(checkout):
    file = checkout / "notebooks/params/demo.yml"
    text = file.read_text()
    file.write_text(text + "rate_04_rq2_maskign: 0.3\n")
    result = snakemake(checkout, "--", *EXECUTED)
    file.write_text(text)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "notebooks/params/demo.yml: parameter 'rate_04_rq2_maskign' is unknown to any notebook; "
        "the nearest known name is 'rate_04_rq2_masking'."
    )
    assert "Job" not in result.stderr


def test_a_change_of_figures_leaves_the_slow_chapters_alone_and_says_so(checkout):
    file = checkout / "mmlib/show/style.py"
    text = file.read_text()
    file.write_text(text + "# another colour\n")
    said = snakemake(checkout, "--dry-run", "--quiet", "host", "reason", "--", *EXECUTED)
    file.write_text(text)
    assert would_run(said.stdout) == CHAPTERS[3:]
    drawn = "Figures of demo/01_cohort, demo/02_encoding, demo/03_rq1_addition were drawn by an earlier mmlib/show"
    assert drawn in said.stderr and "make redraw" in said.stderr
    module = checkout / "mmlib/measure/metrics.py"
    before = module.read_text()
    notebook = checkout / "notebooks/03_rq1_addition.ipynb"
    assert "metrics" not in notebook.read_text()
    module.write_text(before + "# another\n")
    assert stale(checkout) == []  # no notebook here imports it
    module.write_text(before)


def test_a_run_of_predictions_has_the_chapters_of_scores_and_no_part_in_the_story(checkout):
    file = checkout / "notebooks/params/demo.yml"
    text = file.read_text()
    first = checkout / "notebooks" / "01_cohort.ipynb"
    before = first.read_text()
    first.write_text(before.replace('run = \\"none\\"', 'cohort = \\"table\\"\\nrun = \\"none\\"'))
    file.write_text(text + "cohort: predictions\nchapters: [16_missing]\n")
    said = snakemake(checkout, "--dry-run", "--quiet", "host", "reason", "--forceall")
    file.write_text(text)
    first.write_text(before)
    assert said.returncode == 0, said.stderr
    asked = [name for name in CHAPTERS + OWN + SCORES if f"\n{name} " in said.stdout]
    assert asked == ["05_fairness", "14_predictions", "16_missing"]
