"""Measures the gateway beside nginx and Varnish; see tests/bench/README.md."""
