//! Latency and rate over time, with the faults that were asked and those that hit, and the life of the nodes.

use super::axis::{Axis, n, ticks};
use crate::input::{FaultLine, ReportInput};
use crate::summary::{self, FaultSummary};
use crate::words::{self, count, cut, printable, thousands};
use fissure_checker::{Operation, Outcome};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

const WIDTH: f64 = 1_140.0;
const LEFT: f64 = 168.0;
const RIGHT: f64 = 1_128.0;
const PLOT_HEIGHT: f64 = 300.0;
const RATE_HEIGHT: f64 = 54.0;
const LANE_HEIGHT: f64 = 17.0;
/// Operations that are drawn as points, about.
const POINTS_MAX: usize = 4_000;
/// Faults that have a lane of their own.
const LANES_MAX: usize = 12;
/// Nodes that have a lane of their own.
const NODES_MAX: usize = 9;
/// Buckets of the quantiles and of the rate, at most.
const BUCKETS_MAX: i64 = 240;
const SECOND: i64 = 1_000_000_000;
/// Findings whose operations have a ring.
const RINGED_FINDINGS: usize = 12;
/// Shortest latency that has a place of its own.
const LATENCY_NS_MIN: f64 = 10_000.0;

/// The picture, with its caption and its legend.
pub(super) fn figure(input: &ReportInput) -> Markup {
    let axis = time_axis(input);
    let faults = summary::faults(input);
    let nodes = node_names(input);
    let plot_top = 16.0 + LANE_HEIGHT * (faults.len().min(LANES_MAX) + nodes.len().min(NODES_MAX)) as f64 + 8.0;
    let plot_bottom = plot_top + PLOT_HEIGHT;
    let rate_bottom = plot_bottom + 12.0 + RATE_HEIGHT;
    let scale = Scale::new(input, plot_top, plot_bottom);
    let (chosen, note) = points(input, &axis);
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {}", n(rate_bottom + 22.0))) role="img" aria-label="latency over time with faults" {
                @for fault in input.faults.iter().filter(|fault| fault.error.is_none()) {
                    (band(&axis, fault, plot_top, rate_bottom - plot_top, "shade"))
                }
                (fault_lanes(input, &axis, &faults))
                (node_lanes(input, &axis, &nodes, 16.0 + LANE_HEIGHT * faults.len().min(LANES_MAX) as f64))
                (grid(&axis, &scale, rate_bottom))
                (phases(input, &axis, plot_top, rate_bottom))
                (clouds(input, &axis, &scale, &chosen))
                (quantiles(input, &axis, &scale))
                (rate(input, &axis, plot_bottom + 12.0, rate_bottom))
                (rings(input, &axis, &scale))
            }
            figcaption {
                (legend())
                " " (note)
                @if faults.len() > LANES_MAX { " " (faults.len() - LANES_MAX) " more faults have no lane here." }
                @if nodes.len() > NODES_MAX { " " (nodes.len() - NODES_MAX) " more nodes have no lane here." }
            }
        }
    }
}

fn time_axis(input: &ReportInput) -> Axis {
    let last_op = input.history.ops().iter().map(|op| op.complete_ns.unwrap_or(op.invoke_ns) - input.started_ns).max();
    let last_fault = input.faults.iter().filter_map(|fault| fault.stop_ns).max();
    let end =
        [Some((input.duration_s * 1e9) as i64), last_op, last_fault].into_iter().flatten().max().unwrap_or(SECOND);
    Axis::linear(0, end.max(SECOND), LEFT, RIGHT)
}

/// A logarithmic scale of latency.
struct Scale {
    low: f64,
    high: f64,
    top: f64,
    bottom: f64,
}

impl Scale {
    fn new(input: &ReportInput, top: f64, bottom: f64) -> Self {
        let all = || input.history.ops().iter().filter_map(latency).map(|ns| ns.max(LATENCY_NS_MIN));
        let low = all().fold(1e6, f64::min) / 1.3;
        let high = all().fold(1e7, f64::max) * 1.5;
        Self { low, high, top, bottom }
    }

