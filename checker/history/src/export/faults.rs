//! Faults as the operations of a nemesis.
//!
//! A nemesis logs what it does twice, before and after, both as `info`. A fault that was lifted becomes two such pairs if
//! its name has a counterpart that stops it (`start-partition`, `stop-partition`), else one that lasts as long.

use super::notation::parse;
use crate::rows::FaultRow;

/// One event of the nemesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FaultEvent {
    /// When, CLOCK_MONOTONIC.
    pub(super) t_ns: i64,
    /// What is done.
    pub(super) f: String,
    /// Its value in EDN.
    pub(super) value: Option<String>,
    pub(super) error_text: Option<String>,
}

/// The events of the faults, in order of time.
pub(super) fn fault_events(faults: &[FaultRow]) -> Vec<FaultEvent> {
    let mut events: Vec<FaultEvent> = faults.iter().flat_map(events_of).collect();
    events.sort_by_key(|event| event.t_ns);
    events
}

fn events_of(row: &FaultRow) -> Vec<FaultEvent> {
    let (f, value) = function(row);
    let event = |t_ns, f: &str, value: Option<&String>| FaultEvent {
        t_ns,
        f: f.to_owned(),
        value: value.cloned(),
        error_text: None,
    };
    let failed = |mut event: FaultEvent| {
        event.error_text = row.error_text.clone();
        event
    };
    let begun = event(row.start_ns, &f, value.as_ref());
    match (counterpart(&f), row.stop_ns) {
        (Some(stop), Some(stop_ns)) if row.error_text.is_none() => {
            vec![begun.clone(), begun, event(stop_ns, &stop, None), event(stop_ns, &stop, None)]
        }
        (Some(_), _) => vec![begun.clone(), failed(begun)],
        (None, stop_ns) => vec![begun, failed(event(stop_ns.unwrap_or(row.start_ns), &f, value.as_ref()))],
    }
}

/// Function and value of the operation that starts a fault. Rows that came from a nemesis begin with its function.
fn function(row: &FaultRow) -> (String, Option<String>) {
    let text = |text: &str| format!("{}", crate::import::edn::Edn::Str(text.to_owned()));
    if row.kind == "nemesis" {
        let (f, rest) = row.description.split_once(' ').unwrap_or((&row.description, ""));
        let value = match rest {
            "" => None,
            rest if parse(rest).is_some() => Some(rest.to_owned()),
            rest => Some(text(rest)),
        };
        return (f.to_owned(), value);
    }
    (format!("start-{}", row.kind), Some(text(&row.description)))
}

/// What stops what this function starts.
fn counterpart(f: &str) -> Option<String> {
    let (stem, rest) = f.split_once('-').map_or((f, None), |(stem, rest)| (stem, Some(rest)));
    let stop = match stem {
        "start" => "stop",
        "begin" => "end",
        "kill" => "start",
        "pause" => "resume",
        "partition" => "heal",
        "slow" => "fast",
        "shrink" => "grow",
        _ => return None,
    };
    Some(rest.map_or_else(|| stop.to_owned(), |rest| format!("{stop}-{rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str, description: &str, stop_ns: Option<i64>) -> FaultRow {
        FaultRow {
            fault_id: 0,
            phase: "faults".to_owned(),
            kind: kind.to_owned(),
            description: description.to_owned(),
            nodes: Vec::new(),
            rules: 1,
            start_ns: 10,
            stop_ns,
            kernel_hits: None,
            outcome: "applied".to_owned(),
            error_text: None,
        }
    }

    fn told(rows: &[FaultRow]) -> Vec<String> {
        let one = |event: FaultEvent| format!("{} {} {}", event.t_ns, event.f, event.value.unwrap_or_default());
        fault_events(rows).into_iter().map(one).collect()
    }

    #[test]
    fn a_fault_begins_and_ends_by_its_name() {
        let partition = row("partition", "n1 | n2", Some(20));
        let begun = "10 start-partition \"n1 | n2\"";
        assert_eq!(told(&[partition]), [begun, begun, "20 stop-partition ", "20 stop-partition "]);
        assert_eq!(told(&[row("kill", "kill n1", None)]), ["10 start-kill \"kill n1\"", "10 start-kill \"kill n1\""]);
        assert_eq!(told(&[row("nemesis", "bump {\"n1\" 5}", Some(11))]), ["10 bump {\"n1\" 5}", "11 bump {\"n1\" 5}"]);
        let two = [row("nemesis", "pause", Some(12)), row("nemesis", "heal [1] and more", None)];
        let order = [
            "10 pause ",
            "10 pause ",
            "10 heal \"[1] and more\"",
            "10 heal \"[1] and more\"",
            "12 resume ",
            "12 resume ",
        ];
        assert_eq!(told(&two), order);
    }
}
