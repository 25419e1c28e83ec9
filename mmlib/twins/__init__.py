"""Synthetic twins with a known truth, written in the layout of real data sets."""

import lazy_loader

#: Module to the names that it exports; a module is imported when one of its names is asked for.
EXPORTS = {
    "causal": ["Draw", "draw", "Knobs"],
    "drawings": ["draw_ecgs", "draw_xray", "outline_xray"],
    "ed": ["tables"],
    "mds": ["ecg_of", "write_mds_ed"],
    "students": ["faulty_knobs", "write_student", "write_students"],
    "write": ["findings_of", "report_of", "write_twin"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=EXPORTS)
