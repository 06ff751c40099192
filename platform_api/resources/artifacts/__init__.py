"""Files and datasets that runs have made: listed, downloaded, converted."""
