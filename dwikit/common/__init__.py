"""What any room may use: files that are whole or not there, locks, paths, NIfTI images, and the one error for users."""
