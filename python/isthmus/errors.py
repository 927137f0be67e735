"""What Isthmus raises. Every error is an IsthmusError; most are also the builtin exception that fits."""


class IsthmusError(Exception):
    """A failure with its place.

    Attributes: `where` (path, version or offset; "" where it adds nothing) and `code` (errno or HTTP status; 0).
    """

    def __init__(self, message, where="", code=0):
        super().__init__(message)
        self.where = where
        self.code = code

    def __str__(self):
        message = self.args[0]
        return f"{message} [{self.where}]" if self.where and self.where not in message else message

    def __reduce__(self):
        return type(self), (self.args[0], self.where, self.code)


class NotFoundError(IsthmusError, FileNotFoundError):
    """No such table, version, file, chunk, server."""


class AlreadyExistsError(IsthmusError, FileExistsError):
    """The name is taken."""


class ConflictError(IsthmusError):
    """A concurrent change invalidates this one; read again and decide again."""


class RetryableError(IsthmusError, ConnectionError):
    """A passing fault; the same call may succeed."""


class UnauthenticatedError(IsthmusError, PermissionError):
    """The token is missing, wrong or expired."""


class ForbiddenError(IsthmusError, PermissionError):
    """The principal may not."""


class WriteCredentialsError(ForbiddenError):
    """The catalog gives no credentials to write a table's storage; an engine that the catalog trusts may be able to."""


class UnsupportedError(IsthmusError, NotImplementedError):
    """A table feature, type or operation that Isthmus does not implement."""


class BadInputError(IsthmusError, ValueError):
    """An argument, or bytes from outside, are not what they must be."""


class StorageError(IsthmusError, OSError):
    """The operating system or the network failed."""


class CancelledError(IsthmusError):
    """Stopped on request."""


class NoMemoryError(IsthmusError, MemoryError):
    """Out of memory, or over a named limit of memory."""


class InternalError(IsthmusError):
    """A bug in Isthmus."""
