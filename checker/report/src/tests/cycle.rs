//! Pictures of cycles: what is drawn, that it is XML, and that nothing lies upon anything.

use super::HOSTILE;
use crate::{ReportInput, cycle_svg, sample};
use expect_test::expect;
use fissure_checker::{Call, Edge, EdgeKind, Finding, History, Mop, Names, Operation};
use std::sync::Arc;

fn finding(input: &ReportInput) -> &Finding {
    &input.results[0].findings[0]
}

/// Elements with their attributes and texts; panics unless it is well-formed.
fn elements(svg: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(svg);
    reader.config_mut().check_end_names = true;
    let mut found = Vec::new();
    let mut open = 0;
    loop {
        match reader.read_event().expect("the picture is well-formed XML") {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Start(tag) => {
                open += 1;
                let attributes = tag.attributes().map(|attribute| attribute.expect("attributes are well-formed"));
                let text = attributes.map(|attribute| {
                    let value = attribute.unescape_value().expect("entities are known");
                    format!(" {}={value:?}", String::from_utf8_lossy(attribute.key.as_ref()))
                });
                found.push(format!("{}{}", String::from_utf8_lossy(tag.name().as_ref()), text.collect::<String>()));
            }
            quick_xml::events::Event::End(_) => open -= 1,
            _ => {}
        }
    }
    assert_eq!(open, 0);
    found
}

#[test]
fn a_stale_read_as_a_picture() {
    let input = sample::cycle();
    let svg = cycle_svg(finding(&input), &input.history).expect("it is a cycle");
    elements(&svg);
    let (head, rest) = svg.split_once("<style>").expect("it has a style");
    let (_, body) = rest.split_once("</style>").expect("the style ends");
    let shown = format!("{head}{body}").replace("><", ">\n<");
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <svg xmlns="http://www.w3.org/2000/svg" class="cycle" width="900" height="172" viewBox="0 0 900 172" role="img">
        <title>G-single-realtime-0: stale read of key 1: the list up to 39 was seen by a read invoked 200.0 ms after the append of 5 completed</title>
        <rect class="paper" width="900" height="172">
        </rect>
        <g class="txn ok">
        <title>operation 1 · process 1 on n2 · ok · 0.300–0.304 s: read 1 → [0 1 … 36 37 38 39] (40 elements)</title>
        <rect class="box" x="12" y="12" width="640" height="49" rx="4">
        </rect>
        <rect class="side" x="12" y="12" width="5" height="49">
        </rect>
        <text class="head" x="26" y="29">
        <tspan class="name">T1</tspan>
        <tspan class="faint" dx="10">operation 1 · process 1 on n2 · ok · 0.300–0.304 s</tspan>
        </text>
        <text class="mop" x="26" y="48">read 1 → [0 1 … 36 37 38 39] (40 elements)</text>
        </g>
        <g class="rw">
        <title>T1 &lt; T2, because T1 read key 1 as [0 1 …] and T2 appended 5 after 39</title>
        <path class="edge" d="M122 61V104">
        </path>
        <path class="tip" d="M117 102h10l-5 8z">
        </path>
        <text class="label" x="136" y="90">
        <tspan class="kind">rw</tspan>
        <tspan dx="8">key 1: 39 → 5</tspan>
        </text>
        </g>
        <g class="txn ok">
        <title>operation 0 · process 0 on n1 · ok · 0.000–0.100 s: append 5 to 1</title>
        <rect class="box" x="12" y="111" width="640" height="49" rx="4">
        </rect>
        <rect class="side" x="12" y="111" width="5" height="49">
        </rect>
        <text class="head" x="26" y="128">
        <tspan class="name">T2</tspan>
        <tspan class="faint" dx="10">operation 0 · process 0 on n1 · ok · 0.000–0.100 s</tspan>
        </text>
        <text class="mop" x="26" y="147">append 5 to 1</text>
        </g>
        <g class="realtime">
        <title>T2 &lt; T1, because T2 completed at 0.100 s, before T1 was invoked at 0.300 s: a contradiction</title>
        <path class="edge" d="M652 135.5H688V36.5H659">
        </path>
        <path class="tip" d="M661 31.5v10l-8 -5z">
        </path>
        <text class="label" x="700" y="82">
        <tspan class="kind">realtime</tspan>
        </text>
        <text class="label" x="700" y="99">earlier by 200 ms</text>
        </g>
        </svg>
    "#]]
    .assert_eq(&shown);
}

