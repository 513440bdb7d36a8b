//! What a simulated store can do, whatever its objects are.

use super::dice::Dice;
use super::spec::{Spec, Workload};
use super::{bank::Accounts, locks::Locks, log::Logs, queues::Queues, single, transactions::Transactions};
use crate::op::Call;

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It takes effect, and the client learns the result.
    Ok,
    /// It takes no effect, and the client learns that.
    Fail,
    /// It takes effect, but the client never learns of it.
    Unheard,
    /// It takes effect after the client gave it up.
    Late,
    /// It takes no effect, but the client never learns of it.
    Lost,
}

impl Fate {
    /// Whether the client gives it up.
    pub(super) fn is_info(self) -> bool {
        matches!(self, Fate::Unheard | Fate::Late | Fate::Lost)
    }

    /// Whether it takes effect.
    pub(super) fn acts(self) -> bool {
        matches!(self, Fate::Ok | Fate::Unheard | Fate::Late)
    }
}

/// Why an object refused: the `error_code` of the `fail`.
pub(super) type Refusal = &'static str;

/// A simulated store. Its clients sit on numbered seats; a seat has at most one operation in flight.
pub(super) trait Machine {
    /// Makes up the next call of a seat, with its reads unknown, and may change its fate.
    fn open(&mut self, dice: &mut Dice, seat: usize, fate: &mut Fate) -> Call;

    /// The one moment at which the call takes effect, whatever its fate. Fills in what it saw if its fate is
    /// [`Fate::Ok`].
    ///
    /// # Errors
    /// The object refuses, and nothing changes.
    fn act(&mut self, dice: &mut Dice, seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal>;

    /// Just before an `ok` is told.
    fn finish(&mut self, _dice: &mut Dice, _seat: usize, _call: &mut Call) {}

    /// The operation cannot take effect any more, and did so or not.
    fn close(&mut self, seat: usize, call: &Call, acted: bool);

    /// The seat belongs to another process from now on.
    fn reset(&mut self, _seat: usize) {}

    /// How many calls must end the history, if it ended now; 0 if none ever.
    fn farewells(&self) -> u64 {
        0
    }

    /// The next of the calls that end the history, when nothing else is in flight.
    fn farewell(&mut self, _seat: usize) -> Option<Call> {
        None
    }
}

/// The store for a specification. Its keys count from `first_key`.
pub(super) fn machine(spec: &Spec, first_key: i64) -> Box<dyn Machine + Send> {
    match spec.workload {
        Workload::ListAppend | Workload::RwRegister => Box::new(Transactions::new(spec, first_key)),
        Workload::Register => Box::new(single::Registers::new(spec, first_key)),
        Workload::Set => Box::new(single::Sets::new(spec, first_key)),
        Workload::Counter => Box::new(single::Counters::new(spec, first_key)),
        Workload::UniqueIds => Box::new(single::Numbers::new(spec, first_key)),
        Workload::Queue | Workload::UnorderedQueue | Workload::Stack => Box::new(Queues::new(spec, first_key)),
        Workload::Log => Box::new(Logs::new(spec, first_key)),
        Workload::Bank => Box::new(Accounts::new(spec)),
        Workload::Lock => Box::new(Locks::new(spec, first_key)),
    }
}

/// The entry of a seat in a list that grows with the seats.
pub(super) fn of_seat<T: Default>(seats: &mut Vec<T>, seat: usize) -> &mut T {
    if seats.len() <= seat {
        seats.resize_with(seat + 1, T::default);
    }
    &mut seats[seat]
}
