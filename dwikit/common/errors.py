"""The one exception that dwikit raises for a mistake its user can mend."""


class InputError(ValueError):
    """Something the user handed over cannot be used; the message names it and says what to do.

    The command line prints the message alone; a notebook shows it at the end of a short traceback.
    """
