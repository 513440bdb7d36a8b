//! Between row structs and Arrow record batches, for the tables without operations.
//!
//! Reading is liberal about how a column is stored (large strings, views, dictionaries and narrower integers are cast)
//! and strict about what it holds: every error names the file, the row and the column.

use crate::error::Error;
use crate::rows::{ClockRow, ConnectionKind, ConnectionRow, Direction, FaultRow, InjectionRow, NameRow, NodeRow};
use crate::schema::{SCHEMA_VERSION, Table, VERSION_KEY};
use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, ListBuilder, RecordBatch, StringArray, StringBuilder, StructArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::borrow::Cow;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// A row struct that has a table of its own.
pub(crate) trait TableRow: Sized {
    /// The table.
    const TABLE: Table;

    /// The rows as columns, in the order of the schema.
    fn to_columns(rows: &[Self]) -> Vec<ArrayRef>;

    /// The rows of a batch that has the table's schema.
    fn from_columns(columns: &Columns<'_>) -> Result<Vec<Self>, Error>;

    /// The rows as a batch.
    fn to_batch(rows: &[Self], file: &Path) -> Result<RecordBatch, Error> {
        RecordBatch::try_new(Self::TABLE.schema(), Self::to_columns(rows)).map_err(Error::format(file))
    }

    /// The rows of a batch; `first_row` is the number of its first row in the file.
    fn from_batch(batch: &RecordBatch, file: &Path, first_row: u64) -> Result<Vec<Self>, Error> {
        let batch = conform(batch, &Self::TABLE.schema(), file)?;
        Self::from_columns(&Columns { batch: &batch, file, first_row })
    }
}

/// Refuses a batch that says that it was written by a newer version.
pub(crate) fn check_version(batch: &RecordBatch, file: &Path) -> Result<(), Error> {
    match batch.schema_ref().metadata().get(VERSION_KEY).and_then(|version| version.parse().ok()) {
        Some(found) if found > SCHEMA_VERSION => {
            Err(Error::NewerSchema { path: file.to_owned(), found, known: SCHEMA_VERSION })
        }
        _ => Ok(()),
    }
}

/// The batch with exactly the columns of `schema`: others are dropped, missing optional ones are null, other physical
/// types are cast, inside of lists and structs as well. The version that the batch states is kept.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef, file: &Path) -> Result<RecordBatch, Error> {
    let columns =
        schema.fields().iter().map(|field| conform_column(batch, field, file)).collect::<Result<Vec<_>, _>>()?;
    let mut metadata = schema.metadata().clone();
    if let Some(version) = batch.schema_ref().metadata().get(VERSION_KEY) {
        metadata.insert(VERSION_KEY.to_owned(), version.clone());
    }
    let schema = Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata));
    RecordBatch::try_new(schema, columns).map_err(Error::format(file))
}

fn conform_column(batch: &RecordBatch, field: &Field, file: &Path) -> Result<ArrayRef, Error> {
    let wrong = |detail: String| Error::Column { path: file.to_owned(), column: field.name().clone(), detail };
    let Some(column) = batch.column_by_name(field.name()) else {
        if field.is_nullable() {
            return Ok(new_null_array(field.data_type(), batch.num_rows()));
        }
        return Err(wrong(format!("missing; expected {}", field.data_type())));
    };
    let column = conform_array(column, field.data_type())
        .map_err(|error| wrong(format!("{error}; expected {}", field.data_type())))?;
    if !field.is_nullable() && column.null_count() > 0 {
        let row = (0..column.len()).find(|&row| column.is_null(row)).unwrap_or_default() as u64;
        let detail = "null, but the column must have a value".to_owned();
        return Err(Error::Cell { path: file.to_owned(), row, column: field.name().clone(), detail });
    }
    Ok(column)
}

