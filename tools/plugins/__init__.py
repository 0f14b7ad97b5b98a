"""What this project registers with MMEngine; a config names it and imports it with ``custom_imports``."""