    fn y(&self, ns: f64) -> f64 {
        let part = (ns.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.bottom - part.min(1.0) * (self.bottom - self.top)
    }
}

fn latency(op: &Operation) -> Option<f64> {
    Some(op.complete_ns?.saturating_sub(op.invoke_ns).max(0) as f64)
}

fn node_names(input: &ReportInput) -> Vec<&str> {
    let mut names: Vec<&str> = input.nodes.iter().map(String::as_str).collect();
    for event in &input.node_events {
        if !names.contains(&event.node.as_str()) {
            names.push(&event.node);
        }
    }
    names.retain(|name| input.node_events.iter().any(|event| event.node == *name));
    names
}

fn band(axis: &Axis, fault: &FaultLine, y: f64, height: f64, class: &str) -> Markup {
    let (from, to) = (axis.x(fault.start_ns), axis.x(fault.stop_ns.unwrap_or(axis.ends().1)));
    html! { rect class=(class) x=(n(from)) y=(n(y)) width=(n((to - from).max(2.0))) height=(n(height)) {} }
}

fn fault_lanes(input: &ReportInput, axis: &Axis, faults: &[FaultSummary<'_>]) -> Markup {
    html! {
        @for (lane, fault) in faults.iter().take(LANES_MAX).enumerate() {
            @let y = 16.0 + LANE_HEIGHT * lane as f64;
            text x=(LEFT - 8.0) y=(n(y + 11.0)) text-anchor="end" {
                (cut(&printable(fault.name), 26)) title { (printable(fault.name)) }
            }
            @for line in &fault.occurrences {
                g {
                    title { (about(line)) }
                    (band(axis, line, y + 1.0, LANE_HEIGHT - 4.0, if line.error.is_some() { "failed" } else { "asked" }))
                    (hits(input, axis, line, y + 1.0))
                }
            }
        }
    }
}

/// What a fault's band says when pointed at.
pub(super) fn about(fault: &FaultLine) -> String {
    let effect = match (&fault.error, fault.rules) {
        (Some(error), _) => format!("could not be applied: {error}"),
        (None, 0) => "done to a process".to_owned(),
        (None, _) => format!("{} dropped", count(fault.hits, "packet")),
    };
    printable(&format!(
        "fault {} {} {}: {}. {effect}",
        fault.fault_id,
        fault.name,
        summary::asked(fault),
        fault.description
    ))
}

/// The strong tone: seconds in which packets were hit; for a process fault the moment at which it acted.
fn hits(input: &ReportInput, axis: &Axis, fault: &FaultLine, y: f64) -> Markup {
    let (from, to) = (fault.start_ns, fault.stop_ns.unwrap_or(axis.ends().1));
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    for (second, _, _) in input.hits_per_second.iter().filter(|(_, id, _)| *id == fault.fault_id) {
        match stretches.last_mut() {
            Some(last) if last.1 == *second => last.1 = second + 1,
            _ => stretches.push((*second, second + 1)),
        }
    }
    html! {
        @if fault.rules == 0 && fault.error.is_none() {
            rect class="hit" x=(n(axis.x(from))) y=(n(y)) width="3" height=(n(LANE_HEIGHT - 4.0)) {}
        }
        @for (first, end) in stretches {
            @let left = axis.x((first * SECOND).clamp(from, to));
            @let right = axis.x((end * SECOND).clamp(from, to));
            rect class="hit" x=(n(left)) y=(n(y + 3.0)) width=(n((right - left).max(2.0))) height=(n(LANE_HEIGHT - 10.0)) {}
        }
    }
}

/// A sign for an event in the life of a node.
pub(super) fn sign(event: &str) -> &'static str {
    match event {
        "start" | "restart" => "▲",
        "ready" => "○",
        "kill" => "✕",
        "pause" => "‖",
        "resume" => "▷",
        "exit" => "▼",
        "primary" => "★",
        _ => "·",
    }
}

fn node_lanes(input: &ReportInput, axis: &Axis, nodes: &[&str], top: f64) -> Markup {
    html! {
        @for (lane, node) in nodes.iter().take(NODES_MAX).enumerate() {
            @let y = top + LANE_HEIGHT * lane as f64;
            text class="faint" x=(LEFT - 8.0) y=(n(y + 11.0)) text-anchor="end" { (cut(&printable(node), 26)) }
            path class="grid" d=(format!("M{LEFT} {}H{RIGHT}", n(y + 7.5))) {}
            @for event in input.node_events.iter().filter(|event| event.node == **node).take(300) {
                @let detail = event.detail.as_ref().map_or(String::new(), |detail| format!(" ({detail})"));
                text class="halo" x=(n(axis.x(event.t_ns))) y=(n(y + 11.5)) text-anchor="middle" {
                    (sign(&event.event))
                    title { (printable(&format!("{} s: {node} {}{detail}", words::seconds(event.t_ns), event.event))) }
                }
            }
        }
    }
}

fn grid(axis: &Axis, scale: &Scale, bottom: f64) -> Markup {
    let decades = (3..=13).map(|power| 10_f64.powi(power)).filter(|ns| (scale.low..=scale.high).contains(ns));
    let (from, to) = axis.ends();
    html! {
        @for ns in decades {
            @let y = scale.y(ns);
            path class="grid" d=(format!("M{LEFT} {0}H{RIGHT}", n(y))) {}
            text class="faint" x=(LEFT - 8.0) y=(n(y + 4.0)) text-anchor="end" { (decade(ns)) }
        }
        @for at in ticks(from, to, 12) {
            path class="grid" d=(format!("M{} {}v4", n(axis.x(at)), n(bottom))) {}
            text class="faint" x=(n(axis.x(at))) y=(n(bottom + 16.0)) text-anchor="middle" { (at as f64 / 1e9) " s" }
        }
        text class="faint" x="4" y=(n(scale.top + 12.0)) { "latency" }
    }
}

fn decade(ns: f64) -> String {
    match ns {
        ns if ns >= 1e9 => format!("{} s", ns / 1e9),
        ns if ns >= 1e6 => format!("{} ms", ns / 1e6),
        ns => format!("{} µs", ns / 1e3),
    }
}

/// A line where a phase of the run begins.
fn phases(input: &ReportInput, axis: &Axis, top: f64, bottom: f64) -> Markup {
    let mut starts: Vec<(&str, i64)> = Vec::new();
    for op in input.history.ops() {
        let Some(phase) = input.phases.get(op.op_id as usize) else { continue };
        if !starts.iter().any(|(known, _)| known == phase) {
            starts.push((phase, op.invoke_ns - input.started_ns));
        }
    }
    let (mut free, mut labels) = (LEFT, Vec::new());
    for (phase, at) in starts.iter().take(8) {
        let (x, name) = (axis.x(*at), cut(&printable(phase), 20));
        // A short phase has its name in a second row.
        let y = if x < free { top + 23.0 } else { top + 11.0 };
        free = x + 10.0 + name.chars().count() as f64 * 6.0;
        labels.push((x, y, name));
    }
    html! {
        @for (x, y, name) in labels {
            path class="grid" stroke-dasharray="2 3" d=(format!("M{} {}V{}", n(x), n(top), n(bottom))) {}
            text class="faint halo" x=(n(x + 3.0)) y=(n(y)) { (name) }
        }
    }
}

/// The operations that are drawn, and the sentence that says which.
fn points<'a>(input: &'a ReportInput, axis: &Axis) -> (Vec<&'a Operation>, String) {
    let all: Vec<&Operation> = input.history.ops().iter().filter(|op| op.complete_ns.is_some()).collect();
    let open = input.history.len() - all.len();
    let open = if open == 0 {
        String::new()
    } else {
        format!(" {} never completed and are not drawn.", count(open as u64, "operation"))
    };
    if all.len() <= POINTS_MAX {
        return (all.clone(), format!("All {} are drawn.{open}", count(all.len() as u64, "completed operation")));
    }
    // The slowest of every two columns of pixels, then an even choice of each outcome.
    let mut slowest: BTreeMap<i64, &Operation> = BTreeMap::new();
    for op in &all {
        let column = (axis.x(op.invoke_ns - input.started_ns) / 2.0) as i64;
        let known = slowest.entry(column).or_insert(op);
        if latency(op) > latency(known) {
            *known = op;
        }
    }
    let mut chosen: BTreeMap<u64, &Operation> = slowest.values().map(|op| (op.op_id, *op)).collect();
    let room = POINTS_MAX.saturating_sub(chosen.len());
    for outcome in [Outcome::Info, Outcome::Fail, Outcome::Ok] {
        let these: Vec<&&Operation> = all.iter().filter(|op| op.outcome == outcome).collect();
        let share = if outcome == Outcome::Ok { room / 2 } else { room / 4 };
        let step = these.len().div_ceil(share.max(1)).max(1);
        chosen.extend(these.iter().step_by(step).map(|op| (op.op_id, **op)));
    }
    let note = format!(
        "{} of {} are drawn: the slowest of every moment, and an even choice of the others.{open}",
        thousands(chosen.len() as u64),
        count(all.len() as u64, "completed operation")
    );
    (chosen.into_values().collect(), note)
}

