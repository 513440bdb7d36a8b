//! The cycle of a finding as a picture: a file of its own, or a figure of the page.
//!
//! Transactions stand in a column in the order of the cycle. An arrow leads down from each to the next; the last one,
//! that makes the contradiction, leads back up along the side. Nothing overlaps, however long the cycle, and nothing is
//! placed by an outside program. Kinds of arrows differ in colour, in dashes and in their label.

use crate::html::n;
use crate::words::{self, count, cut, named_in, operation_in, printable, seconds};
use fissure_checker::{Call, Outcome};
use fissure_checker::{Edge, EdgeKind, Finding, History, Mop, Names, Operation};
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeSet;

/// The picture's own style; in the page it stands once for all pictures.
pub(crate) const STYLE: &str = include_str!("cycle/cycle.css");

const WIDTH: f64 = 900.0;
const BOX_LEFT: f64 = 12.0;
const BOX_WIDTH: f64 = 640.0;
const BOX_RIGHT: f64 = BOX_LEFT + BOX_WIDTH;
/// Where the arrow that leads back runs.
const BACK: f64 = BOX_RIGHT + 36.0;
const ARROW: f64 = BOX_LEFT + 110.0;
const TOP: f64 = 12.0;
const TITLE_HEIGHT: f64 = 24.0;
const LINE_HEIGHT: f64 = 17.0;
const GAP: f64 = 50.0;
/// Transactions that are drawn; of a longer cycle the first ones and the last ones.
const BOXES_MAX: usize = 24;
const LAST_BOXES: usize = 3;
/// Micro-operations of a transaction that are written into its box.
const MOPS_MAX: usize = 8;
const MOP_LENGTH: usize = 86;
const LABEL_LENGTH: usize = 30;
const TITLE_LENGTH: usize = 2_000;

/// The cycle of a finding as an SVG file; `None` if the finding is no cycle.
///
/// Times are seconds since [`History::origin_ns`]. Operations that the history does not have are drawn by their number.
#[must_use]
pub fn cycle_svg(finding: &Finding, history: &History) -> Option<String> {
    let picture = Picture::new(finding, history)?;
    let height = n(picture.height());
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" class="cycle" width=(n(WIDTH)) height=(height)
            viewBox=(format!("0 0 {} {height}", n(WIDTH))) role="img" {
            title { (printable(&finding.id)) ": " (printable(&finding.summary)) }
            style { (PreEscaped(STYLE)) }
            rect class="paper" width=(n(WIDTH)) height=(height) {}
            (picture.drawn())
        }
    };
    Some(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", svg.into_string()))
}

/// The same within the page; nothing if the finding is no cycle.
pub(crate) fn figure(finding: &Finding, history: &History) -> Markup {
    let Some(picture) = Picture::new(finding, history) else { return html! {} };
    html! {
        figure {
            svg class="cycle" viewBox=(format!("0 0 {} {}", n(WIDTH), n(picture.height()))) role="img"
                aria-label=(printable(&format!("cycle of {}", finding.id))) { (picture.drawn()) }
            figcaption {
                "Each transaction must come before the next one, and the last before the first. In bold: the \
                 micro-operations that make it so."
            }
        }
    }
}

/// One box of the column.
struct Drawn<'a> {
    name: String,
    op_id: u64,
    op: Option<&'a Operation>,
    /// What is written below the title, and whether it makes an edge.
    lines: Vec<(String, bool)>,
    top: f64,
    /// Transactions that are left out before this one.
    skipped: usize,
}

impl Drawn<'_> {
    fn height(&self) -> f64 {
        TITLE_HEIGHT + LINE_HEIGHT * self.lines.len() as f64 + if self.lines.is_empty() { 2.0 } else { 8.0 }
    }

    fn bottom(&self) -> f64 {
        self.top + self.height()
    }
}

struct Picture<'a> {
    finding: &'a Finding,
    history: &'a History,
    /// Place in the cycle of each box.
    places: Vec<usize>,
    boxes: Vec<Drawn<'a>>,
}

impl<'a> Picture<'a> {
    fn new(finding: &'a Finding, history: &'a History) -> Option<Self> {
        let length = finding.cycle.len();
        if length == 0 {
            return None;
        }
        let named = named_in(finding, history);
        let left_out = if length > BOXES_MAX { BOXES_MAX - LAST_BOXES..length - LAST_BOXES } else { length..length };
        let places: Vec<usize> = (0..length).filter(|place| !left_out.contains(place)).collect();
        let mut boxes: Vec<Drawn<'a>> = Vec::with_capacity(places.len());
        for place in &places {
            let op_id = finding.cycle[*place].from;
            let name = named.iter().find(|(_, op)| op.op_id == op_id).map(|(name, _)| name.clone());
            let op = operation_in(history, op_id);
            boxes.push(Drawn {
                name: name.filter(|name| !name.starts_with("op ")).unwrap_or_else(|| format!("T{}", place + 1)),
                op_id,
                op,
                lines: op.map_or_else(Vec::new, |op| lines(op, &edges_at(finding, *place), history.names())),
                top: boxes.last().map_or(TOP, |above| above.bottom() + GAP),
                skipped: if *place == left_out.end { left_out.len() } else { 0 },
            });
        }
        Some(Self { finding, history, places, boxes })
    }

