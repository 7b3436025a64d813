"""`python -m delivery`: all commands, in three groups."""

import typer

from delivery.cli import ci, images, tree
from delivery.cli.reporting import EXIT_CODES

application = typer.Typer(
    help=f"Brings images to environments by commits, and checks the tree. {EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
for group in (images, tree, ci):
    for name, (command, epilog) in group.COMMANDS.items():
        application.command(name, epilog=epilog, rich_help_panel=group.TITLE)(command)
