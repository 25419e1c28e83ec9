"""The one command line, ``python -m mmlib VERB``: it imports the module of the verb only once it is asked for."""

import os
import sys
from difflib import get_close_matches
from importlib import import_module

from mmlib.runs.warm import PLACE, hand_over

#: Verb -> the module whose ``main`` does it, and its line in the usage.
VERBS = {
    "encode": ("mmlib.text.encode", "embed the texts of notes into the cache that all runs share"),
    "execute": ("mmlib.runs.execution", "execute one notebook for one run"),
    "lessons": ("mmlib.runs.lessons", "write the lessons for students and with solutions"),
    "mend": ("mmlib.runs.mend", "remove what is damaged among results, so that it is made again"),
    "plan": ("mmlib.runs.plan", "tell what a run will do, before it does it"),
    "release": ("mmlib.runs.release", "pack the book that is built, with the tables of runs and checksums"),
    "share": ("mmlib.runs.shared", "write the tables of a finished run to a folder that may be passed on"),
    "stage": ("mmlib.runs.staging", "assemble the book from pages and executed notebooks"),
    "twins": ("mmlib.twins.write", "write a synthetic twin of a data set"),
}


def main(arguments: list[str]) -> int:
    """Exit code of a verb: 0 if it was done, 1 if it stopped, 2 if the words of the command are wrong.

    Parameters
    ----------
    arguments : list of str
        The verb and its arguments.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = [f"  {verb:9}{line}" for verb, (_, line) in VERBS.items()]
        print("usage: python -m mmlib VERB ...", "", *lines, "", "python -m mmlib VERB --help tells more.", sep="\n")
        return 0 if arguments else 2
    verb, *rest = arguments
    if verb not in VERBS:
        near = get_close_matches(verb, VERBS, n=1, cutoff=0)[0]
        print(f"There is no verb {verb!r}; the nearest one is {near!r}.", file=sys.stderr)
        return 2
    return import_module(VERBS[verb][0]).main(rest)


if __name__ == "__main__":
    code = hand_over(os.environ.get(PLACE), ["mmlib", *sys.argv[1:]])
    sys.exit(main(sys.argv[1:]) if code is None else code)
