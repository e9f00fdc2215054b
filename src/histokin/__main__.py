"""``python -m histokin``."""

from histokin.app.cli import main

if __name__ == "__main__":
    main()