    fn height(&self) -> f64 {
        // Room for the label of the arrow that leads back, however low the boxes are.
        self.boxes.last().map_or(0.0, Drawn::bottom).max(96.0) + TOP
    }

    fn drawn(&self) -> Markup {
        let last = self.boxes.len() - 1;
        html! {
            @for (number, of) in self.boxes.iter().enumerate() {
                (self.transaction(of))
                @if number < last { (self.down(number)) }
            }
            (self.back())
        }
    }

    fn transaction(&self, of: &Drawn<'_>) -> Markup {
        let outcome = of.op.map_or("", |op| op.outcome.name());
        html! {
            g class=(format!("txn {outcome}")) {
                title { (self.hover(of)) }
                rect class="box" x=(n(BOX_LEFT)) y=(n(of.top)) width=(n(BOX_WIDTH)) height=(n(of.height())) rx="4" {}
                rect class="side" x=(n(BOX_LEFT)) y=(n(of.top)) width="5" height=(n(of.height())) {}
                text class="head" x=(n(BOX_LEFT + 14.0)) y=(n(of.top + 17.0)) {
                    tspan class="name" { (printable(&of.name)) }
                    tspan class="faint" dx="10" { (printable(&cut(&self.whose(of), 90))) }
                }
                @for (number, (line, counts)) in of.lines.iter().enumerate() {
                    text class=(if *counts { "mop" } else { "mop faint" }) x=(n(BOX_LEFT + 14.0))
                        y=(n(of.top + TITLE_HEIGHT + LINE_HEIGHT * number as f64 + 12.0)) { (line) }
                }
            }
        }
    }

    /// Which operation it is, by whom, when.
    fn whose(&self, of: &Drawn<'_>) -> String {
        let Some(op) = of.op else { return format!("operation {}", of.op_id) };
        let at = |ns: i64| seconds(ns - self.history.origin_ns());
        let node = op.node.as_deref().map_or(String::new(), |node| format!(" on {node}"));
        let end = match (op.outcome, op.complete_ns) {
            (Outcome::Info, _) | (_, None) => "…".to_owned(),
            (_, Some(ns)) => at(ns),
        };
        let outcome = op.outcome.name();
        format!("operation {} · process {}{node} · {outcome} · {}–{end} s", op.op_id, op.process, at(op.invoke_ns))
    }

    fn hover(&self, of: &Drawn<'_>) -> String {
        let Some(op) = of.op else { return "not in this history".to_owned() };
        let all: Vec<String> =
            mops(op).iter().map(|mop| words::micro_operation(op, mop, self.history.names())).collect();
        cut(&printable(&format!("{}: {}", self.whose(of), all.join(", "))), TITLE_LENGTH)
    }

    /// The arrow from a box to the one below.
    fn down(&self, number: usize) -> Markup {
        let (above, below) = (&self.boxes[number], &self.boxes[number + 1]);
        let (from, to) = (above.bottom(), below.top);
        let middle = f64::midpoint(from, to);
        if below.skipped > 0 {
            return html! {
                path class="edge skipped" d=(format!("M{} {}V{}", n(ARROW), n(from), n(to))) {}
                text class="label faint" x=(n(ARROW + 14.0)) y=(n(middle + 4.0)) {
                    (count(below.skipped as u64, "transaction")) " of the cycle not drawn"
                }
            };
        }
        let edge = &self.finding.cycle[self.places[number]];
        let kind = edge.kind.name();
        html! {
            g class=(kind) {
                title { (self.because(self.places[number])) }
                path class="edge" d=(format!("M{} {}V{}", n(ARROW), n(from), n(to - 7.0))) {}
                path class="tip" d=(format!("M{} {}h10l-5 8z", n(ARROW - 5.0), n(to - 9.0))) {}
                text class="label" x=(n(ARROW + 14.0)) y=(n(middle + 4.0)) {
                    tspan class="kind" { (kind) }
                    tspan dx="8" { (cut(&self.label(edge), 80)) }
                }
            }
        }
    }

