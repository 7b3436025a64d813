"""Where weights come from: one module for each scheme of MODEL_URI. A file:// URI or MODEL_PATH needs none."""
