"""What MkDocs calls: the pages that are made of the code, and links between the repository and the site."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from docs.site import commands_reference, config_reference, python_reference  # noqa: E402 - the path has to come first

OF_REPOSITORY = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""page of the site → file of the repository"""
LINK = re.compile(r"\]\(((?!https?:|#)[^)]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that no file of docs/ holds."""
    pages = {page: (ROOT / source).read_text(encoding="utf-8") for page, source in OF_REPOSITORY.items()}
    pages["reference/config.md"] = config_reference.page(ROOT / "conf")
    pages["reference/commands.md"] = commands_reference.page(ROOT)
    pages["reference/python.md"] = python_reference.page()
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links that are right in the repository be right on the site, too."""
    return LINK.sub(lambda match: f"]({_on_site(match[1], page.file.src_uri)})", markdown)


def _on_site(target: str, source: str) -> str:
    path, _, anchor = target.partition("#")
    root = "../" * source.count("/")
    names = {file: page for page, file in OF_REPOSITORY.items()}
    bare = path.removeprefix("../") if source not in OF_REPOSITORY else path
    if bare in names and (path.startswith("../") or source in OF_REPOSITORY):
        found = f"{root}{names[bare]}"
    elif path.startswith("../conf/") or path.startswith("conf/"):
        return f"{root}reference/config.md"
    elif path.startswith("../"):  # a folder of the repository, which the site doesn't show
        return f"{root}contributing.md"
    else:
        found = path.removeprefix("docs/") if source in OF_REPOSITORY else path
    return f"{found}#{anchor}" if anchor else found
