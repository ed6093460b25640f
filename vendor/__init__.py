"""Published networks, written here anew, whose released weights load; they know nothing of the rest of distillgan."""
