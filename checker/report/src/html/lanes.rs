//! The operations around a finding: one lane per process, the faults above, the dropped packets below.

use super::axis::{Axis, n, ticks};
use super::latency::about;
use crate::input::{FaultLine, ReportInput};
use crate::summary;
use crate::words::{self, count, cut, printable};
use fissure_checker::{Call, Finding, Operation, Outcome};
use maud::{Markup, html};
use std::collections::BTreeSet;

const WIDTH: f64 = 1_140.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 1_128.0;
const LANE_HEIGHT: f64 = 36.0;
const FAULT_HEIGHT: f64 = 14.0;
const TOP: f64 = 20.0;
const MS: i64 = 1_000_000;
/// Lanes of processes, at most.
const LANES_MAX: usize = 10;
/// Operations drawn beside those of the finding.
const OTHERS_MAX: usize = 300;
/// Faults that are drawn.
const FAULTS_MAX: usize = 6;
/// Operations of the finding that are drawn.
const NAMED_MAX: usize = 24;

/// What is drawn of one finding.
struct Scene<'a> {
    input: &'a ReportInput,
    ops: &'a [(String, &'a Operation)],
    axis: Axis,
    others: Vec<&'a Operation>,
    lanes: Vec<i64>,
    faults: Vec<&'a FaultLine>,
}

/// The picture; nothing if the finding names no known operation. `number` makes names within the page unique.
pub(super) fn figure(finding: &Finding, ops: &[(String, &Operation)], input: &ReportInput, number: usize) -> Markup {
    let named = &ops[..ops.len().min(NAMED_MAX)];
    let Some(scene) = Scene::new(finding, named, input) else { return html! {} };
    let lanes_top = TOP + FAULT_HEIGHT * scene.faults.len() as f64 + 8.0;
    let packets_top = lanes_top + LANE_HEIGHT * scene.lanes.len() as f64 + 4.0;
    let bottom = packets_top + 22.0;
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {}", n(bottom + 34.0))) role="img" aria-label=(format!("operations of {}", finding.id)) {
                (scene.folds(bottom))
                (scene.time(bottom))
                (scene.fault_lanes())
                (scene.process_lanes(lanes_top))
                (scene.packets(finding, packets_top))
                (scene.edges(finding, lanes_top, number))
                (scene.names(lanes_top))
            }
            figcaption { (scene.caption(finding, ops.len())) }
        }
    }
}

fn keys(op: &Operation) -> Vec<i64> {
    match &op.call {
        Call::Txn(mops) => mops.iter().filter_map(fissure_checker::Mop::key).collect(),
        call => call.key().into_iter().collect(),
    }
}

fn end(op: &Operation) -> i64 {
    op.complete_ns.unwrap_or(op.invoke_ns)
}

