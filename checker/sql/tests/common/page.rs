//! Takes `docs/sql.md` apart: its questions, what they are asked of, and their answers.

/// A question in the page, and where its answer stands.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) target: String,
    pub(crate) sql: String,
    pub(crate) line: usize,
    /// Lines of the answer, without the fences; none if the page has none yet.
    pub(crate) answer: Option<std::ops::Range<usize>>,
}

/// The lines from `from` on up to the closing fence.
pub(crate) fn block(lines: &[&str], from: usize) -> std::ops::Range<usize> {
    let length = lines[from..].iter().position(|line| *line == "```").expect("a block is not closed");
    from..from + length
}

pub(crate) fn questions(lines: &[&str]) -> Vec<Question> {
    let (mut questions, mut target, mut at) = (Vec::new(), String::new(), 0);
    while at < lines.len() {
        if let Some(name) = lines[at].strip_prefix("<!-- target: ") {
            target = name.trim_end_matches(" -->").to_owned();
        }
        if lines[at] != "```sql" {
            at += 1;
            continue;
        }
        let sql = block(lines, at + 1);
        let after = sql.end + 1;
        let answer = (lines.get(after) == Some(&"```text")).then(|| block(lines, after + 1));
        questions.push(Question { target: target.clone(), sql: lines[sql].join("\n"), line: at + 1, answer });
        at = after;
    }
    questions
}
