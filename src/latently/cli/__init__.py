"""The command line `latently`: main.py reads it; the commands stand in files by subject."""
