"""Pages: one HTML file with its style, script and charts inside, which asks for nothing from outside."""
