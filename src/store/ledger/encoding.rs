//! The JSON of a ledger, for stores that keep values as bytes.

use serde::Deserialize;

use super::bounds::VERSION;
use super::{LastChanges, QuotaLedger};
use crate::store::FormatProblem;
use crate::store::quota_bounds::MAX_BYTES;

impl QuotaLedger {
    /// Reads a ledger from JSON.
    pub(in crate::store) fn read(bytes: &[u8]) -> Result<Self, FormatProblem> {
        #[derive(Deserialize)]
        struct Head {
            version: u64,
        }
        if bytes.len() > MAX_BYTES {
            return Err(FormatProblem::Damaged);
        }
        match serde_json::from_slice::<Self>(bytes) {
            Ok(ledger) if ledger.is_sound() => Ok(ledger),
            Ok(_) => Err(FormatProblem::Damaged),
            Err(_) => match serde_json::from_slice::<Head>(bytes) {
                Ok(Head { version }) if version > VERSION => Err(FormatProblem::Newer),
                _ => Err(FormatProblem::Damaged),
            },
        }
    }

    /// Encodes the ledger after a request of this member as JSON that [`read`](Self::read) reads.
    ///
    /// If a ledger is too large, the changes by the other members' last requests are dropped first: if such a member
    /// did not receive the response, its grant stays counted. The times of writes to owners are dropped next. Returns
    /// `None` if the ledger is still too large; it shrinks as members depart.
    pub(in crate::store) fn write(&mut self, member: &str) -> Option<Vec<u8>> {
        self.write_within(MAX_BYTES, member)
    }

    pub(super) fn write_within(&mut self, most: usize, member: &str) -> Option<Vec<u8>> {
        let written =
            |ledger: &Self| serde_json::to_vec(ledger).ok().filter(|bytes| bytes.len() <= most);
        if let Some(bytes) = written(self) {
            return Some(bytes);
        }
        for (name, other) in &mut self.members {
            if name != member {
                other.last_changes = LastChanges::default();
            }
        }
        if let Some(bytes) = written(self) {
            return Some(bytes);
        }
        self.owners.clear();
        written(self)
    }
}
