"""Reads the tables of a sealed run with DuckDB, Polars and pandas, as a user would, and prints what each saw as JSON.

Usage: read.py HISTORY_DIR. Output: {engine: {table: [row, ...]}}, a row being {column: value}.
"""

import glob
import json
import os
import sys

import duckdb
import pandas
import polars


def plain(value):
    """The value in JSON's own types, whatever the engine calls it."""
    if value is None or value is pandas.NA:
        return None
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def with_duckdb(files):
    answer = duckdb.execute("SELECT * FROM read_parquet($files)", {"files": files})
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row)) for row in answer.fetchall()]


def with_polars(files):
    return polars.read_parquet(files).to_dicts()


def with_pandas(files):
    # Integers that may be null would become floating point numbers with pandas' old types.
    frames = [pandas.read_parquet(file, dtype_backend="pyarrow") for file in files]
    return [row for frame in frames for row in frame.to_dict("records")]


def main():
    engines = {"duckdb": with_duckdb, "polars": with_polars, "pandas": with_pandas}
    tables = sorted(entry.name for entry in os.scandir(sys.argv[1]) if entry.is_dir())
    seen = {}
    for engine, read in engines.items():
        seen[engine] = {}
        for table in tables:
            files = sorted(glob.glob(os.path.join(sys.argv[1], table, "*.parquet")))
            seen[engine][table] = [plain(row) for row in read(files)]
    json.dump(seen, sys.stdout)


main()
