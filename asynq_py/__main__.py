"""python -m asynq_py: the command asynq-py."""

from asynq_py.cli import main

if __name__ == "__main__":
    main()
