"""The demo: a real pipeline on real data, driven from outside through the public REST API alone."""