/// One path per outcome: dots, crosses, triangles.
fn clouds(input: &ReportInput, axis: &Axis, scale: &Scale, ops: &[&Operation]) -> Markup {
    let path = |outcome: Outcome| {
        let mut path = String::new();
        for op in ops.iter().filter(|op| op.outcome == outcome) {
            let (x, y) = (axis.x(op.invoke_ns - input.started_ns), scale.y(latency(op).unwrap_or(0.0)));
            path.push_str(&match outcome {
                Outcome::Ok => format!("M{} {}h0", n(x), n(y)),
                Outcome::Fail => format!("M{} {}l5 5m0-5l-5 5", n(x - 2.5), n(y - 2.5)),
                Outcome::Info => format!("M{} {}l3.2 5.5h-6.4z", n(x), n(y - 3.5)),
            });
        }
        path
    };
    html! {
        @for outcome in [Outcome::Ok, Outcome::Fail, Outcome::Info] {
            path class=(format!("points {}", outcome.name())) d=(path(outcome)) {}
        }
    }
}

fn bucket_ns(axis: &Axis) -> i64 {
    let (from, to) = axis.ends();
    ((to - from) / BUCKETS_MAX / SECOND + 1) * SECOND
}

/// Median and 99th percentile of the ok operations.
fn quantiles(input: &ReportInput, axis: &Axis, scale: &Scale) -> Markup {
    let step = bucket_ns(axis);
    let mut buckets: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for op in input.history.ops().iter().filter(|op| op.outcome == Outcome::Ok) {
        if let Some(ns) = latency(op) {
            buckets.entry((op.invoke_ns - input.started_ns).div_euclid(step)).or_default().push(ns);
        }
    }
    for latencies in buckets.values_mut() {
        latencies.sort_by(f64::total_cmp);
    }
    let line = |quantile: f64| {
        let mut path = String::new();
        let mut last = None;
        for (bucket, latencies) in &buckets {
            let place = ((latencies.len() - 1) as f64 * quantile).round() as usize;
            let pen = if last == Some(bucket - 1) { 'L' } else { 'M' };
            path.push_str(&format!("{pen}{} {}", n(axis.x(bucket * step + step / 2)), n(scale.y(latencies[place]))));
            last = Some(*bucket);
        }
        path
    };
    html! {
        path class="quantile p50" d=(line(0.5)) {}
        path class="quantile p99" d=(line(0.99)) {}
    }
}

