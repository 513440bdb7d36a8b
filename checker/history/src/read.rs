//! Readers: rows and histories back from a sealed run, or from Parquet files by themselves.

use crate::columns::{Interner, TableRow};
use crate::error::Error;
use crate::manifest::MANIFEST_FILE;
use crate::ops_table;
use crate::parquet_file;
use crate::rows::{ClockRow, ConnectionRow, FaultRow, InjectionRow, NameRow, NodeRow, OpRow};
use crate::run_dir::RunDir;
use crate::schema::Table;
use crate::seal::Checksums;
use fissure_checker::History;
use fissure_checker::names::{NAMES_FIRST, Names};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The operations of a run, with the phase of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunHistory {
    /// The operations, with their invariants checked.
    pub history: History,
    /// Phase in which each was invoked, by `op_id`.
    pub phases: Vec<Arc<str>>,
}

/// The Parquet files of one table of a run, in order.
///
/// `path` may be a run folder, what [`RunDir::open`] understands, the folder of the tables, a folder of Parquet files, or
/// one file (the last two are taken to be `table`).
///
/// # Errors
/// If there is no such run or file, or the run is not sealed.
pub fn table_files(path: &Path, table: Table) -> Result<Vec<PathBuf>, Error> {
    if path.is_file() && path.extension().is_some_and(|extension| extension == "parquet") {
        return Ok(vec![path.to_owned()]);
    }
    if let Some(history) = history_dir(path)? {
        return parts_in(&history.join(table.name()));
    }
    if path.is_dir() {
        let files = parts_in(path)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    RunDir::open(path).map(|_| Vec::new())
}

/// The Parquet files of every table.
///
/// # Errors
/// As [`table_files`].
pub fn tables(path: &Path) -> Result<Vec<(Table, Vec<PathBuf>)>, Error> {
    Table::ALL.into_iter().map(|table| Ok((table, table_files(path, table)?))).collect()
}

/// The folder of the tables of a run; `None` if `path` is not a run.
fn history_dir(path: &Path) -> Result<Option<PathBuf>, Error> {
    if !path.join(MANIFEST_FILE).exists() {
        // The folder of the tables itself, or one that has it and nothing else.
        let own = path.join("history");
        if path.join(Table::Ops.name()).is_dir() {
            return Ok(Some(path.to_owned()));
        }
        if own.join(Table::Ops.name()).is_dir() {
            return Ok(Some(own));
        }
    }
    let Ok(run) = RunDir::open(path) else { return Ok(None) };
    let history = run.history_dir();
    if history.is_dir() {
        return Ok(Some(history));
    }
    if run.journal_dir().is_dir() {
        return Err(Error::NotSealed { path: run.path().to_owned() });
    }
    let detail = "its history is missing".to_owned();
    Err(Error::NoRun { path: run.path().to_owned(), detail })
}

fn parts_in(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("list", dir))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("list", dir))?.path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Checks the files of one table of a run against `checksums.json`, where there is one: none may be missing, added or
/// changed.
fn verify(path: &Path, table: Table, files: &[PathBuf]) -> Result<(), Error> {
    let Ok(Some(history)) = history_dir(path) else { return Ok(()) };
    let sums = match Checksums::read(&history) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let sums: Vec<_> = sums.files.iter().filter(|file| file.table == table.name()).collect();
    for sum in &sums {
        parquet_file::verify_whole(&history.join(&sum.path), sum)?;
    }
    let listed = |file: &PathBuf| sums.iter().any(|sum| history.join(&sum.path) == *file);
    match files.iter().find(|file| !listed(file)) {
        Some(path) => {
            let detail = "it is not among the files that were sealed".to_owned();
            Err(Error::Corrupt { path: path.clone(), place: "its name".to_owned(), detail })
        }
        None => Ok(()),
    }
}

/// Reads and checks the operations of a run, a folder of Parquet files, or one file.
///
/// # Errors
/// If a file is missing, damaged, or of another schema, or the operations break an invariant of a history. Errors name
/// the file, the row and the column.
pub fn read_history(path: &Path) -> Result<RunHistory, Error> {
    let files = table_files(path, Table::Ops)?;
    verify(path, Table::Ops, &files)?;
    let mut rows = Vec::new();
    for file in &files {
        for_each_op(file, |row| rows.push(row))?;
    }
    rows.sort_by_key(|row| row.op.invoke_seq);
    let (ops, phases) = rows.into_iter().map(|row| (row.op, row.phase)).unzip();
    let history = History::new(ops).map_err(|source| Error::Invariant { path: path.to_owned(), source })?;
    let history = history.with_names(read_names(path)?).with_real_time_order(order_is_known(&files)?);
    Ok(RunHistory { history, phases })
}

