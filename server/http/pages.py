"""The web page: files read once at start, served from a fixed map, no path ever joined."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from server.http.refusals import HttpRefusal

logger = logging.getLogger(__name__)

WEB_ROOT = Path(__file__).resolve().parents[2] / "clients" / "web"
"""Where the page lies in the source tree."""

INDEX = "index.html"
MAX_FILE_BYTES = 8 << 20

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""What is served; a file of any other kind stays unread."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file of the page, as it goes out."""

    content: bytes
    media_type: str
    etag: str


def read_web_files(root: Path = WEB_ROOT) -> dict[str, StaticFile]:
    """Read every servable file below ``root``; names are relative, with forward slashes.

    Symbolic links, hidden files and files of unknown kinds are left out. A missing folder
    gives an empty map: the API works without the page.
    """
    files: dict[str, StaticFile] = {}
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        relative = path.relative_to(root)
        media_type = _MEDIA_TYPES.get(path.suffix.lower())
        hidden = any(part.startswith(".") for part in relative.parts)
        if media_type is None or hidden or path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size > MAX_FILE_BYTES:
            logger.warning("%s is too large to be served and is left out", relative)
            continue
        content = path.read_bytes()
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
        files[relative.as_posix()] = StaticFile(content, media_type, f'"{digest}"')
    return files


def page_endpoints(
    files: Mapping[str, StaticFile],
) -> tuple[Callable[[Request], Awaitable[Response]], Callable[[Request], Awaitable[Response]]]:
    """Make the endpoints of ``/`` and of ``/static/<name>``."""

    async def index(request: Request) -> Response:
        return _serve(files, INDEX, request)

    async def static(request: Request) -> Response:
        return _serve(files, request.path_params["name"], request)

    return index, static


def _serve(files: Mapping[str, StaticFile], name: str, request: Request) -> Response:
    file = files.get(name)
    if file is None:
        raise HttpRefusal(404, "there is no such file", code="not_found")
    # Names do not change with their content, so the browser asks each time and mostly gets 304.
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    known = (tag.strip() for tag in request.headers.get("if-none-match", "").split(","))
    if file.etag in (tag.removeprefix("W/") for tag in known):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