impl<'a> Scene<'a> {
    fn new(finding: &Finding, ops: &'a [(String, &'a Operation)], input: &'a ReportInput) -> Option<Self> {
        let zero = input.started_ns;
        let spans = ops.iter().map(|(_, op)| {
            let pad = ((end(op) - op.invoke_ns) / 4).max(2 * MS);
            (op.invoke_ns - zero - pad, end(op) - zero + pad)
        });
        let axis = Axis::folded(spans.collect(), LEFT, RIGHT)?;
        let (from, to) = axis.ends();
        let wanted: BTreeSet<i64> = match finding.key {
            Some(key) => BTreeSet::from([key]),
            None if finding.cycle.is_empty() => ops.iter().flat_map(|(_, op)| keys(op)).collect(),
            None => finding.cycle.iter().filter_map(|edge| edge.key).collect(),
        };
        let is_txn = ops.iter().any(|(_, op)| matches!(op.call, Call::Txn(_)));
        let others: Vec<&Operation> = input
            .history
            .ops()
            .iter()
            .filter(|op| matches!(op.call, Call::Txn(_)) == is_txn && keys(op).iter().any(|key| wanted.contains(key)))
            .filter(|op| end(op) - zero >= from && op.invoke_ns - zero <= to)
            .filter(|op| !ops.iter().any(|(_, known)| known.op_id == op.op_id))
            .filter(|op| axis.shows(op.invoke_ns - zero, end(op) - zero))
            .take(OTHERS_MAX)
            .collect();
        let faults: Vec<&FaultLine> = summary::in_force(input, from, to).into_iter().take(FAULTS_MAX).collect();
        let lanes = lanes(ops, &others);
        Some(Self { input, ops, axis, others, lanes, faults })
    }

    fn x(&self, ns: i64) -> f64 {
        self.axis.x(ns - self.input.started_ns)
    }

    fn lane(&self, process: i64) -> Option<usize> {
        self.lanes.iter().position(|lane| *lane == process)
    }

    fn folds(&self, bottom: f64) -> Markup {
        html! {
            @for (from, to) in &self.axis.folds {
                @let (left, right) = (self.axis.x(*from), self.axis.x(*to));
                rect class="fold" x=(n(left)) y="4" width=(n(right - left)) height=(n(bottom - 4.0)) {}
                text class="faint" x=(n((left + right) / 2.0)) y=(n(bottom + 28.0)) text-anchor="middle" {
                    "⋯ " (words::span(to - from)) " ⋯"
                }
            }
        }
    }

    fn time(&self, bottom: f64) -> Markup {
        html! {
            @for (from, to) in self.axis.stretches() {
                @let width = self.axis.x(to) - self.axis.x(from);
                @for at in ticks(from, to, ((width / 110.0) as i64).max(1)) {
                    path class="grid" d=(format!("M{} 14V{}", n(self.axis.x(at)), n(bottom))) {}
                    text class="faint" x=(n(self.axis.x(at))) y=(n(bottom + 14.0)) text-anchor="middle" { (moment(at, to - from)) }
                }
            }
        }
    }

    fn fault_lanes(&self) -> Markup {
        html! {
            @for (lane, fault) in self.faults.iter().enumerate() {
                @let y = TOP + FAULT_HEIGHT * lane as f64;
                @let left = self.axis.x(fault.start_ns);
                @let right = fault.stop_ns.map_or(RIGHT, |stop| self.axis.x(stop));
                text x=(LEFT - 8.0) y=(n(y + 10.0)) text-anchor="end" { (cut(&printable(&fault.name), 24)) title { (about(fault)) } }
                rect class="asked" x=(n(left)) y=(n(y + 1.0)) width=(n((right - left).max(2.0))) height=(n(FAULT_HEIGHT - 3.0)) {
                    title { (about(fault)) }
                }
            }
        }
    }

    fn process_lanes(&self, top: f64) -> Markup {
        html! {
            @for (lane, process) in self.lanes.iter().enumerate() {
                @let y = top + LANE_HEIGHT * lane as f64;
                path class="grid" d=(format!("M{LEFT} {}H{RIGHT}", n(y + LANE_HEIGHT - 9.0))) {}
                text x=(LEFT - 8.0) y=(n(y + LANE_HEIGHT - 12.0)) text-anchor="end" { "process " (process) (self.node_of(*process)) }
            }
            @for op in &self.others { (self.box_of(op, top, "other")) }
            @for (_, op) in self.ops { (self.box_of(op, top, "named")) }
        }
    }

    fn node_of(&self, process: i64) -> String {
        let all = self.ops.iter().map(|(_, op)| *op).chain(self.others.iter().copied());
        let node = all.filter(|op| op.process == process).find_map(|op| op.node.as_deref());
        node.map_or(String::new(), |node| format!(" · {}", cut(&printable(node), 12)))
    }

    fn box_of(&self, op: &Operation, top: f64, class: &str) -> Markup {
        let Some(lane) = self.lane(op.process) else { return html! {} };
        let y = top + LANE_HEIGHT * lane as f64 + LANE_HEIGHT - 24.0;
        // Nobody knows when an info took effect, if ever: it stays open to the right.
        let right = if op.outcome == Outcome::Info { RIGHT } else { self.x(end(op)) };
        let (left, least) = (self.x(op.invoke_ns), if class == "named" { 5.0 } else { 2.0 });
        html! {
            rect class=(format!("op {class} {}", op.outcome.name())) x=(n(left)) y=(n(y)) width=(n((right - left).max(least)))
                height="14" rx="2" {
                title { (self.title(op)) }
            }
        }
    }

    fn title(&self, op: &Operation) -> String {
        let zero = self.input.started_ns;
        let error = op.error_code.as_deref().map_or(String::new(), |code| format!(" ({code})"));
        let end = op.complete_ns.map_or("no completion".to_owned(), |ns| format!("{} s", words::seconds(ns - zero)));
        let (start, outcome) = (words::seconds(op.invoke_ns - zero), op.outcome.name());
        cut(
            &printable(&format!(
                "op {}, {outcome}{error}, {start} s – {end}: {}",
                op.op_id,
                words::call(op, self.input)
            )),
            400,
        )
    }

    /// The names of the finding's operations above their boxes; those that would meet are left to the table.
    fn names(&self, top: f64) -> Markup {
        let mut taken: Vec<(usize, f64, f64)> = Vec::new();
        let mut labels = Vec::new();
        for (name, op) in self.ops {
            let Some(lane) = self.lane(op.process) else { continue };
            let at = self.x(op.invoke_ns);
            for text in [format!("{name}: {}", cut(&words::call(op, self.input), 46)), name.clone()] {
                let text = printable(&text);
                let width = text.chars().count() as f64 * 6.3;
                let left = if at + width > RIGHT { (RIGHT - width).max(LEFT) } else { at };
                if taken.iter().any(|(known, from, to)| *known == lane && left < *to && left + width > *from) {
                    continue;
                }
                taken.push((lane, left, left + width));
                labels.push((left, top + LANE_HEIGHT * lane as f64 + LANE_HEIGHT - 27.0, text));
                break;
            }
        }
        html! {
            @for (x, y, text) in labels { text class="name halo" x=(n(x)) y=(n(y)) { (text) } }
        }
    }

    fn packets(&self, finding: &Finding, top: f64) -> Markup {
        let shown = self.input.packets.get(&finding.id).map(|list| list.shown.as_slice()).unwrap_or_default();
        html! {
            text x=(LEFT - 8.0) y=(n(top + 12.0)) text-anchor="end" { "packets dropped" }
            path class="grid" d=(format!("M{LEFT} {}H{RIGHT}", n(top + 9.0))) {}
            @for packet in shown {
                @let class = if packet.op_id.is_some() { "packet own" } else { "packet" };
                path class=(class) d=(format!("M{} {}v14", n(self.axis.x(packet.t_ns)), n(top + 2.0))) {
                    title { (printable(&format!("{} s: {} -> {}", words::seconds(packet.t_ns), packet.src, packet.dst))) }
                }
            }
        }
    }

    /// The cycle as arrows between the boxes.
    fn edges(&self, finding: &Finding, top: f64, number: usize) -> Markup {
        let place = |op_id: u64| {
            let (_, op) = self.ops.iter().find(|(_, op)| op.op_id == op_id)?;
            let y = top + LANE_HEIGHT * self.lane(op.process)? as f64 + LANE_HEIGHT - 17.0;
            Some((self.x(op.invoke_ns), self.x(end(op)), y))
        };
        let mut arrows = Vec::new();
        for (step, edge) in finding.cycle.iter().take(12).enumerate() {
            let (Some(from), Some(to)) = (place(edge.from), place(edge.to)) else { continue };
            // From edge to edge, bowed to alternate sides, so that a cycle of two does not lie upon itself.
            let (x1, x2) = if from.0 <= to.0 { (from.1, to.0) } else { (from.0, to.1) };
            let bow = 34.0 + (x2 - x1).abs() / 30.0;
            let bend = if step % 2 == 0 { bow } else { -bow };
            let (mx, my) = (f64::midpoint(x1, x2), f64::midpoint(from.2, to.2) + bend);
            let path = format!("M{} {}Q{} {} {} {}", n(x1), n(from.2), n(mx), n(my), n(x2), n(to.2));
            let key = edge.key.map_or(String::new(), |key| format!(" key {key}"));
            arrows.push((
                path,
                mx,
                f64::midpoint(my, f64::midpoint(from.2, to.2)),
                format!("{}{key}", edge.kind.name()),
            ));
        }
        html! {
            @if !arrows.is_empty() {
                defs {
                    marker id=(format!("head{number}")) viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" {
                        path class="head" d="M0 0L8 4L0 8z" {}
                    }
                }
            }
            @for (path, x, y, label) in arrows {
                path class="edge" d=(path) marker-end=(format!("url(#head{number})")) {}
                text class="halo" x=(n(x)) y=(n(y + 4.0)) text-anchor="middle" { (label) }
            }
        }
    }

    fn caption(&self, finding: &Finding, named: usize) -> String {
        let mut text =
            "Boxes run from invocation to completion: filled ok, outlined fail, dashed info (open to the right). \
                        Outlined in red: the operations of this finding. "
                .to_owned();
        let processes: BTreeSet<i64> = self.others.iter().map(|op| op.process).collect();
        let hidden = processes.iter().filter(|process| self.lane(**process).is_none()).count();
        if self.others.len() == OTHERS_MAX {
            text.push_str(&format!("Of the others on the same keys only the first {OTHERS_MAX} are drawn. "));
        }
        if hidden > 0 {
            text.push_str(&format!(
                "Of {} processes that worked on the same keys {hidden} have no lane. ",
                processes.len()
            ));
        }
        if named > self.ops.len() {
            text.push_str(&format!("Only the first {} operations of the finding are drawn. ", self.ops.len()));
        }
        if !self.axis.folds.is_empty() {
            text.push_str("Grey stretches are folded: nothing of this finding happens there. ");
        }
        let list = self.input.packets.get(&finding.id);
        if let Some(list) = list.filter(|list| list.total > list.shown.len() as u64) {
            text.push_str(&format!(
                "Of {} the first {} are marked.",
                count(list.total, "dropped packet"),
                list.shown.len()
            ));
        }
        text
    }
}

