"""What every server of Reflex does alike: its socket and its names, its logs, the words for a wrong setting."""
