"""Images of one microscope made comparable with those of another: one file per method."""