/// The array as `wanted`.
fn conform_array(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == wanted {
        return Ok(array.clone());
    }
    match wanted {
        DataType::List(item) => {
            let lists = match array.data_type() {
                DataType::List(_) => array.clone(),
                DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                    arrow::compute::cast(array, &DataType::List(item.clone()))?
                }
                other => return Err(ArrowError::CastError(format!("{other} is not a list"))),
            };
            let lists = lists.as_list::<i32>();
            let items = conform_array(lists.values(), item.data_type())?;
            Ok(Arc::new(ListArray::try_new(item.clone(), lists.offsets().clone(), items, lists.nulls().cloned())?))
        }
        DataType::Struct(fields) => {
            let Some(structs) = array.as_struct_opt() else {
                return Err(ArrowError::CastError(format!("{} is not a struct", array.data_type())));
            };
            let field = |field: &Arc<Field>| match structs.column_by_name(field.name()) {
                Some(column) => conform_array(column, field.data_type()),
                None if field.is_nullable() => Ok(new_null_array(field.data_type(), structs.len())),
                None => Err(ArrowError::CastError(format!("its field {} is missing", field.name()))),
            };
            let columns = fields.iter().map(field).collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                structs.nulls().cloned(),
                structs.len(),
            )?))
        }
        plain => {
            let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
            arrow::compute::cast_with_options(array, plain, &options)
        }
    }
}

/// The columns of a batch that conforms to a table's schema.
pub(crate) struct Columns<'a> {
    batch: &'a RecordBatch,
    file: &'a Path,
    first_row: u64,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(batch: &'a RecordBatch, file: &'a Path, first_row: u64) -> Self {
        Self { batch, file, first_row }
    }

    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn typed<T>(&self, name: &str, pick: impl FnOnce(&'a ArrayRef) -> Option<&'a T>) -> Result<&'a T, Error> {
        self.batch.column_by_name(name).and_then(pick).ok_or_else(|| Error::Column {
            path: self.file.to_owned(),
            column: name.to_owned(),
            detail: "missing or of another type".to_owned(),
        })
    }

    pub(crate) fn int(&self, name: &str) -> Result<&'a Int64Array, Error> {
        self.typed(name, |column| column.as_primitive_opt::<Int64Type>())
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a StringArray, Error> {
        self.typed(name, |column| column.as_string_opt::<i32>())
    }

    pub(crate) fn list(&self, name: &str) -> Result<&'a ListArray, Error> {
        self.typed(name, |column| column.as_list_opt::<i32>())
    }

    /// An error about the cell in `row` of this batch.
    pub(crate) fn cell(&self, row: usize, column: &str, detail: impl Into<String>) -> Error {
        Error::Cell {
            path: self.file.to_owned(),
            row: self.first_row + row as u64,
            column: column.to_owned(),
            detail: detail.into(),
        }
    }

    fn narrow<T: TryFrom<i64>>(&self, column: &Int64Array, name: &str, row: usize) -> Result<T, Error> {
        let value = column.value(row);
        T::try_from(value).map_err(|_| self.cell(row, name, format!("{value} is out of range")))
    }

    fn addr(&self, column: &StringArray, name: &str, row: usize) -> Result<IpAddr, Error> {
        let value = column.value(row);
        value.parse().map_err(|_| self.cell(row, name, format!("`{value}` is not an IP address")))
    }
}

