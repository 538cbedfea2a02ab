"""`reflex so101`: an SO-101 found, checked, calibrated and brought to rest."""
