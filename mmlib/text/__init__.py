"""From records, images and ECGs to sentences, and from sentences to vectors."""

import lazy_loader

#: Module to the names that it exports; a module is imported when one of its names is asked for.
EXPORTS = {
    "cache": ["read_vectors", "write_vectors"],
    "describers": ["describe_files", "IMAGE_PROMPT", "load_described"],
    "ecg_page": ["draw_page"],
    "encode": ["embed_notes", "encode_shard", "native"],
    "encoder": ["embed_texts", "Encoder", "load_encoder"],
    "finetuning": ["finetune", "read_reports", "report_losses"],
    "notes": ["join_notes", "typical_note", "write_notes"],
    "radiograph": ["measure_xray", "read_image"],
    "signals": ["measure_ecg", "read_ecg", "Recording"],
    "tiny": ["save_llava", "save_qwen"],
    "vision": ["chat", "Composed", "Describer", "generate", "load_checkpoint", "load_describer", "shrunk"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=EXPORTS)
