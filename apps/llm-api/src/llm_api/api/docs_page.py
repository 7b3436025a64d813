"""The documentation page of the API. Its assets come from an installed package, not from a CDN."""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from llm_api.protocol.errors import NotFound

ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
POLICY = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


def mount_docs(app: FastAPI, page: str, assets: str) -> None:
    """Serves the page at `page` and its assets under `assets`. A content security policy forbids loading from anywhere else."""
    html = _page(app.title, assets.lstrip("/"))

    async def serve_page(request: Request) -> Response:
        if request.scope["raw_path"].endswith(b"/"):  # the relative addresses would be below it
            path = request.scope["raw_path"]
            return RedirectResponse("../" * (len(path) - len(path.rstrip(b"/"))) + page.lstrip("/"))
        return HTMLResponse(html, headers={"content-security-policy": POLICY})

    app.add_route(page, serve_page, include_in_schema=False)
    app.add_route(f"{assets}/{{name}}", _serve_asset, include_in_schema=False)


def _page(title: str, assets: str) -> bytes:
    """All addresses are relative to the page's own, which may have a prefix that a proxy strips."""
    response = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=f"{title} docs",
        swagger_js_url=f"{assets}/swagger-ui-bundle.js",
        swagger_css_url=f"{assets}/swagger-ui.css",
        swagger_favicon_url=f"{assets}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None, "persistAuthorization": True},
    )
    return bytes(response.body)


async def _serve_asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in ASSETS:
        raise NotFound("This path does not exist; /docs lists the paths.", code="unknown_url")
    path = str(files("fastapi_offline") / "static" / name)
    return FileResponse(path, media_type=ASSETS[name], headers={"cache-control": "max-age=86400"})
