"""Commands that bring an image to an environment, and show the desired image of each environment."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from delivery.bump import Bump
from delivery.cli.reporting import errors_in_one_line
from delivery.diff.changes import changes, rendered_at
from delivery.diff.forecast import forecast
from delivery.environments import desired_images, pin_file
from delivery.git.remote import Git
from delivery.go_tools import built
from delivery.policy.objects import seconds
from delivery.promote.github import GitHub
from delivery.promote.promotion import Promotion
from delivery.promote.signature import keyless, keyless_here
from delivery.promote.soak import Soak
from delivery.release import Release

TITLE = "Images and environments"
BUMP_EPILOG = "Example: `make bump IMAGE=ghcr.io/example/llm-api DIGEST=sha256:... COMMIT=HEAD`, as image.yml does."
PROMOTE_EPILOG = "Example: `GITHUB_REPOSITORY=example/llm-api GITHUB_TOKEN=$(gh auth token) make promote SOAK=2h`"
RELEASE_EPILOG = (
    "Example: `make release`, as release.yml does after a promotion is merged. To roll back, revert the promotion and run it again."
)
DIFF_EPILOG = """
Examples:

`make diff OVERLAY=overlays/prod OLD=1.4.0`: the effect on prod of the commits since that release

`make diff OVERLAY=overlays/dev OLD=HEAD~1 NEW=HEAD`
"""

Remote = Annotated[str, typer.Option(help="The git remote.")]
Branch = Annotated[str, typer.Option(help="The branch that the cluster of dev tracks.")]
Verify = Annotated[
    str, typer.Option(help="Command that verifies a signature; the image's name is appended. Default: cosign, keyless, for image.yml.")
]


def bump(
    image: Annotated[str, typer.Option(envvar="IMAGE", help="Registry and repository of the image, without a tag: ghcr.io/org/llm-api.")],
    digest: Annotated[str, typer.Option(envvar="DIGEST", help="The digest that the push returned: sha256:...")],
    commit: Annotated[str, typer.Option(envvar="COMMIT", help="The commit that it was built from; the pinned tag becomes sha-COMMIT.")],
    environment: Annotated[str, typer.Option(help="A folder under overlays/.")] = "dev",
    remote: Remote = "origin",
    branch: Branch = "main",
) -> None:
    """Pin an image in overlays/dev and push the commit. An older commit never overwrites a newer one. The working tree is not touched."""
    with errors_in_one_line():
        typer.echo(Bump(Git(Path(), remote, branch), pin_file(environment), image, digest, commit).run())


def promote(
    soak: Annotated[str, typer.Option(envvar="SOAK", help="How long dev must have been healthy with the image: 30m, 2h.")] = "30m",
    source: Annotated[str, typer.Option("--from", help="The environment that has the image.")] = "dev",
    target: Annotated[str, typer.Option("--to", help="The environment that gets the image.")] = "prod",
    verify: Verify = "",
    body: Annotated[Path | None, typer.Option(help="Also write the text of the pull request to this file.")] = None,
    remote: Remote = "origin",
    branch: Branch = "main",
) -> None:
    """Open a pull request that gives prod the image of dev. The image must be signed, and dev must have been healthy with it."""
    with errors_in_one_line():
        time = seconds(soak)
        if time is None:
            raise typer.BadParameter(f"{soak!r} is not a duration such as 30m or 2h", param_hint="--soak")
        github = GitHub.of_environment()
        waited = Soak(f"llm-api-{source}", timedelta(seconds=time), github.statuses)
        command = verify or keyless(github.repository, branch)
        promoted = Promotion(Git(Path(), remote, branch), source, target, command, waited, built() / "kustomize").run()
        if promoted is None:
            typer.echo(f"already promoted: overlays/{target} has the image of overlays/{source}")
            return
        if body:
            body.write_text(promoted.body, encoding="utf-8")
        typer.echo(github.open_pull_request(promoted.branch, branch, promoted.title, promoted.body))


def release(
    commit: Annotated[
        str, typer.Option(envvar="COMMIT", help="A commit of main: the newest promotion up to it is released. Default: main's newest.")
    ] = "",
    same_image: Annotated[
        bool, typer.Option("--same-image", envvar="SAME_IMAGE", help="Release COMMIT itself, although the image is unchanged.")
    ] = False,
    verify: Verify = "",
    remote: Remote = "origin",
    branch: Branch = "main",
) -> None:
    """Tag the promotion as the next release, which the cluster of prod syncs. Newer commits of main stay unreleased."""
    with errors_in_one_line():
        command = verify or keyless_here(branch)
        typer.echo(Release(Git(Path(), remote, branch), command, commit, same_image=same_image).run())


def diff(
    overlay: Annotated[str, typer.Argument(envvar="OVERLAY", help="The overlay's folder.")] = "overlays/prod",
    old: Annotated[str, typer.Option(envvar="OLD", help="A commit, branch or tag.")] = "origin/main",
    new: Annotated[str, typer.Option(envvar="NEW", help="A commit, branch or tag.")] = "HEAD",
) -> None:
    """Show the effect of a change on an environment: the rendered diff with secrets masked, and a forecast of the rollout."""
    with errors_in_one_line():
        git, kustomize = Git(Path(), "origin", "main"), built() / "kustomize"
        before, after = (rendered_at(git, git.commit_named(name), overlay, kustomize) for name in (old, new))
        for change in changes(before, after):
            typer.echo(change)
        for line in forecast(before, after):
            typer.echo(f"forecast: {line}")


def status(remote: Remote = "origin", branch: Branch = "main") -> None:
    """Show the desired image of each environment, and since when."""
    with errors_in_one_line():
        for desired in desired_images(Git(Path(), remote, branch)):
            since = f", since {desired.since:%Y-%m-%d %H:%M} UTC ({ago(desired.since)})" if desired.since else ""
            typer.echo(f"{desired.environment:<8} {desired.revision or '-':<15} {desired.image}{since}")


def ago(then: datetime) -> str:
    hours, minutes = divmod(int((datetime.now(UTC) - then).total_seconds()) // 60, 60)
    return f"{hours // 24} days ago" if hours >= 48 else f"{hours} h {minutes} min ago"


COMMANDS = {
    "bump": (bump, BUMP_EPILOG),
    "promote": (promote, PROMOTE_EPILOG),
    "release": (release, RELEASE_EPILOG),
    "status": (status, None),
    "diff": (diff, DIFF_EPILOG),
}
