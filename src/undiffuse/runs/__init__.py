"""A run: its configuration, the presets, and the folder that keeps it."""
