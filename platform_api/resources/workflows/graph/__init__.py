"""A workflow as a picture: nodes and edges with places, as JSON, as Mermaid, as SVG."""
