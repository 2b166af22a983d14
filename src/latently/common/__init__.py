"""What every room needs: errors, settings, files, and the console."""
