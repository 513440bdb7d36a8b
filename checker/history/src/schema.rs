//! The tables as Arrow schemas, exactly as `docs/history-schema.md` has them.
//!
//! Plain types only: 64-bit integers, strings, lists and structs of them, so that any Parquet reader understands the
//! files.

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;

/// Version of the schemas, stored in the metadata of every file under [`VERSION_KEY`].
pub const SCHEMA_VERSION: u32 = 2;

/// Key of the schema version in the metadata of a file.
pub const VERSION_KEY: &str = "fissure.schema_version";

/// Key of the table's name in the metadata of a file.
pub const TABLE_KEY: &str = "fissure.table";

/// The tables of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row per operation.
    Ops,
    /// What was asked of the fault injector.
    Faults,
    /// What the kernel did, one row per decision that fired.
    Injections,
    /// What the harness opened.
    Connections,
    /// The life of each node.
    Nodes,
    /// Pairs of monotonic and wall time.
    Clocks,
    /// What integers that are no plain keys and values stand for.
    Names,
}

impl Table {
    /// All tables, in the order of the document.
    pub const ALL: [Table; 7] =
        [Table::Ops, Table::Faults, Table::Injections, Table::Connections, Table::Nodes, Table::Clocks, Table::Names];

    /// Name of the table, its folder and its journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Table::Ops => "ops",
            Table::Faults => "faults",
            Table::Injections => "injections",
            Table::Connections => "connections",
            Table::Nodes => "nodes",
            Table::Clocks => "clocks",
            Table::Names => "names",
        }
    }

    /// The table with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Its Arrow schema, with the version and the table's name in the metadata.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        let fields = match self {
            Table::Ops => ops_fields(&DataType::Utf8),
            Table::Faults => faults_fields(),
            Table::Injections => injections_fields(),
            Table::Connections => connections_fields(),
            Table::Nodes => {
                vec![int("t_ns"), text("node"), text("event"), optional(text("detail"))]
            }
            Table::Clocks => vec![int("t_ns"), int("wall_ns")],
            Table::Names => vec![int("id"), text("text")],
        };
        with_version(self.name(), fields)
    }
}

/// A schema with the version and the table's name in its metadata.
pub(crate) fn with_version(table: &str, fields: Vec<Field>) -> SchemaRef {
    let metadata =
        HashMap::from([(VERSION_KEY.to_owned(), SCHEMA_VERSION.to_string()), (TABLE_KEY.to_owned(), table.to_owned())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

pub(crate) fn int(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

pub(crate) fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

pub(crate) fn optional(field: Field) -> Field {
    field.with_nullable(true)
}

/// A list that may be null, of items that may not.
pub(crate) fn list(name: &str, item: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new("item", item, false))), true)
}

/// Fields of the balance of one account.
pub(crate) fn balance_fields() -> Fields {
    Fields::from(vec![int("account"), optional(int("balance"))])
}

/// Fields of one record of a log.
pub(crate) fn record_fields() -> Fields {
    Fields::from(vec![int("key"), optional(int("offset")), optional(int("value"))])
}

/// Fields of one micro-operation, with its function as `f`.
pub(crate) fn mop_fields(f: Field) -> Fields {
    Fields::from(vec![
        f,
        optional(int("key")),
        optional(int("value")),
        list("list", DataType::Int64),
        optional(int("offset")),
        list("records", DataType::Struct(record_fields())),
    ])
}

/// Columns of a call between `f` and `mops`.
pub(crate) fn value_fields() -> Vec<Field> {
    vec![
        optional(int("key")),
        optional(int("value")),
        optional(int("expected")),
        list("elements", DataType::Int64),
        optional(int("to_key")),
        list("balances", DataType::Struct(balance_fields())),
    ]
}

/// Columns of `ops`, with the type of its columns of few different words as `word`.
pub(crate) fn ops_fields(word: &DataType) -> Vec<Field> {
    let word = |name: &str| Field::new(name, word.clone(), false);
    let mut fields = vec![int("op_id"), int("process"), optional(word("node")), word("phase"), word("f")];
    fields.extend(value_fields());
    fields.extend([
        list("mops", DataType::Struct(mop_fields(word("f")))),
        word("outcome"),
        int("invoke_seq"),
        optional(int("complete_seq")),
        int("invoke_ns"),
        optional(int("complete_ns")),
        optional(text("error_code")),
        optional(text("error_text")),
        optional(int("conn_cookie")),
        optional(text("value_text")),
    ]);
    fields
}

/// A column of few different texts, each kept once.
pub(crate) fn words() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The columns of `ops` that a checker of transactions over lists and registers needs, and no others.
pub(crate) fn txn_fields() -> Vec<Field> {
    let word = |name: &str| Field::new(name, words(), false);
    let mop = [word("f"), optional(int("key")), optional(int("value")), list("list", DataType::Int64)];
    vec![
        int("op_id"),
        int("process"),
        word("f"),
        list("mops", DataType::Struct(Fields::from_iter(mop))),
        word("outcome"),
        int("invoke_seq"),
        optional(int("complete_seq")),
    ]
}

fn faults_fields() -> Vec<Field> {
    vec![
        int("fault_id"),
        text("phase"),
        text("kind"),
        text("description"),
        Field::new("nodes", DataType::List(Arc::new(text("item"))), false),
        int("rules"),
        int("start_ns"),
        optional(int("stop_ns")),
        optional(int("kernel_hits")),
        text("outcome"),
        optional(text("error_text")),
    ]
}

fn injections_fields() -> Vec<Field> {
    vec![
        int("t_ns"),
        text("host"),
        int("cpu"),
        int("event_seq"),
        int("fault_id"),
        int("rule_id"),
        int("revision"),
        text("action"),
        text("src_addr"),
        text("dst_addr"),
        int("src_port"),
        int("dst_port"),
        optional(text("src_host")),
        optional(text("dst_host")),
        text("protocol"),
        int("tcp_flags"),
        int("tcp_seq"),
        int("length"),
        text("direction"),
        int("conn_ordinal"),
        int("packet_index"),
    ]
}

fn connections_fields() -> Vec<Field> {
    vec![
        optional(int("conn_cookie")),
        optional(int("process")),
        optional(text("node")),
        text("kind"),
        text("local_addr"),
        text("remote_addr"),
        int("local_port"),
        int("remote_port"),
        optional(int("opened_ns")),
        optional(int("closed_ns")),
    ]
}
