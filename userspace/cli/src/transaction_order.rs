//! `--transaction-order FILE`: an order of transactions that somebody else knows, such as the commit timestamps of the
//! database.
//!
//! A file says for transactions what their place in the order is:
//! * EDN or JSON: a map of index to place (`{0 17, 4 18}`, `{"0": 17}`), or a list of pairs (`[[0, 17], [4, 18]]`) or of
//!   objects (`[{"op_id": 0, "order": 17}]`);
//! * CSV, with or without a header: `index,order` or `op_id,order`.
//!
//! `index` is what Jepsen and Elle call `:index`: the number of the event in which the transaction completed (that of its
//! invocation is understood too). Only where a header or an object says `op_id` it is the number of the operation.

use crate::exit::Failure;
use fissure_checker::{History, Operation};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the numbers of a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// An event.
    Index,
    /// An operation.
    OpId,
}

/// Where in the file something stands: line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    line: usize,
    column: usize,
}

/// An order as its file tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransactionOrder {
    path: PathBuf,
    places: BTreeMap<(Name, u64), (i64, Spot)>,
}

/// What is wrong, and where.
type Mistake = (Spot, String);

impl TransactionOrder {
    /// Reads a file.
    ///
    /// # Errors
    /// When there is none, or when it is not understood: with line and column.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(anyhow::anyhow!("cannot read {}: {error}", path.display())))?;
        let mut order = Self { path: path.to_owned(), places: BTreeMap::new() };
        order.parse(&text).map_err(|(spot, what)| order.failure(spot, &what))?;
        Ok(order)
    }

    /// The places of the operations of a history, by `op_id`.
    ///
    /// # Errors
    /// When the file names what the history does not have, or one operation twice.
    pub(crate) fn of(&self, history: &History) -> Result<Vec<(u64, i64)>, Failure> {
        let mut left = self.places.clone();
        let mut found = Vec::with_capacity(left.len());
        for op in history.ops() {
            let names = [Some(op.invoke_seq), op.complete_seq].map(|seq| seq.map(|seq| (Name::Index, seq)));
            let names = names.into_iter().flatten().chain([(Name::OpId, op.op_id)]);
            let places: Vec<(i64, Spot)> = names.filter_map(|name| left.remove(&name)).collect();
            if let [_, (_, second), ..] = places[..] {
                return Err(self.failure(second, &format!("operation {} is named twice", op.op_id)));
            }
            found.extend(places.first().map(|(place, _)| (op.op_id, *place)));
        }
        // What stands first in the file is told first.
        match left.iter().min_by_key(|(_, (_, spot))| (spot.line, spot.column)) {
            None => Ok(found),
            Some(((Name::Index, index), (_, spot))) => {
                Err(self
                    .failure(*spot, &format!("no operation of the history was invoked or completed at index {index}")))
            }
            Some(((Name::OpId, op_id), (_, spot))) => {
                Err(self.failure(*spot, &format!("the history has no operation {op_id}")))
            }
        }
    }

    /// The places of those operations of a part of the history that the file names.
    pub(crate) fn of_some(&self, history: &History) -> Vec<(u64, i64)> {
        let place = |name: Name, number: u64| self.places.get(&(name, number)).map(|(place, _)| *place);
        let of = |op: &Operation| {
            let by_event = |seq: u64| place(Name::Index, seq);
            let found = by_event(op.invoke_seq).or_else(|| op.complete_seq.and_then(by_event));
            Some((op.op_id, found.or_else(|| place(Name::OpId, op.op_id))?))
        };
        history.ops().iter().filter_map(of).collect()
    }

    fn failure(&self, spot: Spot, what: &str) -> Failure {
        let error = anyhow::anyhow!("{}:{}:{}: {what}", self.path.display(), spot.line, spot.column);
        Failure::usage(error).help(
            "a transaction order is a map of :index to place in EDN or JSON, such as {0 17, 4 18}, or CSV with two \
             columns: index or op_id, and order",
        )
    }

    fn parse(&mut self, text: &str) -> Result<(), Mistake> {
        // Comments of EDN may come first.
        let start = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with(';'));
        match start {
            None => Err((Spot { line: 1, column: 1 }, "the file names no transaction".to_owned())),
            Some(line) if line.starts_with(['{', '[', '(']) => self.parse_tree(&tokens(text)?),
            Some(_) => self.parse_table(text),
        }
    }

    fn add(&mut self, name: Name, number: i64, place: i64, spot: Spot) -> Result<(), Mistake> {
        let number = u64::try_from(number).map_err(|_| (spot, format!("{number} is below zero")))?;
        match self.places.insert((name, number), (place, spot)) {
            None => Ok(()),
            Some(_) => Err((spot, format!("{number} is named twice"))),
        }
    }

    fn parse_tree(&mut self, tokens: &[(Spot, Token)]) -> Result<(), Mistake> {
        let mut rest = Rest { tokens, next: 0 };
        if rest.open('{')? {
            while !rest.close('}')? {
                let (spot, index) = rest.number("an index")?;
                let (_, place) = rest.number("a place in the order")?;
                self.add(Name::Index, index, place, spot)?;
            }
        } else {
            let end = if rest.open('[')? { ']' } else { rest.open('(').map(|_| ')')? };
            while !rest.close(end)? {
                self.parse_entry(&mut rest)?;
            }
        }
        rest.end()
    }

    /// `[0 17]`, or `{"op_id": 0, "order": 17}`.
    fn parse_entry(&mut self, rest: &mut Rest<'_>) -> Result<(), Mistake> {
        if rest.open('[')? || rest.open('(')? {
            let (spot, index) = rest.number("an index")?;
            let (_, place) = rest.number("a place in the order")?;
            if !(rest.close(']')? || rest.close(')')?) {
                return Err((rest.spot(), "a pair ends after two numbers".to_owned()));
            }
            return self.add(Name::Index, index, place, spot);
        }
        let start = rest.spot();
        if !rest.open('{')? {
            return Err((start, "expected a pair or an object".to_owned()));
        }
        let (mut named, mut place) = (None, None);
        while !rest.close('}')? {
            let (spot, word) = rest.word()?;
            let (at, number) = rest.number("a whole number")?;
            match column(&word) {
                Some(Column::Named(name)) => named = Some((name, number, at)),
                Some(Column::Place) => place = Some(number),
                None => return Err((spot, format!("`{word}` is none of index, op_id, order"))),
            }
        }
        match (named, place) {
            (Some((name, number, spot)), Some(place)) => self.add(name, number, place, spot),
            _ => Err((start, "an object needs index or op_id, and order".to_owned())),
        }
    }

    fn parse_table(&mut self, text: &str) -> Result<(), Mistake> {
        let mut columns = vec![Column::Named(Name::Index), Column::Place];
        let mut header = true;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end_matches('\r');
            if line.trim().is_empty() || line.trim_start().starts_with(['#', ';']) {
                continue;
            }
            let cells: Vec<(Spot, &str)> = cells(number + 1, line);
            let is_header = std::mem::take(&mut header) && cells.iter().any(|(_, cell)| cell.parse::<i64>().is_err());
            if is_header {
                columns = cells
                    .iter()
                    .map(|(spot, cell)| {
                        column(cell).ok_or_else(|| (*spot, format!("`{cell}` is none of index, op_id, order")))
                    })
                    .collect::<Result<_, Mistake>>()?;
                let names = columns.iter().filter(|column| matches!(column, Column::Named(_))).count();
                if names != 1 || columns.len() != 2 {
                    return Err((cells[0].0, "expected two columns: index or op_id, and order".to_owned()));
                }
                continue;
            }
            if cells.len() != columns.len() {
                return Err((cells[0].0, format!("{} cells where two are expected", cells.len())));
            }
            let (mut named, mut place) = (None, 0);
            for ((spot, cell), column) in cells.iter().zip(&columns) {
                let number = cell.parse().map_err(|_| (*spot, format!("`{cell}` is no whole number")))?;
                match column {
                    Column::Named(name) => named = Some((*name, number, *spot)),
                    Column::Place => place = number,
                }
            }
            if let Some((name, number, spot)) = named {
                self.add(name, number, place, spot)?;
            }
        }
        Ok(())
    }
}

