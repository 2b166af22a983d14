"""The run folder, and everything that is written to or read from one."""
