"""Networks and how to run them: architectures, sessions, weight manifests and their digests."""