/// What a column of a table, or a field of an object, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Named(Name),
    Place,
}

fn column(word: &str) -> Option<Column> {
    match word.trim_start_matches(':').to_ascii_lowercase().replace('-', "_").as_str() {
        "index" => Some(Column::Named(Name::Index)),
        "op_id" => Some(Column::Named(Name::OpId)),
        "order" | "place" | "position" | "timestamp" | "ts" => Some(Column::Place),
        _ => None,
    }
}

/// The cells of a line, with where they begin. Commas, semicolons and tabs are between them.
fn cells(line: usize, text: &str) -> Vec<(Spot, &str)> {
    let mut column = 1;
    let mut cells = Vec::new();
    for cell in text.split([',', ';', '\t']) {
        let blank = cell.chars().take_while(|c| c.is_whitespace() || *c == '"').count();
        cells.push((Spot { line, column: column + blank }, cell.trim().trim_matches('"')));
        column += cell.chars().count() + 1;
    }
    cells
}

/// What EDN and JSON are made of here. `,` and `:` between values mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Bracket(char),
    Number(i64),
    Word(String),
}

fn tokens(text: &str) -> Result<Vec<(Spot, Token)>, Mistake> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let letters: Vec<char> = line.chars().collect();
        let mut at = 0;
        while let Some(letter) = letters.get(at).copied() {
            let spot = Spot { line: number + 1, column: at + 1 };
            let token = match letter {
                ';' => break,
                '{' | '}' | '[' | ']' | '(' | ')' => {
                    at += 1;
                    Token::Bracket(letter)
                }
                '"' => {
                    let Some(length) = letters[at + 1..].iter().position(|letter| *letter == '"') else {
                        return Err((spot, "a text that does not end on its line".to_owned()));
                    };
                    let text: String = letters[at + 1..at + 1 + length].iter().collect();
                    at += length + 2;
                    text.parse().map_or_else(|_| Token::Word(text), Token::Number)
                }
                letter if letter.is_whitespace() || letter == ',' || letter == ':' => {
                    at += 1;
                    continue;
                }
                _ => {
                    let ends = |letter: &char| letter.is_whitespace() || "{}[](),:;\"".contains(*letter);
                    let length = letters[at..].iter().position(ends).unwrap_or(letters.len() - at);
                    let text: String = letters[at..at + length].iter().collect();
                    at += length;
                    text.parse().map_or_else(|_| Token::Word(text), Token::Number)
                }
            };
            found.push((spot, token));
        }
    }
    Ok(found)
}

