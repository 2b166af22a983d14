"""The one training loop and what it needs; using a trained net."""
