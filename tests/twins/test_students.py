import pandas as pd
import pytest

from mmlib.data.cohorts import load_cohort
from mmlib.questions.lessons import compare_recorded, name_fault
from mmlib.twins.students import FAULTS, TRUTH, faulty_knobs, write_student, write_students
from mmlib.twins.write import main, write_twin


def files(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_command_writes_a_folder_for_each_and_a_key_beside_them(tmp_path, capsys):
    names = tmp_path / "names.csv"
    names.write_text("student,mail\nAda,a@b\nLin Wu,l@b\n")
    words = ["mimic_iv_ed", str(tmp_path / "class"), "--students", str(names), "--patients", "60", "--seed", "5"]
    assert main(words) == 0
    key = pd.read_csv(tmp_path / "class-key.csv")
    assert key.student.tolist() == ["Ada", "Lin Wu"] and set(key.fault) <= set(FAULTS)
    assert sorted(f.name for f in (tmp_path / "class").iterdir()) == ["Ada", "Lin Wu"]
    written = files(tmp_path / "class")
    assert "Ada/ed/triage.csv.gz" in written
    assert not [file for file in written if file.rpartition("/")[2] in TRUTH]
    assert "for the teacher" in capsys.readouterr().out
    assert main(words) == 1 and "exists" in capsys.readouterr().err


def test_a_student_gets_the_same_twin_whoever_else_is_in_the_class(tmp_path):
    twins = {}
    for place, others in (("one", ""), ("two", "Bo\n")):
        (tmp_path / "names.csv").write_text(f"student\n{others}Ada\n")
        write_students("mimic_iv_ed", tmp_path / place, tmp_path / "names.csv", patients=60)
        twins[place] = files(tmp_path / place / "Ada")
    assert twins["one"] == twins["two"] != files(tmp_path / "two" / "Bo")
    write_student("mimic_iv_ed", tmp_path / "other", "Ada", patients=60, seed=1)
    assert files(tmp_path / "other") != twins["one"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("student\nAda\nAda\n", "names 'Ada', twice"),
        ("student\n../up\n", "names '../up', twice or not fit"),
        ("student\n", "names no student"),
        ("Ada\nBen\n", "begins with 'Ada'; expected a heading"),
        ("", "begins with ''; expected a heading"),
    ],
)
def test_a_list_that_makes_no_folders_is_refused(tmp_path, names, said):
    (tmp_path / "names.csv").write_text(names)
    with pytest.raises(ValueError, match=said):
        write_students("mimic_iv_ed", tmp_path / "class", tmp_path / "names.csv", patients=60)
    assert not (tmp_path / "class").exists()


def test_neither_knobs_nor_other_twins_are_taken(tmp_path, capsys):
    (tmp_path / "names.csv").write_text("student\nAda\n")
    words = [str(tmp_path / "class"), "--students", str(tmp_path / "names.csv")]
    assert main(["mimic_iv_ed", *words, "--knob", "noise", "0"]) == 1
    assert "neither --knob nor --wfdb" in capsys.readouterr().err
    assert main(["mds_ed", *words]) == 1
    assert "expected mimic_eye or mimic_iv_ed" in capsys.readouterr().err


@pytest.mark.whole
@pytest.mark.parametrize("fault", FAULTS)
def test_the_rule_of_the_lesson_names_a_planted_fault(tmp_path, fault):
    twin = write_twin("mimic_iv_ed", tmp_path / "twin", patients=3000, seed=7, knobs=faulty_knobs("mimic_iv_ed", fault))
    compared = compare_recorded(load_cohort("mimic_iv_ed", twin), "race", "Black", "White")
    assert name_fault(compared) == fault
    assert compared.loc[compared["kind"] == "label", "name"].tolist() == ["label"]
    named = compared.set_index("name")["sign"]
    assert named["triage.o2sat"] == named["vitals.o2sat_lowest"] == "o2sat"
    assert (named.notna() == (compared["kind"] == "value").to_numpy()).all()
