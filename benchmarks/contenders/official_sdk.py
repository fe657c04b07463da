"""The official SDK, as its documentation uses it: one `upload_image` after the other."""

from __future__ import annotations

import datagym

from benchmarks.measure import arguments, measured


def main() -> None:
    """Upload a folder."""
    options = arguments()
    with measured(["datagym", "requests"]):
        client = datagym.Client("benchmark", base_url=f"{options.base_url}/")
        for path in sorted(options.folder.iterdir()):
            if client.upload_image(options.dataset, str(path)) is None:
                raise SystemExit(f"the SDK did not upload {path.name}")


if __name__ == "__main__":
    main()
