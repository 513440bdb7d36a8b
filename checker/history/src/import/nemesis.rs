//! From the operations of a nemesis to rows of `faults`.
//!
//! A nemesis does one thing at a time and logs it twice, before and after, with the same function. A fault lasts from
//! the beginning of the operation that starts it to the end of the one that stops it; which stops which is told by the
//! names: `start` and `stop`, `start-x` and `stop-x`, `kill` and `start`, `pause` and `resume`, and so on. What nothing
//! stops by its name lasts as long as its own operation.

use super::edn::Edn;
use super::event::{Function, RawEvent, RawValue};
use crate::rows::FaultRow;
use rustc_hash::FxHashSet;

/// Longest description of a fault, in bytes.
const DESCRIPTION_MAX: usize = 2048;

/// Collects the operations of the nemesis.
#[derive(Debug, Default)]
pub(crate) struct Nemesis {
    rows: Vec<FaultRow>,
    /// The operation that has begun and not ended: its function, and its row if it made one.
    running: Option<(String, Option<usize>)>,
    /// Faults in force: what starts with their function, and the row.
    in_force: Vec<(String, usize)>,
    /// What ends the faults that were started so far, in force or not.
    known_enders: FxHashSet<String>,
    events: u64,
}

/// What ends the fault that a function starts, if its name tells.
fn enders(f: &str) -> Vec<String> {
    let pairs: [(&str, &[&str]); 7] = [
        ("start", &["stop", "heal", "end", "resume"]),
        ("begin", &["end", "stop"]),
        ("kill", &["start", "restart", "recover", "stop"]),
        ("pause", &["resume", "start", "unpause"]),
        ("partition", &["heal", "stop-partition", "stop", "unpartition"]),
        ("slow", &["fast", "fix", "stop"]),
        ("shrink", &["grow"]),
    ];
    let (stem, rest) = f.split_once('-').map_or((f, None), |(stem, rest)| (stem, Some(rest)));
    let Some((_, ends)) = pairs.iter().find(|(start, _)| *start == stem) else { return Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for end in *ends {
        if let Some(rest) = rest {
            names.push(format!("{end}-{rest}"));
        } else {
            names.push((*end).to_owned());
        }
    }
    names
}

impl Nemesis {
    /// Takes an event; `last_ns`: the time of the last event, for one that has none.
    pub(crate) fn event(&mut self, event: RawEvent, last_ns: i64) {
        self.events += 1;
        let t_ns = event.time_ns.unwrap_or(last_ns);
        let f = event.f.as_ref().map_or("", Function::name);
        if let Some((_, row)) = self.running.take_if(|(running, _)| running == f) {
            return self.ended(row, f, &event, t_ns);
        }
        // The one before never ended: what it started stays in force.
        let row = self.begun(f, &event, t_ns);
        self.running = Some((f.to_owned(), row));
    }

    /// An operation begins. One that stops a fault has no row of its own.
    fn begun(&mut self, f: &str, event: &RawEvent, t_ns: i64) -> Option<usize> {
        let stops = self.in_force.iter().any(|(started, _)| enders(started).iter().any(|end| end == f));
        if stops {
            return None;
        }
        self.rows.push(FaultRow {
            fault_id: self.rows.len() as i64,
            phase: "faults".to_owned(),
            kind: "nemesis".to_owned(),
            description: described(f, &event.value),
            nodes: nodes(&event.value),
            rules: 0,
            start_ns: t_ns,
            stop_ns: None,
            kernel_hits: None,
            outcome: "applied".to_owned(),
            error_text: None,
        });
        Some(self.rows.len() - 1)
    }

    fn ended(&mut self, row: Option<usize>, f: &str, event: &RawEvent, t_ns: i64) {
        let Some(row) = row else {
            let mut rows = Vec::new();
            self.in_force.retain(|(started, row)| {
                let ends = enders(started).iter().any(|end| end == f);
                if ends {
                    rows.push(*row);
                }
                !ends
            });
            for row in rows {
                self.rows[row].stop_ns = Some(t_ns);
            }
            return;
        };
        let text = described(f, &event.value);
        let fault = &mut self.rows[row];
        if fault.description != text && fault.description.len() < DESCRIPTION_MAX {
            fault.description = cut(format!("{}: {}", fault.description, value_text(&event.value)));
        }
        if fault.nodes.is_empty() {
            fault.nodes = nodes(&event.value);
        }
        if let Some(error) = &event.error_text {
            fault.outcome = "failed".to_owned();
            fault.error_text = Some(error.to_string());
        }
        let ends = enders(f);
        if ends.is_empty() || fault.error_text.is_some() || self.known_enders.contains(f) {
            fault.stop_ns = Some(t_ns);
        } else {
            self.known_enders.extend(ends);
            self.in_force.push((f.to_owned(), row));
        }
    }

    /// How many events there were.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The faults, in order of their start.
    pub(crate) fn into_rows(self) -> Vec<FaultRow> {
        self.rows
    }
}

fn value_text(value: &RawValue) -> String {
    match value {
        RawValue::Edn(value) => value.to_string(),
        RawValue::Call(call) => call.f().to_owned(),
        RawValue::Txn(_) => "txn".to_owned(),
    }
}

fn described(f: &str, value: &RawValue) -> String {
    match value {
        RawValue::Edn(Edn::Nil) => f.to_owned(),
        value => cut(format!("{f} {}", value_text(value))),
    }
}

fn cut(mut text: String) -> String {
    if text.len() > DESCRIPTION_MAX {
        let mut end = DESCRIPTION_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The nodes that a value names: the strings of a collection, or the keys of a map.
fn nodes(value: &RawValue) -> Vec<String> {
    let RawValue::Edn(value) = value else { return Vec::new() };
    let text = |value: &Edn| if let Edn::Str(text) = value { Some(text.clone()) } else { None };
    let mut nodes: Vec<String> = match value.untagged() {
        Edn::Map(pairs) => pairs.iter().filter_map(|(key, _)| text(key)).collect(),
        other => other.items().unwrap_or_default().iter().filter_map(text).collect(),
    };
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}