pub(crate) fn ints(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub(crate) fn optional_ints(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

pub(crate) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

pub(crate) fn optional_texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn displayed<T: std::fmt::Display>(values: impl ExactSizeIterator<Item = T>) -> ArrayRef {
    use std::fmt::Write as _;
    let mut builder = StringBuilder::with_capacity(values.len(), values.len() * 12);
    for value in values {
        // Writing to a string builder does not fail.
        let _ = write!(builder, "{value}");
        builder.append_value("");
    }
    Arc::new(builder.finish())
}

pub(crate) fn optional_int(column: &Int64Array, row: usize) -> Option<i64> {
    column.is_valid(row).then(|| column.value(row))
}

pub(crate) fn optional_text(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// Shares equal strings: names of nodes and hosts repeat in every row.
#[derive(Default)]
pub(crate) struct Interner {
    names: rustc_hash::FxHashSet<Arc<str>>,
}

impl Interner {
    pub(crate) fn get(&mut self, name: &str) -> Arc<str> {
        match self.names.get(name) {
            Some(shared) => shared.clone(),
            None => {
                let shared: Arc<str> = Arc::from(name);
                self.names.insert(shared.clone());
                shared
            }
        }
    }
}

impl TableRow for FaultRow {
    const TABLE: Table = Table::Faults;

    fn to_columns(rows: &[Self]) -> Vec<ArrayRef> {
        let field = Arc::new(crate::schema::text("item"));
        let mut nodes = ListBuilder::new(StringBuilder::new()).with_field(field);
        for row in rows {
            for node in &row.nodes {
                nodes.values().append_value(node);
            }
            nodes.append(true);
        }
        vec![
            ints(rows.iter().map(|row| row.fault_id)),
            texts(rows.iter().map(|row| row.phase.as_str())),
            texts(rows.iter().map(|row| row.kind.as_str())),
            texts(rows.iter().map(|row| row.description.as_str())),
            Arc::new(nodes.finish()),
            ints(rows.iter().map(|row| row.rules)),
            ints(rows.iter().map(|row| row.start_ns)),
            optional_ints(rows.iter().map(|row| row.stop_ns)),
            optional_ints(rows.iter().map(|row| row.kernel_hits)),
            texts(rows.iter().map(|row| row.outcome.as_str())),
            optional_texts(rows.iter().map(|row| row.error_text.as_deref())),
        ]
    }

    fn from_columns(columns: &Columns<'_>) -> Result<Vec<Self>, Error> {
        let (fault_id, rules, start_ns) = (columns.int("fault_id")?, columns.int("rules")?, columns.int("start_ns")?);
        let (stop_ns, kernel_hits) = (columns.int("stop_ns")?, columns.int("kernel_hits")?);
        let (phase, kind, description) = (columns.text("phase")?, columns.text("kind")?, columns.text("description")?);
        let (outcome, error_text) = (columns.text("outcome")?, columns.text("error_text")?);
        let nodes = columns.list("nodes")?;
        (0..columns.rows())
            .map(|row| {
                let names = nodes.value(row);
                let names = names.as_string_opt::<i32>().ok_or_else(|| columns.cell(row, "nodes", "not strings"))?;
                Ok(FaultRow {
                    fault_id: fault_id.value(row),
                    phase: phase.value(row).to_owned(),
                    kind: kind.value(row).to_owned(),
                    description: description.value(row).to_owned(),
                    nodes: names.iter().flatten().map(str::to_owned).collect(),
                    rules: rules.value(row),
                    start_ns: start_ns.value(row),
                    stop_ns: optional_int(stop_ns, row),
                    kernel_hits: optional_int(kernel_hits, row),
                    outcome: outcome.value(row).to_owned(),
                    error_text: optional_text(error_text, row).map(str::to_owned),
                })
            })
            .collect()
    }
}

/// The word for an IP protocol number.
fn protocol_name(protocol: u8) -> Cow<'static, str> {
    match protocol {
        6 => Cow::Borrowed("tcp"),
        17 => Cow::Borrowed("udp"),
        other => Cow::Owned(format!("ip-{other}")),
    }
}

fn protocol_from_name(name: &str) -> Option<u8> {
    match name {
        "tcp" => Some(6),
        "udp" => Some(17),
        other => other.strip_prefix("ip-")?.parse().ok(),
    }
}

impl TableRow for InjectionRow {
    const TABLE: Table = Table::Injections;

    fn to_columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            ints(rows.iter().map(|row| row.t_ns)),
            texts(rows.iter().map(|row| &*row.host)),
            ints(rows.iter().map(|row| row.cpu)),
            ints(rows.iter().map(|row| row.event_seq)),
            ints(rows.iter().map(|row| row.fault_id)),
            ints(rows.iter().map(|row| row.rule_id)),
            ints(rows.iter().map(|row| row.revision)),
            texts(rows.iter().map(|row| &*row.action)),
            displayed(rows.iter().map(|row| row.src_addr)),
            displayed(rows.iter().map(|row| row.dst_addr)),
            ints(rows.iter().map(|row| i64::from(row.src_port))),
            ints(rows.iter().map(|row| i64::from(row.dst_port))),
            optional_texts(rows.iter().map(|row| row.src_host.as_deref())),
            optional_texts(rows.iter().map(|row| row.dst_host.as_deref())),
            displayed(rows.iter().map(|row| protocol_name(row.protocol))),
            ints(rows.iter().map(|row| i64::from(row.tcp_flags))),
            ints(rows.iter().map(|row| i64::from(row.tcp_seq))),
            ints(rows.iter().map(|row| i64::from(row.length))),
            texts(rows.iter().map(|row| row.direction.name())),
            ints(rows.iter().map(|row| row.conn_ordinal)),
            ints(rows.iter().map(|row| row.packet_index)),
        ]
    }

    fn from_columns(columns: &Columns<'_>) -> Result<Vec<Self>, Error> {
        let (t_ns, cpu, event_seq) = (columns.int("t_ns")?, columns.int("cpu")?, columns.int("event_seq")?);
        let (fault_id, rule_id) = (columns.int("fault_id")?, columns.int("rule_id")?);
        let (revision, length) = (columns.int("revision")?, columns.int("length")?);
        let (src_port, dst_port) = (columns.int("src_port")?, columns.int("dst_port")?);
        let (tcp_flags, tcp_seq) = (columns.int("tcp_flags")?, columns.int("tcp_seq")?);
        let (conn_ordinal, packet_index) = (columns.int("conn_ordinal")?, columns.int("packet_index")?);
        let (host, action, protocol) = (columns.text("host")?, columns.text("action")?, columns.text("protocol")?);
        let (src_addr, dst_addr) = (columns.text("src_addr")?, columns.text("dst_addr")?);
        let (src_host, dst_host) = (columns.text("src_host")?, columns.text("dst_host")?);
        let direction = columns.text("direction")?;
        let mut names = Interner::default();
        (0..columns.rows())
            .map(|row| {
                Ok(InjectionRow {
                    t_ns: t_ns.value(row),
                    host: names.get(host.value(row)),
                    cpu: cpu.value(row),
                    event_seq: event_seq.value(row),
                    fault_id: fault_id.value(row),
                    rule_id: rule_id.value(row),
                    revision: revision.value(row),
                    action: action_from_name(action.value(row)),
                    src_addr: columns.addr(src_addr, "src_addr", row)?,
                    dst_addr: columns.addr(dst_addr, "dst_addr", row)?,
                    src_port: columns.narrow(src_port, "src_port", row)?,
                    dst_port: columns.narrow(dst_port, "dst_port", row)?,
                    src_host: optional_text(src_host, row).map(|name| names.get(name)),
                    dst_host: optional_text(dst_host, row).map(|name| names.get(name)),
                    protocol: protocol_from_name(protocol.value(row)).ok_or_else(|| {
                        let detail = format!("`{}` is not `tcp`, `udp` or `ip-<n>`", protocol.value(row));
                        columns.cell(row, "protocol", detail)
                    })?,
                    tcp_flags: columns.narrow(tcp_flags, "tcp_flags", row)?,
                    tcp_seq: columns.narrow(tcp_seq, "tcp_seq", row)?,
                    length: columns.narrow(length, "length", row)?,
                    direction: Direction::from_name(direction.value(row)).ok_or_else(|| {
                        let detail = format!("`{}` is not `request`, `reply` or `unknown`", direction.value(row));
                        columns.cell(row, "direction", detail)
                    })?,
                    conn_ordinal: conn_ordinal.value(row),
                    packet_index: packet_index.value(row),
                })
            })
            .collect()
    }
}

