"""Commands that check the tree: manifests, charts, pins, and whether an image fits an overlay.

`manifests` and `image` import the service, which a pipeline job does not install, so they import it only when they run.
"""

from pathlib import Path
from typing import Annotated

import typer

from delivery.checks import charts as chart_checks
from delivery.checks.charts import ChartError
from delivery.checks.pins import verify
from delivery.cli.reporting import count, errors_in_one_line, fail
from delivery.go_tools import built
from delivery.policy.schemas import Schemas

TITLE = "Checks of the tree"
Root = Annotated[Path, typer.Option(help="The repository.")]
Tools = Annotated[Path | None, typer.Option(help="The folder with kustomize and kubeconform. Default: the one that tools/build prints.")]


def manifests(root: Root = Path(), tools: Tools = None) -> None:
    """Render every overlay, platform and cluster folder, and check the invariants."""
    from delivery.checks.manifests import check

    with errors_in_one_line():
        failures = 0
        for folder, result in check(root, tools or built()):
            failures += len(result)
            typer.echo(f"{folder}: {count(len(result)) if result else 'ok'}")
            for found in result:
                typer.echo(f"\n{found}\n")
        if failures:
            fail(count(failures))


def image(
    overlay: Annotated[str, typer.Argument(help="The overlay's folder, such as overlays/prod.")],
    tools: Tools = None,
    image: Annotated[str, typer.Option(help="The image to check. Default: the image that the overlay pins.")] = "",
    run: Annotated[str, typer.Option(help="Command that starts a container, without the image's name; podman works too.")] = (
        "docker run --rm --network none"
    ),
) -> None:
    """Check that an image accepts every setting, command and flag that an overlay uses."""
    from delivery.checks.image_settings import in_container, pinned, read, refused

    with errors_in_one_line():
        checked = read(overlay, tools or built())
        asked = image or pinned(checked)
        findings = refused(checked, in_container(run, asked))
        for finding in findings:
            typer.echo(f"{finding}\n")
        if findings:
            fail(f"{count(len(findings))}: {asked} does not accept what {overlay} uses")
        typer.echo(f"{asked}: ok")


def pins(root: Root = Path()) -> None:
    """Compare pins.yaml with the tree, and look up every chart, image and action online."""
    with errors_in_one_line():
        fine, problems = verify(root)
        typer.echo("\n".join([*fine, *problems]))
        if problems:
            fail(count(len(problems)))


def platform(
    root: Root = Path(),
    charts: Annotated[Path | None, typer.Option(help="A folder with one folder per chart, instead of the chart repositories.")] = None,
) -> None:
    """Render each Helm chart of platform/ with its values, and check the objects."""
    with errors_in_one_line():
        helm, schemas = built("charts") / "helm", Schemas(built() / "kubeconform", root / "tools/schemas", unknown_kinds=True)
        wrong = 0
        for name, outcome in chart_checks.check(root, helm, schemas, charts):
            failed = isinstance(outcome, ChartError)
            wrong += failed
            typer.echo(f"{name}: {outcome}", err=failed)
        if wrong:
            fail(count(wrong))


COMMANDS = {"manifests": (manifests, None), "image": (image, None), "pins": (pins, None), "platform": (platform, None)}
