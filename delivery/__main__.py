"""`python -m delivery`: what the pipelines run, and what a person can run as well."""

from pathlib import Path
from typing import Annotated

import typer

from delivery.bump import Bump
from delivery.git import Git, GitError
from delivery.image_pin import PinError

BUMP_EPILOG = """
Examples:

`python -m delivery bump --image ghcr.io/example/llm-api --digest sha256:... --commit "$(git rev-parse HEAD)"`: what image.yml runs

Exit codes: 0 bumped, bumped already, or superseded by a newer commit's image; 1 refused, with the reason in one line; 2 wrong usage.
"""

application = typer.Typer(
    help="Brings images to environments, by commits.", no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)


@application.callback()
def _root() -> None:
    pass


@application.command(epilog=BUMP_EPILOG)
def bump(
    image: Annotated[str, typer.Option(help="Registry and repository of the image, without tag: ghcr.io/org/llm-api.")],
    digest: Annotated[str, typer.Option(help="Its digest, as the push gave it: sha256:...")],
    commit: Annotated[str, typer.Option(help="The commit it was built from; the pinned tag becomes sha-COMMIT.")],
    environment: Annotated[str, typer.Option(help="Folder under overlays/.")] = "dev",
    remote: Annotated[str, typer.Option(help="Where to push.")] = "origin",
    branch: Annotated[str, typer.Option(help="What the cluster follows.")] = "main",
) -> None:
    """Pin an image in overlays/dev, and push that. An older commit never overwrites a newer one; the working tree is left alone."""
    try:
        file = f"overlays/{environment}/kustomization.yaml"
        typer.echo(Bump(Git(Path(), remote, branch), file, image, digest, commit).run())
    except (GitError, PinError) as error:
        typer.echo(f"delivery: {error}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    application(prog_name="delivery")
