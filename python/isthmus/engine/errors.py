"""A statement's failure as the client reads it.

Messages have Databricks' form, "[CONDITION] text", and teach what to do. They hold neither secrets nor the SQL that a
statement was rewritten to. `code` is an error code of the Statement Execution API.
"""

STATES = {
    "PARSE_SYNTAX_ERROR": "42601",
    "PARSE_EMPTY_STATEMENT": "42617",
    "TABLE_OR_VIEW_NOT_FOUND": "42P01",
    "TABLE_OR_VIEW_ALREADY_EXISTS": "42P07",
    "SCHEMA_NOT_FOUND": "42704",
    "UNRESOLVED_COLUMN": "42703",
    "UNRESOLVED_ROUTINE": "42883",
    "UNBOUND_SQL_PARAMETER": "42P02",
    "INVALID_PARAMETER": "22023",
    "INSUFFICIENT_PERMISSIONS": "42501",
    "UNSUPPORTED_FEATURE": "0A000",
    "CAST_INVALID_INPUT": "22018",
    "ARITHMETIC_OVERFLOW": "22003",
    "DIVIDE_BY_ZERO": "22012",
    "INLINE_RESULT_TOO_LARGE": "54000",
    "CANNOT_READ_TABLE": "58030",
    "IO_ERROR": "58030",
    "INTERNAL_ERROR": "XX000",
    "DATATYPE_MISMATCH": "42K09",
    "INVALID_STATEMENT": "42000",
    "RECURSIVE_VIEW": "42K0H",
    "VIEW_EXCEED_MAX_NESTED_DEPTH": "54K00",
    "NON_PARTITION_COLUMN": "42000",
    "DELTA_CONCURRENT_WRITE": "2D521",
    "DELTA_REPLACE_WHERE_MISMATCH": "44000",
    "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE": "21506",
    "OUT_OF_MEMORY": "53200",
    "DISK_FULL": "53100",
    "QUERY_CANCELED": "HY008",
}


class StatementError(Exception):
    """A statement failed: `condition` (a key of STATES), message, and line and position (both from 1) in its text."""

    def __init__(self, condition, message, at=None, code="BAD_REQUEST"):
        super().__init__(message)
        self.condition = condition
        self.code = code
        self.line, self.position = at or (None, None)

    def frame(self):
        state = STATES.get(self.condition)
        place = f" (line {self.line}, pos {self.position})" if self.line else ""
        suffix = f" SQLSTATE: {state}" if state else ""
        frame = {"type": "failed", "error_code": self.code,
                 "message": f"[{self.condition}] {self.args[0]}{place}{suffix}"}
        if state:
            frame["sql_state"] = state
        if self.line:
            frame["line"], frame["position"] = self.line, self.position
        return frame


def unsupported(what, way_out="run it on a Spark warehouse", at=None):
    return StatementError("UNSUPPORTED_FEATURE", f"{what} is not supported by the embedded engine; {way_out}.", at)


def cancelled():
    return StatementError("QUERY_CANCELED", "The statement was cancelled.", code="CANCELLED")
