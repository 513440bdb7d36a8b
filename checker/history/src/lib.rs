//! Histories on disk: Arrow schemas, journal, seal to Parquet, manifest, recover, readers.
