"""Tests of the web side, and of what both sides share."""