/// A cycle of this length, each transaction overwriting the one before.
fn ring(length: u64) -> (Finding, History) {
    let op = |number: u64| Operation {
        op_id: number,
        process: number as i64,
        node: None,
        call: Call::Txn((0..12).map(|key| Mop::Write { key, value: number as i64 }).collect()),
        invoke_seq: number,
        complete_seq: Some(number + length),
        invoke_ns: number as i64,
        complete_ns: Some((number + length) as i64),
        outcome: fissure_checker::Outcome::Ok,
        error_code: None,
        error_text: None,
        conn_cookie: None,
    };
    let edge = |from: u64| {
        let to = (from + 1) % length;
        let (value, value_next) = (Some(from as i64), Some(to as i64));
        Edge { from, to, kind: EdgeKind::Ww, key: Some(9), value, value_next }
    };
    let mut finding = finding(&sample::cycle()).clone();
    (finding.ops, finding.explanation) = ((0..length).collect(), Vec::new());
    finding.cycle = (0..length).map(edge).collect();
    (finding, History::new((0..length).map(op).collect()).expect("the ring keeps the invariants"))
}

fn number(element: &str, name: &str) -> f64 {
    let (_, rest) = element.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name} in {element}"));
    rest.split('"').next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {element}"))
}

#[test]
fn boxes_stand_below_each_other_and_within_the_picture() {
    for length in [1, 2, 3, 24, 25, 40, 1_000] {
        let (finding, history) = ring(length);
        let svg = cycle_svg(&finding, &history).expect("it is a cycle");
        let elements = elements(&svg);
        let height = number(&elements[0], "height");
        let boxes: Vec<&String> = elements.iter().filter(|element| element.contains("class=\"box\"")).collect();
        assert_eq!(boxes.len() as u64, length.min(24));
        let edges: Vec<(f64, f64)> =
            boxes.iter().map(|shape| (number(shape, "y"), number(shape, "y") + number(shape, "height"))).collect();
        assert!(edges.windows(2).all(|pair| pair[0].1 + 40.0 <= pair[1].0), "{edges:?}");
        assert!(edges.iter().all(|(top, bottom)| *top >= 0.0 && *bottom <= height));
        let arrows = elements.iter().filter(|element| element.contains("class=\"tip\"")).count() as u64;
        assert_eq!(arrows, if length > 24 { 23 } else { length }, "one for each step that is drawn");
        assert_eq!(svg.contains(" of the cycle not drawn"), length > 24);
        assert!(svg.contains("write 0 to 9") && svg.contains("… 4 more"), "what makes an edge is never left out");
    }
}

#[test]
fn hostile_names_stay_text() {
    const EVIL: &str = "</text></svg><script>alert(1)</script>\"'&\u{1b}[31m\u{7}\u{0}\u{202e}\u{fffe}]]>";
    let (mut finding, history) = ring(3);
    let mut names = Names::default();
    let key = names.number(EVIL);
    let mut ops = history.ops().to_vec();
    for op in &mut ops {
        op.node = Some(EVIL.into());
        let Call::Txn(mops) = &mut op.call else { panic!("the ring is made of transactions") };
        mops.push(Mop::Write { key, value: names.number(&format!("{EVIL}{}", op.op_id)) });
    }
    for edge in &mut finding.cycle {
        edge.key = Some(key);
    }
    (finding.id, finding.summary) = (EVIL.to_owned(), EVIL.to_owned());
    finding.explanation = vec![format!("T1 < T2, because {EVIL}"), format!("  However, T3 < T1, because {EVIL}")];
    let history = History::new(ops).expect("the ring keeps the invariants").with_names(Arc::new(names));
    let svg = cycle_svg(&finding, &history).expect("it is a cycle");
    assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;") && !svg.contains(&format!("{HOSTILE}alert")));
    assert_eq!(svg.chars().find(|c| *c != '\n' && crate::words::is_hostile(*c)), None);
    assert_eq!(elements(&svg).iter().filter(|element| element.starts_with("svg")).count(), 1);
    // The page takes the same picture.
    let mut input = sample::cycle();
    (input.history, input.results[0].findings) = (history, vec![finding]);
    assert_eq!(crate::html(&input).matches("<script").count(), 1, "the page's own");
}

#[test]
fn what_is_no_cycle_has_no_picture_and_what_is_missing_is_drawn_by_its_number() {
    let input = sample::invalid();
    assert_eq!(cycle_svg(finding(&input), &input.history), None);
    let (finding, _) = ring(3);
    let svg = cycle_svg(&finding, &History::default()).expect("it is a cycle");
    assert!(svg.contains("operation 2") && svg.contains("not in this history"));
    elements(&svg);
}
