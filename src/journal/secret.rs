//! The secret key of an instance, and the keyed hash that only this instance can make.
//!
//! The key is written to the instance's `id` file and nowhere else. Other modules get hashes, never the key.

use rustix::io::{Errno, retry_on_intr};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fmt;
use std::hash::Hasher;

/// 128 random bits that no other instance has.
#[derive(Clone, PartialEq, Eq)]
pub struct InstanceSecret(u64, u64);

impl InstanceSecret {
    /// A new key, from the operating system. Early after boot this waits until the kernel has enough randomness.
    ///
    /// # Errors
    /// The kernel gives no random numbers.
    pub fn random() -> Result<InstanceSecret, Errno> {
        let mut bytes = [0; 16];
        // The kernel never gives a part of so few bytes.
        retry_on_intr(|| getrandom(&mut bytes, GetRandomFlags::empty()))?;
        Ok(InstanceSecret::from_bits(u128::from_ne_bytes(bytes)))
    }

    /// The key that was written to the `id` file.
    pub(super) fn read(text: &str) -> Option<InstanceSecret> {
        let is_key = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| is_key).map(InstanceSecret::from_bits)
    }

    /// The key for the `id` file.
    pub(super) fn written(&self) -> String {
        format!("{:016x}{:016x}", self.0, self.1)
    }

    fn from_bits(bits: u128) -> InstanceSecret {
        let [high, low] = [bits >> 64, bits & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or_default());
        InstanceSecret(high, low)
    }

    /// The keyed hash of a text, by SipHash-2-4.
    #[expect(
        deprecated,
        reason = "deprecated for hash maps, which need no particular hash; a mark outlives the program, so it does"
    )]
    pub fn hash(&self, text: &[u8]) -> u64 {
        let mut hasher = std::hash::SipHasher::new_with_keys(self.0, self.1);
        hasher.write(text);
        hasher.finish()
    }
}

/// Never shows the key.
impl fmt::Debug for InstanceSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in appendix A of the paper by Aumasson and Bernstein.
    #[test]
    fn the_hash_is_siphash_2_4() {
        let secret = InstanceSecret(0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908);
        let text: Vec<u8> = (0..15).collect();
        assert_eq!(secret.hash(&text), 0xA129_CA61_49BE_45E5);
    }

    #[test]
    fn a_key_is_read_as_it_was_written_and_never_shown() {
        let secret = InstanceSecret::random().expect("the kernel has random numbers");
        assert_eq!(InstanceSecret::read(&secret.written()), Some(secret.clone()));
        assert_ne!(InstanceSecret::random(), Ok(secret.clone()));
        for text in ["", "0", &"g".repeat(32), &format!("+{}", "0".repeat(31)), &"0".repeat(33)] {
            assert_eq!(InstanceSecret::read(text), None, "{text}");
        }
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
