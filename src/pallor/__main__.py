"""``python -m pallor`` is the same program as ``pallor``."""

from pallor.cli import main

if __name__ == "__main__":
    main()
