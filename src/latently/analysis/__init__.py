"""What can be asked of a run and its images: figures, pictures, neighbours, label curves, exports."""
