//! Large and awkward histories: no deep recursion, no quadratic growth.

use super::simulated::{Shape, simulate};
use super::*;
