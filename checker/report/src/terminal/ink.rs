//! Lines, colours and wrapping.

use super::Style;
use crate::words::printable;
use fissure_checker::Validity;

/// Columns of the labels at the left (`faults`, `history`, …), with the space after them.
pub(super) const LABEL_WIDTH: usize = 9;
/// Narrowest text that is still wrapped rather than left to the terminal.
const TEXT_WIDTH_MIN: usize = 24;

/// Colours; each stands beside a word or a sign that says the same.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ink {
    Good,
    Bad,
    Doubt,
    Faint,
    Strong,
}

/// A page being written, line by line.
pub(super) struct Page {
    style: Style,
    text: String,
}

impl Page {
    pub(super) fn new(style: Style) -> Self {
        Self { style, text: String::new() }
    }

    pub(super) fn width(&self) -> usize {
        self.style.width
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Text in a colour, if colour is wanted.
    pub(super) fn paint(&self, ink: Ink, text: &str) -> String {
        if !self.style.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Good => "32",
            Ink::Bad => "1;31",
            Ink::Doubt => "33",
            Ink::Faint => "2",
            Ink::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    pub(super) fn warn(&self, text: &str) -> String {
        self.paint(Ink::Doubt, text)
    }

    /// The verdict in capitals.
    pub(super) fn verdict(&self, validity: Validity) -> String {
        match validity {
            Validity::Valid => self.paint(Ink::Good, "VALID"),
            Validity::Unknown => self.paint(Ink::Doubt, "UNKNOWN"),
            Validity::Invalid => self.paint(Ink::Bad, "INVALID"),
        }
    }

    /// The sign of a verdict.
    pub(super) fn mark(&self, validity: Validity) -> String {
        match validity {
            Validity::Valid => self.paint(Ink::Good, "✓"),
            Validity::Unknown => self.paint(Ink::Doubt, "?"),
            Validity::Invalid => self.paint(Ink::Bad, "✗"),
        }
    }

    /// A label, filled up to its column.
    pub(super) fn label(&self, label: &str) -> String {
        self.paint(Ink::Faint, &format!("{label:LABEL_WIDTH$}"))
    }

    /// A line as it is.
    pub(super) fn raw(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// An empty line, never two.
    pub(super) fn blank(&mut self) {
        if !self.text.ends_with("\n\n") && !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// `  label    text`, not wrapped: commands must stay whole to be copied.
    pub(super) fn labelled(&mut self, label: &str, text: &str) {
        let line = format!("  {}{text}", self.label(label));
        self.raw(&line);
    }

    /// `lead` (already painted), then `text` wrapped, its further lines indented; `codes` at the end of the first line
    /// if they fit there, else of the last.
    pub(super) fn wrapped(&mut self, lead: &str, indent: usize, text: &str, codes: &str) {
        let lines = wrap(&printable(text), self.style.width.saturating_sub(indent));
        let codes_width = codes.chars().count();
        let last = lines.len() - 1;
        for (place, line) in lines.iter().enumerate() {
            let mut out = if place == 0 { lead.to_owned() } else { " ".repeat(indent) };
            out.push_str(line);
            if place == last && !codes.is_empty() {
                let used = indent + line.chars().count();
                if used + 2 + codes_width > self.style.width {
                    self.raw(&out);
                    out = " ".repeat(indent);
                } else {
                    out.push_str("  ");
                }
                out.push_str(&self.paint(Ink::Doubt, &printable(codes)));
            }
            self.raw(&out);
        }
    }

    /// Faint text, wrapped and indented.
    pub(super) fn dim(&mut self, indent: usize, text: &str) {
        for line in wrap(&printable(text), self.style.width.saturating_sub(indent)) {
            let out = format!("{}{}", " ".repeat(indent), self.paint(Ink::Faint, &line));
            self.raw(&out);
        }
    }
}

/// Breaks text at spaces into lines of at most `width` characters; a longer word has a line of its own. Spaces at the
/// start and between words are kept. At least one line.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(TEXT_WIDTH_MIN);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_inclusive(' ') {
        let (letters, whole) = (word.trim_end().chars().count(), word.chars().count());
        if length > 0 && length + letters > width {
            lines.push(line.trim_end().to_owned());
            line.clear();
            length = 0;
        }
        line.push_str(word);
        length += whole;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn wrapping_keeps_every_word_and_the_width() {
        let text = "The acknowledged write of 4 had completed before the read was invoked, and it saw 3.";
        let lines = wrap(text, 30);
        assert!(lines.iter().all(|line| line.chars().count() <= 30), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrap("", 30), [""]);
        assert_eq!(wrap(&"x".repeat(99), 30).len(), 1);
    }
}
