"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """Something the user can mend: the message names the file, the value, the limit and the remedy.

    The entries print it without a traceback and leave with exit code 2.
    """
