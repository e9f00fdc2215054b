"""Synthetic images with known answers: tissue, five laboratories, two scanners. Never to be taken for real ones."""