/// The files of `ops`, verified: the parts, which follow one another, then each late file by itself.
pub(crate) fn files_in_order(path: &Path) -> Result<Vec<Vec<PathBuf>>, Error> {
    let files = table_files(path, Table::Ops)?;
    verify(path, Table::Ops, &files)?;
    let is_part = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-"));
    let (parts, others): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(is_part);
    Ok(std::iter::once(parts).chain(others.into_iter().map(|file| vec![file])).collect())
}

/// Whether the order of events is that of real time: no file says otherwise.
pub(crate) fn order_is_known(files: &[PathBuf]) -> Result<bool, Error> {
    for file in files {
        if !parquet_file::footer_real_time_order(file)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads what the integers of a history stand for. None of them, if there is no table `names`.
///
/// # Errors
/// If a file is damaged or of another schema, or the integers are not those that [`Names`] gives.
pub fn read_names(path: &Path) -> Result<Arc<Names>, Error> {
    if path.is_file() {
        let texts = parquet_file::footer_names(path)?;
        return names_of(
            path,
            texts.into_iter().zip(NAMES_FIRST..).map(|(text, id)| NameRow { id, text: text.into() }),
        );
    }
    if history_dir(path)?.is_none() {
        return Ok(Arc::default());
    }
    names_of(path, read_rows::<NameRow>(path)?.into_iter())
}

fn names_of(path: &Path, rows: impl Iterator<Item = NameRow>) -> Result<Arc<Names>, Error> {
    let mut names = Names::default();
    for (row, NameRow { id, text }) in (0..).zip(rows) {
        let expected = names.number(&text);
        if id != expected {
            let detail = format!("`{text}` has the number {id}; expected {expected}");
            return Err(Error::Cell { path: path.to_owned(), row, column: "id".to_owned(), detail });
        }
    }
    Ok(Arc::new(names))
}

/// Calls `each` with every operation of one Parquet file, in its order.
pub(crate) fn for_each_op(file: &Path, mut each: impl FnMut(OpRow)) -> Result<(), Error> {
    let mut names = Interner::default();
    parquet_file::for_each_batch(file, Table::Ops, |first_row, batch| {
        ops_table::from_batch(&batch, file, first_row, &mut names)?.into_iter().for_each(&mut each);
        Ok(())
    })
}

/// The operations of a run, a folder of Parquet files, or one file, one by one in order of invocation, with bounded
/// memory: the parts follow one another, and late operations are merged in. Checks damage as [`read_history`] does, but
/// of the invariants of a history only the order.
///
/// ```no_run
/// for row in fissure_history::OpsReader::open("store/latest".as_ref())? {
///     println!("{}", row?.op.process);
/// }
/// # Ok::<(), fissure_history::Error>(())
/// ```
pub struct OpsReader {
    names: Arc<Names>,
    real_time_order: bool,
    /// Each of them sorted; the first has the parts, one after the other.
    streams: Vec<Stream>,
    /// Next invocation of each stream that has more, the least first.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    last_seq: Option<u64>,
    failed: bool,
}

/// Files that are read one after the other.
struct Stream {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<(PathBuf, parquet_file::Batches)>,
    rows: std::vec::IntoIter<OpRow>,
    names: Interner,
}

impl Stream {
    fn new(files: Vec<PathBuf>) -> Self {
        let rows = Vec::new().into_iter();
        Self { files: files.into_iter(), open: None, rows, names: Interner::default() }
    }

    /// Place of the next invocation; `None` at the end.
    fn peek(&mut self) -> Result<Option<u64>, Error> {
        loop {
            if let Some(row) = self.rows.as_slice().first() {
                return Ok(Some(row.op.invoke_seq));
            }
            if let Some((path, batches)) = &mut self.open {
                match batches.next_batch()? {
                    Some((first_row, batch)) => {
                        self.rows = ops_table::from_batch(&batch, path, first_row, &mut self.names)?.into_iter();
                    }
                    None => self.open = None,
                }
            } else {
                let Some(path) = self.files.next() else { return Ok(None) };
                let batches = parquet_file::Batches::open(&path, Table::Ops)?;
                self.open = Some((path, batches));
            }
        }
    }
}

impl OpsReader {
    /// Opens the operations.
    ///
    /// # Errors
    /// As [`read_history`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let files = files_in_order(path)?;
        let all: Vec<PathBuf> = files.iter().flatten().cloned().collect();
        let real_time_order = order_is_known(&all)?;
        let streams = files.into_iter().map(Stream::new).collect();
        let mut reader = Self {
            names: read_names(path)?,
            real_time_order,
            streams,
            next: BinaryHeap::new(),
            last_seq: None,
            failed: false,
        };
        for index in 0..reader.streams.len() {
            reader.queue(index)?;
        }
        Ok(reader)
    }

    /// What the integers of the operations stand for.
    #[must_use]
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// Whether the order of events is that of real time.
    #[must_use]
    pub fn has_real_time_order(&self) -> bool {
        self.real_time_order
    }

    fn queue(&mut self, index: usize) -> Result<(), Error> {
        if let Some(seq) = self.streams[index].peek()? {
            self.next.push(Reverse((seq, index)));
        }
        Ok(())
    }

    fn next_row(&mut self) -> Result<Option<OpRow>, Error> {
        let Some(Reverse((seq, index))) = self.next.pop() else { return Ok(None) };
        let row = self.streams[index].rows.next();
        if let Some(last) = self.last_seq.filter(|last| seq <= *last) {
            let path = self.streams[index].open.as_ref().map(|(path, _)| path.clone()).unwrap_or_default();
            let detail = format!("{seq} comes after {last}, but the file must be sorted by it");
            return Err(Error::Column { path, column: "invoke_seq".to_owned(), detail });
        }
        self.last_seq = Some(seq);
        self.queue(index)?;
        Ok(row)
    }
}

impl Iterator for OpsReader {
    type Item = Result<OpRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let row = self.next_row();
        self.failed = row.is_err();
        row.transpose()
    }
}

