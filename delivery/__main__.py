"""`python -m delivery COMMAND`, or `make COMMAND`. The commands are in delivery/cli."""

from delivery.cli.application import application

if __name__ == "__main__":
    application(prog_name="delivery")
