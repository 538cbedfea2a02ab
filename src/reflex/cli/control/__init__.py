"""The commands of the control plane: those that ask it parse, call one operation and print; `server` runs it."""
