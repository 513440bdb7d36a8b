//! Accounts: 0 up to the number of keys. The total never changes, and no balance is negative.

use super::dice::{Chance, Dice};
use super::machine::{Fate, Machine, Refusal};
use super::spec::Spec;
use crate::op::Call;

/// What every account holds in the beginning.
pub(super) const INITIAL_BALANCE: i64 = 10;

/// The most that is moved at once.
const AMOUNT_MAX: u64 = 5;

/// `error_code` of a transfer that the account cannot pay.
pub(super) const INSUFFICIENT_FUNDS: &str = "insufficient-funds";

/// Accounts.
#[derive(Debug)]
pub(super) struct Accounts {
    balances: Vec<i64>,
    read: Chance,
}

impl Accounts {
    /// Accounts for a specification.
    pub(super) fn new(spec: &Spec) -> Self {
        Self { balances: vec![INITIAL_BALANCE; spec.keys as usize], read: Chance::new(spec.read_share) }
    }
}

impl Machine for Accounts {
    fn open(&mut self, dice: &mut Dice, _seat: usize, _fate: &mut Fate) -> Call {
        if dice.happens(self.read) {
            return Call::ReadBalances { balances: None };
        }
        let count = self.balances.len() as u64;
        let from = dice.below(count);
        let to = (from + dice.between(1, count - 1)) % count;
        Call::Transfer { from: from as i64, to: to as i64, amount: dice.between(1, AMOUNT_MAX) as i64 }
    }

    fn act(&mut self, _dice: &mut Dice, _seat: usize, call: &mut Call, fate: Fate) -> Result<(), Refusal> {
        match call {
            Call::ReadBalances { balances } if fate == Fate::Ok => {
                let numbered = self.balances.iter().enumerate();
                *balances = Some(numbered.map(|(account, balance)| (account as i64, Some(*balance))).collect());
            }
            Call::Transfer { from, to, amount } if fate.acts() => {
                if self.balances[*from as usize] < *amount {
                    return Err(INSUFFICIENT_FUNDS);
                }
                self.balances[*from as usize] -= *amount;
                self.balances[*to as usize] += *amount;
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, _seat: usize, _call: &Call, _acted: bool) {}
}
