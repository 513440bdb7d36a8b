//! Rules about one file.

use super::Finding;

/// Lines that a file may have.
const LINES_MAX: usize = 600;

/// Lines that a file of tests may have: a list of cases is read one case at a time.
const TEST_LINES_MAX: usize = 900;

/// Rooms that may contain `unsafe`.
const UNSAFE_ROOMS: [&str; 2] = ["ebpf/programs/", "userspace/inject/"];

/// Every rule that the file breaks. `path` is relative to the checkout.
pub(super) fn check(path: &str, content: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |line: Option<usize>, text: &str| {
        findings.push(Finding { place: path.to_owned(), line, text: text.to_owned() });
    };
    let is_rust = path.ends_with(".rs");
    if is_rust {
        // A file that others include cannot have a header: it documents its first item instead.
        let is_included = content.starts_with("/// ");
        if !is_included && !content.lines().take(5).any(|line| line.starts_with("//!")) {
            found(None, "has no `//!` header that says what it is for");
        }
        let lines_max = if path.contains("/tests/") { TEST_LINES_MAX } else { LINES_MAX };
        if content.lines().count() > lines_max {
            found(None, &format!("has more than {lines_max} lines: split it by what it does"));
        }
    }
    if is_rust || path.ends_with(".toml") || path.ends_with(".md") {
        for (index, line) in content.lines().enumerate() {
            // In Markdown it means something, and in Rust rustfmt sees to it, except in strings, where it means something.
            if line != line.trim_end() && path.ends_with(".toml") {
                found(Some(index + 1), "space at the end of the line");
            }
            if machine_paths().iter().any(|path| line.contains(path.as_str())) {
                found(Some(index + 1), "a path that exists on one machine only");
            }
        }
    }
    if is_rust {
        check_code(path, content, &mut found);
    }
    findings
}

fn check_code(path: &str, content: &str, found: &mut impl FnMut(Option<usize>, &str)) {
    let may_be_unsafe = UNSAFE_ROOMS.iter().any(|room| path.starts_with(room));
    for (index, line) in content.lines().enumerate() {
        if unfinished().iter().any(|word| line.contains(word.as_str())) {
            found(Some(index + 1), "unfinished: finish it, or write down an issue");
        }
        let code = line.split("//").next().unwrap_or_default();
        if !may_be_unsafe && is_unsafe(code) {
            found(Some(index + 1), "unsafe outside of ebpf/programs and userspace/inject");
        }
        if code.trim() == concat!("#[ign", "ore]") {
            found(Some(index + 1), "an ignored test: say why, or make it run");
        }
    }
}

/// Whether a line of code opens something unsafe; the lint's name and words in strings do not count.
fn is_unsafe(code: &str) -> bool {
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|form| {
        let inside_text = |at: usize| code[..at].matches('"').count() % 2 == 1;
        code.match_indices(form).any(|(at, _)| !inside_text(at))
    })
}

// In pieces, so that this file does not find itself.
fn unfinished() -> [String; 5] {
    [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["todo", "!("], ["unimplemented", "!("]].map(|parts| parts.concat())
}

fn machine_paths() -> [String; 4] {
    [["/wo", "rk/"], ["/ro", "ot/"], ["/fa", "rm/"], ["/tmp", "/t/"]].map(|parts| parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(path: &str, content: &str, expected: &[&str]) {
        let found: Vec<String> = check(path, content).iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not mention {expected}");
        }
    }

    #[test]
    fn a_tidy_file_has_no_findings() {
        finds("a/src/lib.rs", "//! What it is for.\n\nfn f() {}\n", &[]);
        finds("a/src/lib.rs", "#!/usr/bin/env x\n//! What it is for.\n", &[]);
        finds("README.md", "two spaces break a line  \n", &[]);
    }

    #[test]
    fn a_header_is_missed() {
        finds("a/src/lib.rs", "fn f() {}\n", &["header"]);
    }

    #[test]
    fn long_files_are_found() {
        finds("a/src/lib.rs", &format!("//! X\n{}", "\n".repeat(LINES_MAX)), &["split it"]);
    }

    #[test]
    fn unfinished_work_is_found() {
        let content = format!("//! X\nfn f() {{\n    {}\"later\");\n}}\n", unfinished()[3]);
        finds("a/src/lib.rs", &content, &["a/src/lib.rs:3: unfinished"]);
        finds("a/src/lib.rs", &format!("//! X\n// {}: later\n", unfinished()[0]), &[":2: unfinished"]);
    }

    #[test]
    fn unsafe_has_its_rooms() {
        let content = "//! X\nfn f() { unsafe { g() } }\n";
        finds("checker/core/src/lib.rs", content, &["unsafe outside"]);
        finds("userspace/inject/src/lib.rs", content, &[]);
        finds("checker/core/src/lib.rs", "//! X\n// unsafe { is a word }\nconst A: &str = \"unsafe { x\";\n", &[]);
    }

    #[test]
    fn machine_paths_are_found_in_text_too() {
        finds("docs/x.md", &format!("see {}main\n", machine_paths()[0]), &["docs/x.md:1"]);
    }

    #[test]
    fn spaces_at_the_end_are_found() {
        finds("a/Cargo.toml", "[package] \n", &["space at the end"]);
    }
}
