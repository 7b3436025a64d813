"""`python -m delivery X`, or `make X`: what the pipelines run, and what a person can run as well."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from delivery.bump import Bump
from delivery.checks.commands import add_checks
from delivery.diff.changes import changes
from delivery.diff.checkout import rendered_at
from delivery.diff.forecast import forecast
from delivery.environments import pin_file, wishes
from delivery.git import Git
from delivery.one_line import one_line
from delivery.policy.duration import seconds
from delivery.promote.github import GitHub
from delivery.promote.promotion import Promotion
from delivery.promote.signature import keyless, keyless_here
from delivery.promote.soak import Soak
from delivery.release import Release
from delivery.tools import built

EXIT_CODES = "\n\nExit codes: 0 done, or nothing to do; 1 refused, with the reason in one line; 2 wrong usage.\n"
BUMP_EPILOG = f"""
Example: `make bump IMAGE=ghcr.io/example/llm-api DIGEST=sha256:... COMMIT=HEAD`, as image.yml does.{EXIT_CODES}
"""
PROMOTE_EPILOG = f"""
Example: `GITHUB_REPOSITORY=example/llm-api GITHUB_TOKEN=$(gh auth token) make promote SOAK=2h`{EXIT_CODES}
"""
DIFF_EPILOG = f"""
Examples:

`make diff OVERLAY=overlays/prod OLD=1.4.0`: what the commits since that release mean for prod

`make diff OVERLAY=overlays/dev OLD=HEAD~1 NEW=HEAD`{EXIT_CODES}
"""
RELEASE_EPILOG = f"""
Example: `make release`, as release.yml does once a promotion is merged. A rollback: revert it, and this again.{EXIT_CODES}
"""

Remote = Annotated[str, typer.Option(help="The git remote.")]
Branch = Annotated[str, typer.Option(help="What dev's cluster follows.")]
Verify = Annotated[str, typer.Option(help="What verifies a signature; the image's name follows. Default: keyless, by image.yml.")]

application = typer.Typer(
    help="Brings images to environments, by commits.", no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)
add_checks(application)


@application.command(epilog=BUMP_EPILOG)
def bump(
    image: Annotated[str, typer.Option(envvar="IMAGE", help="Registry and repository of the image, without tag: ghcr.io/org/llm-api.")],
    digest: Annotated[str, typer.Option(envvar="DIGEST", help="Its digest, as the push gave it: sha256:...")],
    commit: Annotated[str, typer.Option(envvar="COMMIT", help="The commit it was built from; the pinned tag becomes sha-COMMIT.")],
    environment: Annotated[str, typer.Option(help="Folder under overlays/.")] = "dev",
    remote: Remote = "origin",
    branch: Branch = "main",
) -> None:
    """Pin an image in overlays/dev, and push that. An older commit never overwrites a newer one; the working tree is left alone."""
    with one_line():
        typer.echo(Bump(Git(Path(), remote, branch), pin_file(environment), image, digest, commit).run())


@application.command(epilog=PROMOTE_EPILOG)
def promote(
    soak: Annotated[str, typer.Option(envvar="SOAK", help="How long dev must have been well with the image: 30m, 2h.")] = "30m",
    source: Annotated[str, typer.Option("--from", help="The environment that has the image.")] = "dev",
    target: Annotated[str, typer.Option("--to", help="The environment that gets it.")] = "prod",
    verify: Verify = "",
    body: Annotated[Path | None, typer.Option(help="Write the pull request's text here, too.")] = None,
    remote: Remote = "origin",
    branch: Branch = "main",
) -> None:
    """Open a pull request that gives prod the image of dev. Refused unless it is signed, and dev has been well with it for a while."""
    with one_line():
        time = seconds(soak)
        if time is None:
            raise typer.BadParameter(f"{soak!r} is not a time such as 30m or 2h", param_hint="--soak")
        github = GitHub.of_environment()
        waited = Soak(f"llm-api-{source}", timedelta(seconds=time), github.statuses)
        command = verify or keyless(github.repository, branch)
        promoted = Promotion(Git(Path(), remote, branch), source, target, command, waited, built() / "kustomize").run()
        if promoted is None:
            typer.echo(f"promoted already: overlays/{target} has the image of overlays/{source}")
            return
        if body:
            body.write_text(promoted.body, encoding="utf-8")
        typer.echo(github.open_pull_request(promoted.branch, branch, promoted.title, promoted.body))


@application.command(epilog=RELEASE_EPILOG)
def release(
    commit: Annotated[
        str, typer.Option(envvar="COMMIT", help="Of main: the newest promotion up to it is released. Default: main's newest.")
    ] = "",
    same_image: Annotated[
        bool, typer.Option("--same-image", envvar="SAME_IMAGE", help="Release COMMIT itself, though the image stays.")
    ] = False,
    verify: Verify = "",
    remote: Remote = "origin",
    branch: Branch = "main",
) -> None:
    """Tag the promotion as the next release: that is what prod's cluster syncs. What main has since stays unreleased."""
    with one_line():
        command = verify or keyless_here(branch)
        typer.echo(Release(Git(Path(), remote, branch), command, commit, same_image=same_image).run())


@application.command(epilog=DIFF_EPILOG)
def diff(
    overlay: Annotated[str, typer.Argument(envvar="OVERLAY", help="Its folder.")] = "overlays/prod",
    old: Annotated[str, typer.Option(envvar="OLD", help="A commit, branch or tag.")] = "origin/main",
    new: Annotated[str, typer.Option(envvar="NEW", help="Another.")] = "HEAD",
) -> None:
    """Show what a change means for an environment: the rendered difference, secrets masked, and what the rollout will be like."""
    with one_line():
        git, kustomize = Git(Path(), "origin", "main"), built() / "kustomize"
        before, after = (rendered_at(git, git.commit_named(name), overlay, kustomize) for name in (old, new))
        for change in changes(before, after):
            typer.echo(change)
        for line in forecast(before, after):
            typer.echo(f"forecast: {line}")


@application.command()
def status(remote: Remote = "origin", branch: Branch = "main") -> None:
    """Show which image each environment wants, and since when."""
    with one_line():
        for wish in wishes(Git(Path(), remote, branch)):
            since = f", since {wish.since:%Y-%m-%d %H:%M} UTC ({ago(wish.since)})" if wish.since else ""
            typer.echo(f"{wish.environment:<8} {wish.revision or '-':<15} {wish.image}{since}")


def ago(then: datetime) -> str:
    hours, minutes = divmod(int((datetime.now(UTC) - then).total_seconds()) // 60, 60)
    return f"{hours // 24} days ago" if hours >= 48 else f"{hours} h {minutes} min ago"


if __name__ == "__main__":
    application(prog_name="delivery")
