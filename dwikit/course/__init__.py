"""Code that only notebooks and exercises use: first cell, first look, play, checks of exercises, small contrasts."""
