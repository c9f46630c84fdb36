"""The drill: one shift on a real cluster, from a bad release to a closed loop, scored by the gate."""
