//! Findings to terminal, JSON, JUnit and one self-contained HTML page.
