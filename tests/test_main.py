import subprocess
import sys

import pytest

from mmlib.__main__ import VERBS, main


def test_the_usage_has_a_line_for_every_verb_and_loads_none(capsys):
    code = "import sys, mmlib.__main__ as m; m.main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "usage: python -m mmlib VERB ..."
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(VERBS)
    loaded = set(done.stderr.split())
    assert not loaded & ({"torch", "pandas", "numpy", "yaml"} | {module for module, _ in VERBS.values()})
    assert main([]) == 2 and capsys.readouterr().out == done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_reaches_its_own_parser(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m mmlib {verb} [")


def test_a_misspelt_verb_is_one_sentence_with_the_nearest_one(capsys):
    assert main(["excute", "notebook.ipynb"]) == 2
    assert capsys.readouterr() == ("", "There is no verb 'excute'; the nearest one is 'execute'.\n")


def test_the_exit_code_is_that_of_the_verb():
    done = subprocess.run(
        [sys.executable, "-m", "mmlib", "execute", "none.ipynb", "out.ipynb"], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.startswith("There is no notebook none.ipynb")
