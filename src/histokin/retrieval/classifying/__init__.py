"""Classes for images and slides, with maps that say where in the tissue they come from."""
