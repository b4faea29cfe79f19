"""What any room may use: files that are whole or not there, locks, paths, images in NIfTI, and the one error for users."""