fn action_from_name(name: &str) -> Cow<'static, str> {
    if name == "drop" { Cow::Borrowed("drop") } else { Cow::Owned(name.to_owned()) }
}

/// A cookie as the column stores it: the same 64 bits, signed.
pub(crate) fn cookie_to_int(cookie: Option<u64>) -> Option<i64> {
    cookie.map(u64::cast_signed)
}

impl TableRow for ConnectionRow {
    const TABLE: Table = Table::Connections;

    fn to_columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            optional_ints(rows.iter().map(|row| cookie_to_int(row.conn_cookie))),
            optional_ints(rows.iter().map(|row| row.process)),
            optional_texts(rows.iter().map(|row| row.node.as_deref())),
            texts(rows.iter().map(|row| row.kind.name())),
            displayed(rows.iter().map(|row| row.local_addr)),
            displayed(rows.iter().map(|row| row.remote_addr)),
            ints(rows.iter().map(|row| i64::from(row.local_port))),
            ints(rows.iter().map(|row| i64::from(row.remote_port))),
            optional_ints(rows.iter().map(|row| row.opened_ns)),
            optional_ints(rows.iter().map(|row| row.closed_ns)),
        ]
    }

    fn from_columns(columns: &Columns<'_>) -> Result<Vec<Self>, Error> {
        let (conn_cookie, process) = (columns.int("conn_cookie")?, columns.int("process")?);
        let (node, kind) = (columns.text("node")?, columns.text("kind")?);
        let (local_addr, remote_addr) = (columns.text("local_addr")?, columns.text("remote_addr")?);
        let (local_port, remote_port) = (columns.int("local_port")?, columns.int("remote_port")?);
        let (opened_ns, closed_ns) = (columns.int("opened_ns")?, columns.int("closed_ns")?);
        let mut names = Interner::default();
        (0..columns.rows())
            .map(|row| {
                Ok(ConnectionRow {
                    conn_cookie: optional_int(conn_cookie, row).map(i64::cast_unsigned),
                    process: optional_int(process, row),
                    node: optional_text(node, row).map(|name| names.get(name)),
                    kind: ConnectionKind::from_name(kind.value(row)).ok_or_else(|| {
                        let detail = format!("`{}` is not `client` or `peer`", kind.value(row));
                        columns.cell(row, "kind", detail)
                    })?,
                    local_addr: columns.addr(local_addr, "local_addr", row)?,
                    remote_addr: columns.addr(remote_addr, "remote_addr", row)?,
                    local_port: columns.narrow(local_port, "local_port", row)?,
                    remote_port: columns.narrow(remote_port, "remote_port", row)?,
                    opened_ns: optional_int(opened_ns, row),
                    closed_ns: optional_int(closed_ns, row),
                })
            })
            .collect()
    }
}

