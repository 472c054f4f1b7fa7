"""How much the whole chain carries, and the tools that measure it."""
