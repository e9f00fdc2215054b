"""Makes the weight files that other rooms load; needs the torch extra, and nothing that runs imports it."""
