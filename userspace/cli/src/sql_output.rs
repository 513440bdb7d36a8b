//! Where the answers of `fissure sql` go: standard output, or a file that appears when it is whole.

use crate::args::SqlFormat;
use crate::exit::Failure;
use crate::sql_command::form_of;
use crate::whole_file::WholeFile;
use fissure_sql::{Format, Session, SqlError, Written};
use std::io::{BufWriter, IsTerminal};
use std::path::Path;

/// Where answers go, and in which form.
pub(crate) struct Output {
    /// Form that was asked for; a file's name may ask for another.
    form: Option<SqlFormat>,
    /// Rows shown of a table; 0 shows all.
    pub(crate) rows: usize,
    file: Option<OutputFile>,
}

/// A file of answers.
struct OutputFile {
    file: WholeFile,
    form: Option<SqlFormat>,
    answers: usize,
}

impl Output {
    /// Answers in this form to this file, or else to standard output.
    ///
    /// # Errors
    /// When the file cannot be written, or Parquet would go to a terminal.
    pub(crate) fn new(form: Option<SqlFormat>, file: Option<&Path>, rows: usize) -> Result<Self, Failure> {
        let file = file.map(OutputFile::create).transpose()?;
        let output = Self { form, rows, file };
        output.check()?;
        Ok(output)
    }

    fn check(&self) -> Result<(), Failure> {
        if self.file.is_none() && self.form() == SqlFormat::Parquet && std::io::stdout().is_terminal() {
            let error = anyhow::anyhow!("Parquet is nothing for a terminal");
            return Err(Failure::usage(error).help("name a file with --output FILE"));
        }
        Ok(())
    }

    /// The form of the next answer.
    pub(crate) fn form(&self) -> SqlFormat {
        self.form.or(self.file.as_ref().and_then(|file| file.form)).unwrap_or(SqlFormat::Table)
    }

    /// Answers in this form from now on.
    ///
    /// # Errors
    /// When it is nothing for a terminal.
    pub(crate) fn set_form(&mut self, form: SqlFormat) -> Result<(), Failure> {
        let before = self.form.replace(form);
        self.check().inspect_err(|_| self.form = before)
    }

    /// Answers to this file, or to standard output, from now on. What went to a file before is finished.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn set_file(&mut self, path: Option<&Path>) -> Result<(), Failure> {
        self.finish()?;
        self.file = path.map(OutputFile::create).transpose()?;
        Ok(())
    }

    /// Whether answers go to a file.
    pub(crate) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// Answers a statement.
    ///
    /// # Errors
    /// When the statement is wrong, or the answer cannot be written.
    pub(crate) fn answer(&mut self, session: &Session, statement: &str) -> Result<Written, SqlError> {
        let form = match self.form() {
            // A file for people has all rows.
            SqlFormat::Table => Format::Table { limit: if self.file.is_some() { 0 } else { self.rows } },
            SqlFormat::Csv => Format::Csv,
            SqlFormat::Json => Format::Json,
            SqlFormat::Jsonl => Format::JsonLines,
            SqlFormat::Parquet => Format::Parquet,
        };
        match &mut self.file {
            None => session.write_answer(statement, form, BufWriter::new(std::io::stdout())),
            Some(file) => {
                file.answers += 1;
                if file.answers > 1 && form == Format::Parquet {
                    let detail = "a Parquet file holds one answer".to_owned();
                    return Err(SqlError::Format { form: "Parquet", detail });
                }
                session.write_answer(statement, form, &mut file.file)
            }
        }
    }

    /// Finishes the file: it appears in its place.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.file.take().map_or(Ok(()), |output| output.file.finish())
    }
}

impl OutputFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        Ok(Self { file: WholeFile::create(path)?, form: form_of(path), answers: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_comes_from_the_flag_or_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let output = Output::new(None, Some(&dir.path().join("x.parquet")), 40).unwrap();
        assert_eq!(output.form(), SqlFormat::Parquet);
        let mut output = Output::new(Some(SqlFormat::Csv), Some(&dir.path().join("x.parquet")), 40).unwrap();
        assert_eq!(output.form(), SqlFormat::Csv);
        output.set_file(None).unwrap();
        assert!(!output.is_file());
        assert_eq!(Output::new(None, None, 40).unwrap().form(), SqlFormat::Table);
    }
}
