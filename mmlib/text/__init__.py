"""From records, images and ECGs to sentences, and from sentences to vectors."""

import lazy_loader

#: Module to the names that it exports; a module is imported when one of its names is asked for.
EXPORTS = {
    "cache": ["read_vectors", "write_vectors"],
    "delineation": ["delineate", "Delineation", "Delineator", "segments"],
    "describers": ["describe_files", "IMAGE_PROMPT", "load_described"],
    "ecg_page": ["draw_page"],
    "encode": ["embed_notes", "encode_shard", "native"],
    "encoder": ["embed_texts", "Encoder", "load_encoder", "packaged_folder"],
    "finetuning": ["finetune", "read_reports", "report_losses"],
    "lungs": ["Answer", "ask_lungs", "halves_of", "load_lungs", "LungNetwork", "turned_odds"],
    "noise": ["noise_embeddings"],
    "notes": ["join_notes", "typical_note", "write_notes"],
    "radiograph": ["LungFields", "measure_xray", "outline_lungs", "read_image", "smooth_outline"],
    "rhythm": ["judge_rhythm", "rhythm_features"],
    "signals": ["filter_leads", "measure_ecg", "read_ecg", "Recording"],
    "tiny": ["save_qwen"],
    "vision": ["chat", "Composed", "Describer", "generate", "load_checkpoint", "load_describer", "shrunk"],
    "waveforms": ["load_labels", "load_signals", "read_signals"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=EXPORTS)
