//! From secrets to keys: HKDF-SHA256 for secrets that are random already, Argon2id in front of it
//! for passphrases.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use forgeone_db_engine::{Error, ErrorKind, Result};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// The least memory, in KiB, that is believed when it is read from a keyring.
const MEMORY_KIB_MIN: u32 = 8 * 1024; // on-disk
/// The most memory, in KiB.
const MEMORY_KIB_MAX: u32 = 1024 * 1024; // on-disk
/// The most passes over the memory.
const PASSES_MAX: u32 = 16; // on-disk
/// The most lanes. They are computed one after another, so more of them cost no less time.
const LANES_MAX: u32 = 16; // on-disk
/// The most memory times passes, in KiB: what bounds the time of one attempt.
const WORK_KIB_MAX: u64 = 4 * 1024 * 1024; // on-disk

/// How hard a passphrase is to guess: the parameters of Argon2id, stored in its slot.
///
/// # Limits
/// 8 MiB to 1 GiB of memory, 1 to 16 passes, 1 to 16 lanes, and at most 4 GiB of memory times
/// passes. Anything else in a keyring is a sign of tampering and is refused before any work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfParams {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes. They are computed one after another.
    pub lanes: u32,
}

impl KdfParams {
    /// What new passphrase slots get: 64 MiB, 3 passes, 1 lane (the second recommendation of RFC
    /// 9106, with one lane because lanes are not computed in parallel here).
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// The least that is accepted. For tests, where the passphrase protects nothing.
    pub const FLOOR: Self = Self { memory_kib: MEMORY_KIB_MIN, passes: 1, lanes: 1 };

    /// Whether the parameters are within the limits.
    pub fn is_acceptable(self) -> bool {
        (MEMORY_KIB_MIN..=MEMORY_KIB_MAX).contains(&self.memory_kib)
            && (1..=PASSES_MAX).contains(&self.passes)
            && (1..=LANES_MAX).contains(&self.lanes)
            && u64::from(self.memory_kib) * u64::from(self.passes) <= WORK_KIB_MAX
    }
}

/// Memory for Argon2id that is wiped when dropped: its last blocks give the result away.
struct Memory(Vec<Block>);

impl AsMut<[Block]> for Memory {
    fn as_mut(&mut self) -> &mut [Block] {
        &mut self.0
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for block in &mut self.0 {
            block.as_mut().zeroize();
        }
    }
}

/// Derives 32 bytes from a passphrase with Argon2id version 0x13.
///
/// # Errors
/// `Invalid` for parameters outside the limits, before any work. `Unavailable` when there is not
/// that much memory.
pub(super) fn stretch(
    passphrase: &[u8],
    salt: &[u8; 32],
    params: KdfParams,
) -> Result<Zeroizing<[u8; 32]>> {
    if !params.is_acceptable() {
        return Err(Error::new(ErrorKind::Invalid, "passphrase parameters are outside the limits"));
    }
    let failed = |_| Error::new(ErrorKind::Internal, "the passphrase derivation failed");
    let argon_params =
        Params::new(params.memory_kib, params.passes, params.lanes, Some(32)).map_err(failed)?;
    let blocks = argon_params.block_count();
    let mut memory = Memory(Vec::new());
    memory.0.try_reserve_exact(blocks).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "there is not enough memory to try the passphrase")
            .with("bytes", blocks.saturating_mul(size_of::<Block>()))
            .with_source(error)
    })?;
    memory.0.resize(blocks, Block::new());
    let mut out = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, argon_params)
        .hash_password_into_with_memory(passphrase, salt, &mut *out, memory)
        .map_err(failed)?;
    Ok(out)
}

/// HKDF-SHA256 of `secret` over `salt`, expanded under the concatenation of `info`. The only
/// derivation of keys from keys.
///
/// # Errors
/// `Internal` if more than 8,160 bytes are asked for.
pub(super) fn expand(salt: &[u8], secret: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<()> {
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand_multi_info(info, out)
        .map_err(|_| Error::new(ErrorKind::Internal, "key derivation failed"))
}

#[cfg(test)]
mod tests {
    use super::{KdfParams, stretch};
    use forgeone_db_engine::ErrorKind;

    #[test]
    fn absurd_parameters_are_refused_before_any_work() {
        let with = |memory_kib, passes, lanes| KdfParams { memory_kib, passes, lanes };
        for params in [
            with(0, 1, 1),
            with(8 * 1024 - 1, 1, 1),
            with(1024 * 1024 + 1, 1, 1),
            with(u32::MAX, 1, 1),
            with(8 * 1024, 0, 1),
            with(8 * 1024, 17, 1),
            with(8 * 1024, u32::MAX, 1),
            with(8 * 1024, 1, 0),
            with(8 * 1024, 1, 17),
            with(1024 * 1024, 5, 1),
        ] {
            assert!(!params.is_acceptable(), "{params:?}");
            let kind = stretch(b"passphrase", &[1; 32], params).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::Invalid);
        }
        for params in [KdfParams::DEFAULT, KdfParams::FLOOR, with(1024 * 1024, 4, 16)] {
            assert!(params.is_acceptable(), "{params:?}");
        }
    }

    #[test]
    fn every_input_changes_the_result() {
        let floor = KdfParams::FLOOR;
        let base = stretch(b"passphrase", &[1; 32], floor).unwrap();
        assert_eq!(base, stretch(b"passphrase", &[1; 32], floor).unwrap());
        assert_ne!(base, stretch(b"passphrasf", &[1; 32], floor).unwrap());
        assert_ne!(base, stretch(b"passphrase", &[2; 32], floor).unwrap());
        for other in [
            KdfParams { memory_kib: floor.memory_kib + 8, ..floor },
            KdfParams { passes: 2, ..floor },
            KdfParams { lanes: 2, ..floor },
        ] {
            assert_ne!(base, stretch(b"passphrase", &[1; 32], other).unwrap());
        }
    }
}
