"""The vendors of push on loopback, one a file: as strict as the real ones, for tests, benchmarks and the demo."""
