"""Prints the OpenAPI document of the REST contract; needs no settings, database or Prefect."""

import json
import sys

from platform_api.main import openapi_document


def main() -> int:
    """Writes the document to standard output."""
    json.dump(openapi_document(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
