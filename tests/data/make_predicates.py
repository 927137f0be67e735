"""Writes tests/data/predicates and fuzz/corpus/predicate: expressions as pyarrow serialises them, for the tests in C.

    python tests/data/make_predicates.py
"""

import datetime
import decimal
import pathlib

import pyarrow as pa
import pyarrow.compute as pc

ROOT = pathlib.Path(__file__).parents[2]
number, double, text, at, amount, part = map(pc.field, ("number", "double", "text", "at", "amount", "part"))
city = pc.field("place", "city")
CUT = "a" * 32  # where writers cut texts in statistics
PREDICATES = {
    "number_above_5": number > 5,
    "number_is_null": number.is_null(),
    "number_in_3_or_9": number.isin([3, 9]),
    "number_in_3_or_9_by_duckdb": pc.if_else(number.is_valid(), number.isin([3, 9]), pc.scalar(pa.scalar(None, pa.bool_()))),
    "number_plus_1_above_5": number + 1 > 5,
    "double_above_5": double > 5,
    "double_not_above_5": ~(double > 5),
    "double_not_5": double != 5,
    "double_from_float_1.1": double >= 1.10000002384185791015625,
    "text_is_cut": text == CUT + "\U0001f600",
    "text_starts_with_b": pc.starts_with(text, "b"),
    "at_from_micros": at >= pa.scalar(datetime.datetime(2024, 1, 1, 0, 0, 0, 123456, datetime.timezone.utc)),
    "amount_from_18_digits": amount >= pa.scalar(decimal.Decimal("1234567890123456800"), pa.decimal128(38, 10)),
    "city_is_x": city == "x",
    "part_is_b": part == "b",
    "part_is_null": part.is_null(),
    "part_is_b_or_number_above_5": (part == "b") | (number > 5),
    "p_is_a_b_and_id_above_1": (pc.field("p") == "a b") & (pc.field("id") > 1),
    "never": pc.scalar(False),
}


def main():
    for folder in (ROOT / "tests/data/predicates", ROOT / "fuzz/corpus/predicate"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, expression in PREDICATES.items():
            (folder / name).write_bytes(expression.__reduce__()[1][0].to_pybytes())


if __name__ == "__main__":
    main()
