"""What every room needs: contracts of tables, files on disk, where to compute."""

import lazy_loader

#: Module to the names that it exports; a module is imported when one of its names is asked for.
EXPORTS = {
    "compute": ["choose_device", "map_parallel", "move"],
    "schema": ["check_array", "Cohort", "Field", "PLAIN"],
    "storage": [
        "cache_folder",
        "check_fetching",
        "digest_file",
        "digest_folder",
        "digest_tree",
        "fetch",
        "NotFetched",
        "without_fetching",
    ],
    "subsets": ["full_subset", "members", "subset_masks", "subset_name"],
    "words": ["check_entries"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=EXPORTS)
