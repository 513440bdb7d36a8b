//! What people and programs see, held by snapshots.

mod cycle;
mod page;
mod programs;
mod terminal;

use crate::Style;

const PLAIN: Style = Style { color: false, width: 100 };
const HOSTILE: &str = "</script>";