/// Processes of the finding's operations, in their order, then the busiest of the others.
fn lanes(ops: &[(String, &Operation)], others: &[&Operation]) -> Vec<i64> {
    let mut lanes: Vec<i64> = Vec::new();
    for (_, op) in ops {
        if !lanes.contains(&op.process) {
            lanes.push(op.process);
        }
    }
    let mut busy: std::collections::BTreeMap<i64, usize> = std::collections::BTreeMap::new();
    for op in others {
        *busy.entry(op.process).or_default() += 1;
    }
    let mut rest: Vec<(std::cmp::Reverse<usize>, i64)> = busy
        .into_iter()
        .filter(|(process, _)| !lanes.contains(process))
        .map(|(process, number)| (std::cmp::Reverse(number), process))
        .collect();
    rest.sort_unstable();
    let room = LANES_MAX.saturating_sub(lanes.len());
    lanes.extend(rest.into_iter().take(room).map(|(_, process)| process));
    lanes.truncate(LANES_MAX.max(NAMED_MAX));
    lanes
}

/// A moment with as many digits as its stretch needs.
fn moment(ns: i64, stretch: i64) -> String {
    let digits = match stretch {
        10_000_000_000.. => 0,
        1_000_000_000.. => 1,
        100_000_000.. => 2,
        10_000_000.. => 3,
        _ => 4,
    };
    format!("{:.digits$} s", ns as f64 / 1e9)
}
