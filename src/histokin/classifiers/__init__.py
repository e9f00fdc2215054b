"""Images to class scores and class activation maps."""
