"""The demo server: a page for people and a JSON API for programs, over one exported model."""
