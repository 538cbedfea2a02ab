"""What NVIDIA GPUs this machine has, by their driver alone: nothing here starts a process or imports a library of theirs."""
