"""Stands for LeRobot where its 6 GB are not: its trainer's arguments, words, files, signals and exit codes."""
