"""The program around the library: command line and pages. Translation only, no science."""
