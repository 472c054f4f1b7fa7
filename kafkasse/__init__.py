"""The HTTP side: views that answer `/events/<topic>/`, and the vocabulary both sides share."""