/// Operations per second, by outcome.
fn rate(input: &ReportInput, axis: &Axis, top: f64, bottom: f64) -> Markup {
    let step = bucket_ns(axis);
    let mut buckets: BTreeMap<i64, [u64; 3]> = BTreeMap::new();
    for op in input.history.ops() {
        let at = op.complete_ns.unwrap_or(op.invoke_ns) - input.started_ns;
        buckets.entry(at.div_euclid(step)).or_default()[op.outcome as usize] += 1;
    }
    let most = buckets.values().map(|by| by.iter().sum()).max().unwrap_or(1).max(1);
    let height = |number: u64| number as f64 / most as f64 * (bottom - top);
    let per_second = most as f64 / (step as f64 / 1e9);
    html! {
        path class="grid" d=(format!("M{LEFT} {}H{RIGHT}", n(bottom))) {}
        text class="faint" x="4" y=(n(top + 12.0)) { "operations per second" }
        text class="faint" x=(LEFT - 8.0) y=(n(top + 26.0)) text-anchor="end" { "max " (thousands(per_second.round() as u64)) }
        @for (bucket, by) in &buckets {
            @let (left, right) = (axis.x(bucket * step), axis.x((bucket + 1) * step));
            @let ends = [by[0], by[0] + by[1], by[0] + by[1] + by[2]];
            @for (place, outcome) in [Outcome::Ok, Outcome::Fail, Outcome::Info].into_iter().enumerate() {
                @if by[place] > 0 {
                    rect class=(format!("bar {}", outcome.name())) x=(n(left)) y=(n(bottom - height(ends[place])))
                        width=(n((right - left - 0.6).max(0.6))) height=(n(height(by[place]).max(0.8))) {
                        title { (words::tenths(bucket * step)) " s: " (by[place]) " " (outcome.name()) }
                    }
                }
            }
        }
    }
}

/// A ring around each operation that a finding names.
fn rings(input: &ReportInput, axis: &Axis, scale: &Scale) -> Markup {
    let mut drawn: BTreeSet<u64> = BTreeSet::new();
    let findings = input.results.iter().flat_map(|result| &result.findings).take(RINGED_FINDINGS);
    let mut marks = Vec::new();
    for finding in findings {
        for (name, op) in words::named_ops(finding, input) {
            if let Some(ns) = latency(op)
                && drawn.insert(op.op_id)
            {
                let title = printable(&format!("{} {name}: {}", finding.id, words::call(op, input)));
                marks.push((axis.x(op.invoke_ns - input.started_ns), scale.y(ns), title, super::anchor(&finding.id)));
            }
        }
    }
    html! {
        @for (x, y, title, anchor) in marks {
            a href=(format!("#{anchor}")) { circle class="ring" cx=(n(x)) cy=(n(y)) r="5.5" { title { (title) } } }
        }
    }
}

fn legend() -> Markup {
    let signs = ["start", "ready", "kill", "pause", "resume", "exit", "primary"];
    let signs: Vec<String> = signs.iter().map(|event| format!("{} {event}", sign(event))).collect();
    html! {
        "Each point is an operation at its invocation: ● ok, ✕ fail (certainly not done), △ info (nobody knows). "
        "Red rings: operations of the first findings. Lines: median, and dashed the 99th percentile, of what was ok. "
        "Bands: pale while a fault was asked for, strong in the seconds in which it hit packets (or when it acted on a process). "
        "Nodes: " (signs.join(", ")) "."
    }
}
