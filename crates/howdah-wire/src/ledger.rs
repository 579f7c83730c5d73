//! What a worker has taken on, told without a message: a memory file that the worker maps and the front reads when the worker
//! is dead. It holds the number of requests the worker began to run, `u64` little endian, counted before the first byte of PHP.
//!
//! A frame instead would cost a system call of either side for each request; and the queue of a dead worker's socket does not
//! tell what of it was read.

/// Bytes of the file.
pub const LENGTH: usize = 8;

/// The requests that were begun, of the file's content.
pub fn begun(content: [u8; LENGTH]) -> u64 {
    u64::from_le_bytes(content)
}
