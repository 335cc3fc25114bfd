//! Keys under a passphrase, as minisign protects them: scrypt makes a mask from the passphrase, and
//! what is secret is written through it.
//!
//! ```text
//!   0  "Ed" "Sc" "B2"           algorithms: of the key, of the mask, of the checksum
//!   6  salt                     32 bytes
//!  38  most work, most memory   8 bytes each, the lowest first
//!  54  number, key, checksum    8, 64 and 32 bytes, exclusive or with the mask
//! ```
//! Whoever has the file can try passphrases, so each try is to be expensive. How expensive, the file
//! says; one of a stranger could ask for any amount, so there is a limit.

use std::ops::Range;
use std::path::{Path, PathBuf};

use scrypt::Params;
use zeroize::Zeroizing;

use super::key::{KeyError, SecretKey};
use super::passphrase::Passphrase;

/// How long a key is, protected or not.
pub(super) const LENGTH: usize = 158;

pub(super) const MASK_ALGORITHM: Range<usize> = 2..4;
/// What stands there in a key with a passphrase.
pub(super) const SCRYPT: &[u8; 2] = b"Sc";

const SALT: Range<usize> = 6..38;
const WORK: Range<usize> = 38..46;
const MEMORY: Range<usize> = 46..54;
const SECRET: Range<usize> = 54..LENGTH;

/// What minisign writes, libsodium's "sensitive": 1 GiB and some seconds for each try. Nothing that
/// asks for more is tried.
const COSTS: Costs = Costs { work: 1 << 25, memory: 1 << 30 };

/// How many blocks of 128 bytes scrypt mixes at a time.
const BLOCKS: u32 = 8;

/// Limits as the file has them; scrypt's parameters follow from them.
#[derive(Clone, Copy)]
struct Costs {
    work: u64,
    memory: u64,
}

impl Costs {
    /// `log2 N` and `p`, by the rule of libsodium's `crypto_pwhash_scryptsalsa208sha256`.
    fn parameters(self) -> (u8, u32) {
        let work = self.work.max(1 << 15);
        let is_short_of_work = work < self.memory / 32;
        let most = if is_short_of_work { work / 4 } else { self.memory / 128 } / u64::from(BLOCKS);
        let log_n = (1..63).find(|log_n| 1_u64 << log_n > most / 2).unwrap_or(63);
        if is_short_of_work {
            return (log_n, 1);
        }
        let blocks = ((work / 4) >> log_n).min(0x3fff_ffff);
        (log_n, u32::try_from(blocks).unwrap_or(u32::MAX) / BLOCKS)
    }

    /// How much memory scrypt takes.
    fn bytes(self) -> u64 {
        let (log_n, parallel) = self.parameters();
        u64::from(BLOCKS) * 128 * ((1 << log_n) + u64::from(parallel))
    }
}

/// A key whose secret is under a passphrase.
pub struct ProtectedKey {
    pub(super) path: PathBuf,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

impl ProtectedKey {
    /// The key, if this is its passphrase. That takes up to 1 GiB of memory and some seconds.
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<SecretKey, KeyError> {
        let mut bytes = self.bytes.clone();
        mask(&mut bytes, passphrase, &self.path)?;
        SecretKey::checked(bytes).ok_or_else(|| KeyError::WrongPassphrase { path: self.path.clone() })
    }
}

/// The bytes of the key for the file at `path`, its secret under the passphrase.
pub(super) fn protect(
    key: &[u8],
    passphrase: &Passphrase,
    path: &Path,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut bytes = Zeroizing::new(key.to_vec());
    bytes[MASK_ALGORITHM].copy_from_slice(SCRYPT);
    getrandom::fill(&mut bytes[SALT]).map_err(|error| KeyError::Crypto(error.to_string()))?;
    bytes[WORK].copy_from_slice(&COSTS.work.to_le_bytes());
    bytes[MEMORY].copy_from_slice(&COSTS.memory.to_le_bytes());
    mask(&mut bytes, passphrase, path)?;
    Ok(bytes)
}

/// Puts the mask on, or takes it off: both are the same.
fn mask(key: &mut [u8], passphrase: &Passphrase, path: &Path) -> Result<(), KeyError> {
    let number = |at: Range<usize>| u64::from_le_bytes(key[at].try_into().expect("eight bytes"));
    let costs = Costs { work: number(WORK), memory: number(MEMORY) };
    let excessive = || KeyError::Excessive { path: path.to_owned() };
    if costs.work > COSTS.work || costs.memory > COSTS.memory {
        return Err(excessive());
    }
    let (log_n, parallel) = costs.parameters();
    let parameters = Params::new(log_n, BLOCKS, parallel, Params::RECOMMENDED_LEN);
    let parameters = parameters.map_err(|_| excessive())?;
    // Where there is not so much memory, the library would end the process.
    let is_there = |bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
    if !usize::try_from(costs.bytes()).is_ok_and(is_there) {
        return Err(KeyError::Memory { path: path.to_owned(), mebibytes: costs.bytes() >> 20 });
    }
    let mut mask = Zeroizing::new([0; SECRET.end - SECRET.start]);
    scrypt::scrypt(passphrase.bytes(), &key[SALT], &parameters, &mut *mask).map_err(|_| excessive())?;
    key[SECRET].iter_mut().zip(mask.iter()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(())
}

#[cfg(test)]
mod tests;
