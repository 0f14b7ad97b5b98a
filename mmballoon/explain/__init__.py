"""Maps of what a detector sees: feature maps and Box AM."""