    /// The arrow from the last box to the first.
    fn back(&self) -> Markup {
        let (first, last) = (&self.boxes[0], &self.boxes[self.boxes.len() - 1]);
        let (from, to) = (last.top + last.height() / 2.0, first.top + first.height() / 2.0);
        // A cycle of one box would lie upon itself.
        let (from, to) = if self.boxes.len() == 1 { (from + 8.0, to - 8.0) } else { (from, to) };
        let place = self.finding.cycle.len() - 1;
        let edge = &self.finding.cycle[place];
        let (kind, middle) = (edge.kind.name(), f64::midpoint(from, to));
        html! {
            g class=(kind) {
                title { (self.because(place)) }
                path class="edge" d=(format!("M{} {}H{}V{}H{}", n(BOX_RIGHT), n(from), n(BACK), n(to), n(BOX_RIGHT + 7.0))) {}
                path class="tip" d=(format!("M{} {}v10l-8 -5z", n(BOX_RIGHT + 9.0), n(to - 5.0))) {}
                text class="label" x=(n(BACK + 12.0)) y=(n(middle - 4.0)) { tspan class="kind" { (kind) } }
                text class="label" x=(n(BACK + 12.0)) y=(n(middle + 13.0)) { (cut(&self.label(edge), LABEL_LENGTH)) }
            }
        }
    }

    /// Over which key and values two transactions meet, or by how much time one was first.
    fn label(&self, edge: &Edge) -> String {
        let names = self.history.names();
        let value = |value: Option<i64>| value.map_or("nothing".to_owned(), |value| names.display(value).to_string());
        if let Some(key) = edge.key {
            let (key, before, after) = (names.display(key), value(edge.value), value(edge.value_next));
            return printable(
                &if edge.kind == EdgeKind::Wr && (edge.value == edge.value_next || edge.value.is_none()) {
                    format!("key {key}: {after}")
                } else if edge.value_next.is_none() {
                    format!("key {key}: {before}")
                } else {
                    format!("key {key}: {before} → {after}")
                },
            );
        }
        let (from, to) = (operation_in(self.history, edge.from), operation_in(self.history, edge.to));
        match (edge.kind, from, to) {
            (EdgeKind::Process, Some(op), _) => format!("process {}", op.process),
            (EdgeKind::Realtime, Some(from), Some(to)) => match from.complete_ns {
                Some(end) => format!("earlier by {}", words::span(to.invoke_ns.saturating_sub(end))),
                None => String::new(),
            },
            _ => String::new(),
        }
    }

    /// The sentence of the explanation about one step.
    fn because(&self, place: usize) -> String {
        let length = self.finding.cycle.len();
        let head = format!("T{} < T{}, because ", place + 1, (place + 1) % length + 1);
        let told = self.finding.explanation.iter().find_map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("However, ").unwrap_or(line);
            line.starts_with(&head).then_some(line)
        });
        let edge = &self.finding.cycle[place];
        let plain = || format!("operation {} < operation {}: {}", edge.from, edge.to, edge.kind.name());
        cut(&printable(&told.map_or_else(plain, str::to_owned)), TITLE_LENGTH)
    }
}

/// The steps that lead to a place of the cycle and from it.
fn edges_at(finding: &Finding, place: usize) -> [&Edge; 2] {
    let length = finding.cycle.len();
    [&finding.cycle[(place + length - 1) % length], &finding.cycle[place]]
}

fn mops(op: &Operation) -> &[Mop] {
    match &op.call {
        Call::Txn(mops) => mops,
        _ => &[],
    }
}

/// The micro-operations of a transaction, and whether each takes part in one of its two edges; those that do not are
/// the first to be left out.
fn lines(op: &Operation, edges: &[&Edge; 2], names: &Names) -> Vec<(String, bool)> {
    let takes_part = |mop: &Mop| {
        edges.iter().any(|edge| {
            edge.key.is_some()
                && match mop {
                    Mop::Append { key, value } | Mop::Write { key, value } | Mop::Insert { key, value } => {
                        edge.key == Some(*key) && [edge.value, edge.value_next].contains(&Some(*value))
                    }
                    Mop::ReadPredicate { .. } => true,
                    other => other.key() == edge.key,
                }
        })
    };
    let all = mops(op);
    let parts: BTreeSet<usize> = (0..all.len()).filter(|place| takes_part(&all[*place])).collect();
    let others = (0..all.len()).filter(|place| !parts.contains(place));
    let shown: BTreeSet<usize> = parts.iter().copied().chain(others).take(MOPS_MAX).collect();
    let line = |place: &usize| {
        let text = printable(&words::micro_operation(op, &all[*place], names));
        (cut(&text, MOP_LENGTH), parts.contains(place))
    };
    let mut lines: Vec<(String, bool)> = shown.iter().map(line).collect();
    if all.len() > shown.len() {
        lines.push((format!("… {} more", all.len() - shown.len()), false));
    }
    lines
}