/// The tokens that are left.
struct Rest<'a> {
    tokens: &'a [(Spot, Token)],
    next: usize,
}

impl Rest<'_> {
    /// Where the next token is, or the last one was.
    fn spot(&self) -> Spot {
        let place = self.next.min(self.tokens.len().saturating_sub(1));
        self.tokens.get(place).map_or(Spot { line: 1, column: 1 }, |(spot, _)| *spot)
    }

    fn peek(&self) -> Result<&Token, Mistake> {
        let ended = || (self.spot(), "the file ends in the middle".to_owned());
        self.tokens.get(self.next).map(|(_, token)| token).ok_or_else(ended)
    }

    /// Takes a bracket if it is the next token.
    fn open(&mut self, bracket: char) -> Result<bool, Mistake> {
        let is_next = *self.peek()? == Token::Bracket(bracket);
        self.next += usize::from(is_next);
        Ok(is_next)
    }

    fn close(&mut self, bracket: char) -> Result<bool, Mistake> {
        self.open(bracket)
    }

    fn number(&mut self, what: &str) -> Result<(Spot, i64), Mistake> {
        let spot = self.spot();
        match self.peek()? {
            Token::Number(number) => {
                let number = *number;
                self.next += 1;
                Ok((spot, number))
            }
            Token::Word(word) => Err((spot, format!("expected {what}, not `{word}`"))),
            Token::Bracket(bracket) => Err((spot, format!("expected {what}, not `{bracket}`"))),
        }
    }

    fn word(&mut self) -> Result<(Spot, String), Mistake> {
        let spot = self.spot();
        match self.peek()? {
            Token::Word(word) => {
                let word = word.clone();
                self.next += 1;
                Ok((spot, word))
            }
            _ => Err((spot, "expected index, op_id or order".to_owned())),
        }
    }

    fn end(&self) -> Result<(), Mistake> {
        match self.tokens.get(self.next) {
            None => Ok(()),
            Some((spot, _)) => Err((*spot, "nothing may follow the end".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fissure_history::{ImportOptions, import::import_bytes};

    fn parsed(text: &str) -> Result<Vec<(Name, u64, i64)>, String> {
        let mut order = TransactionOrder { path: "order".into(), places: BTreeMap::new() };
        match order.parse(text) {
            Ok(()) => Ok(order.places.into_iter().map(|((name, number), (place, _))| (name, number, place)).collect()),
            Err((spot, what)) => Err(format!("{}:{}: {what}", spot.line, spot.column)),
        }
    }

    #[test]
    fn all_forms_say_the_same() {
        let expected = Ok(vec![(Name::Index, 1, 20), (Name::Index, 3, -10)]);
        for text in [
            "{1 20, 3 -10}",
            "; commit timestamps\n{1 20\n 3 -10} ; that is all\n",
            "{\"1\": 20, \"3\": -10}",
            "[[1, 20], [3, -10]]",
            "([1 20] [3 -10])",
            "[{:index 1 :order 20} {:order -10, :index 3}]",
            "[{\"index\": 1, \"order\": 20},\n {\"index\": 3, \"timestamp\": -10}]",
            "index,order\n1,20\n3,-10\n",
            "order;index\r\n20;1\r\n-10;3\r\n",
            "1,20\n\n# a remark\n3, -10",
            "\"1\"\t\"20\"\n3\t-10",
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        let by_op = Ok(vec![(Name::OpId, 0, 7), (Name::OpId, 2, 5)]);
        assert_eq!(parsed("op_id,order\n0,7\n2,5"), by_op);
        assert_eq!(parsed("[{\"op_id\": 2, \"order\": 5}, {\"op_id\": 0, \"order\": 7}]"), by_op);
        assert_eq!(parsed("{}"), Ok(Vec::new()));
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, expected) in [
            ("", "1:1: the file names no transaction"),
            ("{1 20\n 3}", "2:3: expected a place in the order, not `}`"),
            ("{1 20, 3 late}", "1:10: expected a place in the order, not `late`"),
            ("{1 20, 1 30}", "1:8: 1 is named twice"),
            ("{-1 20}", "1:2: -1 is below zero"),
            ("{1 20} {2 30}", "1:8: nothing may follow the end"),
            ("{1 20", "1:4: the file ends in the middle"),
            ("[[1, 20, 30]]", "1:10: a pair ends after two numbers"),
            ("[1 20]", "1:2: expected a pair or an object"),
            ("[{\"op\": 1, \"order\": 2}]", "1:3: `op` is none of index, op_id, order"),
            ("[{\"op_id\": 1}]", "1:2: an object needs index or op_id, and order"),
            ("[{\"op_id\": 1.5, \"order\": 2}]", "1:12: expected a whole number, not `1.5`"),
            ("{\"1: 20}", "1:2: a text that does not end on its line"),
            ("index,order\n1,x", "2:3: `x` is no whole number"),
            ("index,order\n1,2,3", "2:1: 3 cells where two are expected"),
            ("when,index\n1,2", "1:1: `when` is none of index, op_id, order"),
            ("order,order\n1,2", "1:1: expected two columns: index or op_id, and order"),
            ("99999999999999999999,1", "1:1: `99999999999999999999` is none of index, op_id, order"),
        ] {
            assert_eq!(parsed(text), Err(expected.to_owned()), "{text}");
        }
    }

    fn history() -> History {
        let text = b"{:index 0, :type :invoke, :process 0, :f :txn, :value [[:w 1 1]]}
{:index 1, :type :ok, :process 0, :f :txn, :value [[:w 1 1]]}
{:index 2, :type :invoke, :process 0, :f :txn, :value [[:w 1 2]]}
{:index 3, :type :ok, :process 0, :f :txn, :value [[:w 1 2]]}";
        import_bytes("h.edn".as_ref(), text, &ImportOptions::default()).unwrap().history
    }

    fn resolved(text: &str) -> Result<Vec<(u64, i64)>, String> {
        let mut order = TransactionOrder { path: "o.edn".into(), places: BTreeMap::new() };
        order.parse(text).unwrap();
        order.of(&history()).map_err(|failure| failure.error.to_string())
    }

    #[test]
    fn operations_are_found_by_the_index_of_either_event_or_by_their_number() {
        assert_eq!(resolved("{1 20, 3 10}"), Ok(vec![(0, 20), (1, 10)]));
        assert_eq!(resolved("{0 20}"), Ok(vec![(0, 20)]));
        assert_eq!(resolved("op_id,order\n1,5"), Ok(vec![(1, 5)]));
        assert_eq!(resolved("{2 1, 3 2}"), Err("o.edn:1:7: operation 1 is named twice".to_owned()));
        let missing = "o.edn:1:7: no operation of the history was invoked or completed at index 9";
        assert_eq!(resolved("{1 1, 9 2}"), Err(missing.to_owned()));
        assert_eq!(resolved("op_id,order\n7,5"), Err("o.edn:2:1: the history has no operation 7".to_owned()));
    }
}
