"""From annotated slides to labelled training patches."""
