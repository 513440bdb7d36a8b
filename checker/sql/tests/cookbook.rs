//! The questions of `docs/sql.md`, asked of the sample store, and answered as the page says.
//!
//! `UPDATE_EXPECT=1` writes the answers into the page. In the page a comment `<!-- target: NAME -->` says what the questions
//! that follow are asked of: a run of the sample store, or `store` for all of them.

mod common;

use common::page::{Question, block, questions};
use fissure_sql::{Format, Session, format};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows of an answer that the page shows.
const ROWS_MAX: usize = 16;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql.md")
}

/// What is shown of an answer: the table, its rows cut off after a few.
fn shown(session: &Session, question: &Question) -> Result<String, String> {
    let place = format!("docs/sql.md:{}", question.line);
    let failed = |error: fissure_sql::SqlError| format!("{place}: {error} ({})", error.help().unwrap_or_default());
    let batches = session.query(&question.sql).map_err(failed)?;
    let rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    let text = format(&batches, Format::Table { limit: 0 }).unwrap();
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    if rows > ROWS_MAX {
        // Names of columns, the line below them, the rows.
        lines.truncate(2 + ROWS_MAX);
        lines.push(format!("({} more)", rows - ROWS_MAX));
    }
    if rows == 0 && std::env::var_os("UPDATE_EXPECT").is_none() {
        return Err(format!("{place}: an answer without rows shows nothing"));
    }
    Ok(lines.join("\n"))
}

#[test]
fn every_question_is_answered_as_the_page_says() {
    let store = tempfile::tempdir().unwrap();
    common::sample::store(store.path());
    let text = std::fs::read_to_string(page()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let questions = questions(&lines);
    let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
    let (mut answers, mut failures) = (Vec::new(), Vec::new());
    for question in &questions {
        let session = sessions.entry(question.target.clone()).or_insert_with(|| open(store.path(), &question.target));
        match shown(session, question) {
            Ok(answer) => answers.push(answer),
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(page(), updated(&lines, &questions, &answers)).unwrap();
        return;
    }
    assert!(questions.len() >= 25, "{} questions", questions.len());
    for (question, answer) in questions.iter().zip(&answers) {
        let told = question.answer.clone().map(|range| lines[range].join("\n"));
        assert_eq!(
            told.as_deref(),
            Some(answer.as_str()),
            "docs/sql.md:{}: the answer is another one; UPDATE_EXPECT=1 writes it down",
            question.line
        );
    }
}

/// A run by the end of its path, such as `register/s1`, or everything.
fn open(store: &Path, target: &str) -> Session {
    if target == "store" {
        return Session::open(store).unwrap();
    }
    let (scenario, seed) = target.split_once('/').expect("scenario and seed");
    let runs = std::fs::read_dir(store.join(scenario)).unwrap().map(|entry| entry.unwrap().path());
    let run = runs.into_iter().find(|path| path.to_str().unwrap().ends_with(&format!("-{seed}"))).unwrap();
    Session::open(&run).unwrap()
}

fn updated(lines: &[&str], questions: &[Question], answers: &[String]) -> String {
    let (mut text, mut at) = (String::new(), 0);
    let copy = |text: &mut String, from: usize, to: usize| {
        for line in &lines[from..to] {
            text.push_str(line);
            text.push('\n');
        }
    };
    for (question, answer) in questions.iter().zip(answers) {
        // The line is that of the opening fence, counted from one.
        let end = block(lines, question.line).end + 1;
        copy(&mut text, at, end);
        text.push_str("```text\n");
        text.push_str(answer);
        text.push_str("\n```\n");
        at = question.answer.as_ref().map_or(end, |range| range.end + 1);
    }
    copy(&mut text, at, lines.len());
    text
}

#[test]
fn the_page_is_taken_apart_and_put_together() {
    let page = "# A\n<!-- target: x/s1 -->\n```sql\nselect 1\n```\n```text\nold\n```\ntext\n```sql\nselect 2\n```\nend";
    let lines: Vec<&str> = page.lines().collect();
    let found = questions(&lines);
    assert_eq!(
        found.iter().map(|q| (q.target.as_str(), q.sql.as_str())).collect::<Vec<_>>(),
        [("x/s1", "select 1"), ("x/s1", "select 2")]
    );
    assert_eq!(
        updated(&lines, &found, &["one".to_owned(), "two".to_owned()]),
        "# A\n<!-- target: x/s1 -->\n```sql\nselect 1\n```\n```text\none\n```\ntext\n```sql\nselect 2\n```\n```text\ntwo\n```\nend\n"
    );
}
