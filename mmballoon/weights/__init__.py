"""The weights in the package: one file, made by `make weights`; README.md beside it is its card."""