fn read_rows<R: TableRow>(path: &Path) -> Result<Vec<R>, Error> {
    let files = table_files(path, R::TABLE)?;
    verify(path, R::TABLE, &files)?;
    let mut rows = Vec::new();
    for file in &files {
        parquet_file::for_each_batch(file, R::TABLE, |first_row, batch| {
            rows.extend(R::from_batch(&batch, file, first_row)?);
            Ok(())
        })?;
    }
    Ok(rows)
}

/// Reads the faults of a run, in order of their start.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_faults(path: &Path) -> Result<Vec<FaultRow>, Error> {
    let mut rows: Vec<FaultRow> = read_rows(path)?;
    rows.sort_by_key(|row| row.start_ns);
    Ok(rows)
}

/// Reads the injections of a run, in order of time.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_injections(path: &Path) -> Result<Vec<InjectionRow>, Error> {
    let mut rows: Vec<InjectionRow> = read_rows(path)?;
    rows.sort_by_key(|row| row.t_ns);
    Ok(rows)
}

/// Reads the connections of a run, in order of their opening.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_connections(path: &Path) -> Result<Vec<ConnectionRow>, Error> {
    let mut rows: Vec<ConnectionRow> = read_rows(path)?;
    rows.sort_by_key(|row| (row.opened_ns.unwrap_or(i64::MIN), row.conn_cookie));
    Ok(rows)
}

/// Reads the life of the nodes of a run, in order of time.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_nodes(path: &Path) -> Result<Vec<NodeRow>, Error> {
    let mut rows: Vec<NodeRow> = read_rows(path)?;
    rows.sort_by_key(|row| row.t_ns);
    Ok(rows)
}

/// Reads the pairs of times of a run, in order of time.
///
/// # Errors
/// If a file is missing, damaged, or of another schema.
pub fn read_clocks(path: &Path) -> Result<Vec<ClockRow>, Error> {
    let mut rows: Vec<ClockRow> = read_rows(path)?;
    rows.sort_by_key(|row| row.t_ns);
    Ok(rows)
}
