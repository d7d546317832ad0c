"""Send a folder to the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

from persona_sweeps.errors import UserError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def require_name(repo: str) -> None:
    """Raise `UserError` if a repository can't have this name."""
    if not NAME.fullmatch(repo) or len(repo) > 96 or "--" in repo or ".." in repo:
        raise UserError(f"--repo {repo} isn't USER/NAME, of letters, digits, hyphens, dots and underscores.")


def upload(folder: Path, repo: str, public: bool, message: str) -> str:
    """Make the repository where there is none, private unless `public`, and send all files as one commit.

    Returns its address. Raises `UserError` where the Hub can't be reached, or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    if not api.token and not _logged_in():
        raise UserError(f"The Hub doesn't know you here: `hf auth login`, or set HF_TOKEN. The folder is {folder}.")
    try:
        made = api.create_repo(repo, private=not public, exist_ok=True)
        api.upload_folder(folder_path=folder, repo_id=repo, commit_message=message)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        raise UserError(
            f"The Hub refuses {repo} ({status}): {error.server_message or str(error).splitlines()[0]}"
        ) from None
    except Exception as error:  # the library changes its HTTP client, and with it the errors of connections
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"The Hub can't be reached ({what}); the folder is {folder}.") from None
    return str(made)


def _logged_in() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None
