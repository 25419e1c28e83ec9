"""Runs: parameters, artefacts, execution of notebooks, the disclosure check, assembly of the book."""

import lazy_loader

#: Module to the names that it exports; a module is imported when one of its names is asked for.
EXPORTS = {
    "artefacts": ["about", "content_digest", "path", "read", "write"],
    "disclosure": ["guard", "Protected", "protected_of", "violations"],
    "execution": ["copy_digest", "drawing_digest", "drawn_earlier", "execute"],
    "lessons": ["copy_lessons", "other_errors", "plain_words", "student_copy", "write_editions"],
    "mend": ["end_future", "remove_damaged"],
    "origin": ["put_address", "repository", "web_address"],
    "parameters": [
        "chapters_of",
        "check_type",
        "check_value",
        "notebook_parameters",
        "own_parameters",
        "run_parameters",
        "shared_runs",
        "sources",
        "unknown_parameter",
    ],
    "plan": ["plan_run"],
    "release": ["footer", "pack", "Source", "source"],
    "run": ["Run"],
    "shared": ["code_digest", "Made", "read_runs", "RunTables", "share"],
    "staging": [
        "glued_text",
        "label",
        "named_images",
        "put_answers",
        "stage",
        "stage_config",
        "stage_notebook",
        "stage_toc",
        "without_run",
    ],
    "summary": ["summary_page"],
    "suppression": ["refusals", "suppress"],
    "warm": ["hand_over", "serve", "start_warm", "stop_warm"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=EXPORTS)
