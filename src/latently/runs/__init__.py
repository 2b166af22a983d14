"""The run folder: reading and writing all its files."""
