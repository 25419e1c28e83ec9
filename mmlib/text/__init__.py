"""From records, images and ECGs to sentences, and from sentences to vectors."""
