//! A 64-bit checksum (FNV-1a), to detect damage and for short names. It is not cryptographic.

/// Source: Fowler, Noll, Vo, "FNV hash", variant 1a with 64 bits. Each step is a bijection of the state, so a change within one
/// byte is always detected.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3))
}
