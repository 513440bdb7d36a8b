//! `fissure sql`.
use crate::{args::SqlArgs, exit::{Exit, Failure}, screen::Screen};
pub fn sql(_args: &SqlArgs, _screen: &Screen) -> Result<Exit, Failure> { unreachable!() }
