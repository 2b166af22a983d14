"""Analyses of a run and its images: metrics, pictures, neighbours, label curves, exports."""
