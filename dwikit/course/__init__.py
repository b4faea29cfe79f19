"""What only notebooks and exercises use: their first cell, the first look, play, checks of exercises, small contrasts."""
