"""Programs for developers, apart from the tests; tests/README.md says what each does."""
