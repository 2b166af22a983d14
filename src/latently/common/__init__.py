"""What every room needs: the sentence a person reads, settings, files, and the console."""
