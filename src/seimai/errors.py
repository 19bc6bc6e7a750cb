"""The errors a user may meet; each message is one line with value, place and remedy.

SeimaiError
├── ConfigError     a configuration or an option is wrong
├── InputError      an input is missing, empty or of the wrong kind
├── RunError        a run, tokenizer, data or model directory cannot be used as asked
└── VerifyError     files are not what their manifest says
"""

__all__ = ["ConfigError", "InputError", "RunError", "SeimaiError", "VerifyError"]


class SeimaiError(Exception):
    """A mistake a user can mend; the command line prints its one line and leaves with exit code 1."""


class ConfigError(SeimaiError):
    """A configuration file, key, value or option is wrong."""


class InputError(SeimaiError):
    """An input file is missing, empty, or not what the command reads."""


class RunError(SeimaiError):
    """A directory of ours cannot be used as asked: locked, unwritable, or made with other settings."""


class VerifyError(SeimaiError):
    """Files are missing, changed or unlisted against their manifest."""
