//! The help of the shell of `fissure sql`.

use crate::exit::Failure;
use fissure_sql::{Session, table_functions};

const COMMANDS: &str = "\
Statements end with ; and may span lines: SELECT, SHOW, DESCRIBE, EXPLAIN.
  \\d               tables and views
  \\d NAME          columns of a table or view
  \\h TOPIC         help: times, runs, functions, output, memory, targets, examples, or the name of a function
  \\rows N          show N rows of a table; 0 shows all
  \\format FORM     table, csv, json, jsonl, parquet
  \\o FILE          answers go to the file; \\o alone: back to the screen
  \\timing          say the time of each statement, or not
  \\q, Ctrl-D       leave
  Ctrl-C           end the statement, or forget what was typed
  Tab              complete a name
";

const TOPICS: [(&str, &str); 6] = [
    (
        "times",
        "\
Columns *_ns are nanoseconds of CLOCK_MONOTONIC of the host; the table clocks relates them to wall time.
runs.started_ns is the start of the run on that clock: (invoke_ns - started_ns) / 1e9 are seconds of the run.
What never completed has null in complete_ns.
",
    ),
    (
        "runs",
        "\
In a folder of runs each table and view begins with run, scenario and seed: join on run as well.
A condition on these columns alone skips the files of other runs:
  select run, count(*) from ops where seed = 42 group by run;
The table runs has one row per run: verdict, counts, target, nodes, duration_ns, path.
Runs that are not sealed, damaged or of a newer version are left out; a note names them.
",
    ),
    (
        "output",
        "\
\\format csv, json, jsonl or parquet; \\o FILE sends answers to a file, which appears when \\o or \\q ends it.
The end of the file's name says the form unless \\format was used. A table on the screen shows \\rows N rows;
the others are counted if that takes no more than a second.
",
    ),
    (
        "memory",
        "\
`fissure sql --memory 4GiB` bounds the memory of a statement; by default half of the machine's, at most 16 GiB.
Sorting, grouping and joining put aside on disk what does not fit (--spill-dir), and remove it at the end.
",
    ),
    (
        "targets",
        "\
`fissure sql TARGET…`: a run, a folder of runs at any depth, Parquet files, other histories (EDN, JSON, .jepsen …),
or an URL: s3://bucket/path, gs://…, az://…, configured by the usual environment variables such as
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, AWS_ALLOW_HTTP.
",
    ),
    (
        "examples",
        "\
  select f, outcome, count(*) from ops group by 1, 2 order by 1, 2;
  select op_id, ms_after_invoke, src_host, dst_host, direction from op_injections order by t_ns;
  select * from latency order by second;
  explain analyze select count(*) from ops where key = 7;
docs/sql.md has many more, with their answers.
",
    ),
];

/// The help on a topic; without one, on the shell itself.
///
/// # Errors
/// When there is no such topic.
pub(crate) fn topic(wanted: &str, session: &Session) -> Result<String, Failure> {
    if wanted.is_empty() {
        return Ok(COMMANDS.to_owned());
    }
    let wanted = wanted.to_lowercase();
    if let Some((_, text)) = TOPICS.iter().find(|(name, _)| *name == wanted) {
        return Ok((*text).to_owned());
    }
    if wanted == "functions" {
        return Ok(functions(session));
    }
    if let Some(function) = table_functions().iter().find(|function| function.name == wanted) {
        return Ok(format!("{}: {}\n", function.usage, function.description));
    }
    if let Some(relation) = session.relations().iter().find(|relation| relation.name == wanted) {
        return Ok(format!("{}: {}; \\d {} lists its columns\n", relation.name, relation.description, relation.name));
    }
    let error = anyhow::anyhow!("there is no help on `{wanted}`");
    Err(Failure::usage(error).help(format!("topics: functions, {}", TOPICS.map(|(name, _)| name).join(", "))))
}

fn functions(session: &Session) -> String {
    let mut text = String::from("Table functions, in FROM:\n");
    let width = table_functions().iter().map(|function| function.usage.chars().count()).max().unwrap_or(0);
    for function in table_functions() {
        text.push_str(&format!("  {:<width$}  {}\n", function.usage, function.description));
    }
    text.push_str("All others:");
    let mut column = usize::MAX;
    for name in session.functions() {
        if column.saturating_add(name.len()) > 110 {
            text.push_str("\n ");
            column = 0;
        }
        text.push_str(&format!(" {name}"));
        column += name.len() + 1;
    }
    text.push('\n');
    text
}
