"""The command line `latently`: main.py parses it; the commands are in files by subject."""