impl TableRow for NodeRow {
    const TABLE: Table = Table::Nodes;

    fn to_columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            ints(rows.iter().map(|row| row.t_ns)),
            texts(rows.iter().map(|row| &*row.node)),
            texts(rows.iter().map(|row| &*row.event)),
            optional_texts(rows.iter().map(|row| row.detail.as_deref())),
        ]
    }

    fn from_columns(columns: &Columns<'_>) -> Result<Vec<Self>, Error> {
        let (t_ns, node) = (columns.int("t_ns")?, columns.text("node")?);
        let (event, detail) = (columns.text("event")?, columns.text("detail")?);
        let mut names = Interner::default();
        let rows = (0..columns.rows()).map(|row| NodeRow {
            t_ns: t_ns.value(row),
            node: names.get(node.value(row)),
            event: Cow::Owned(event.value(row).to_owned()),
            detail: optional_text(detail, row).map(str::to_owned),
        });
        Ok(rows.collect())
    }
}

impl TableRow for ClockRow {
    const TABLE: Table = Table::Clocks;

    fn to_columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![ints(rows.iter().map(|row| row.t_ns)), ints(rows.iter().map(|row| row.wall_ns))]
    }

    fn from_columns(columns: &Columns<'_>) -> Result<Vec<Self>, Error> {
        let (t_ns, wall_ns) = (columns.int("t_ns")?, columns.int("wall_ns")?);
        Ok((0..columns.rows()).map(|row| ClockRow { t_ns: t_ns.value(row), wall_ns: wall_ns.value(row) }).collect())
    }
}

impl TableRow for NameRow {
    const TABLE: Table = Table::Names;

    fn to_columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![ints(rows.iter().map(|row| row.id)), texts(rows.iter().map(|row| &*row.text))]
    }

    fn from_columns(columns: &Columns<'_>) -> Result<Vec<Self>, Error> {
        let (id, text) = (columns.int("id")?, columns.text("text")?);
        let row = |row| NameRow { id: id.value(row), text: Arc::from(text.value(row)) };
        Ok((0..columns.rows()).map(row).collect())
    }
}
