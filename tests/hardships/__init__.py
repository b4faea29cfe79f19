"""What goes wrong outside of a classroom, made to happen: damaged files, killed processes, full disks."""
