//! Memory that a disk can be written from without a copy.
#![expect(unsafe_code, reason = "memory aligned for O_DIRECT cannot be had from a Vec<u8>")]

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    fmt,
    ptr::NonNull,
    slice,
};

/// The unit of O_DIRECT: address, length and file position of a direct write are multiples of it.
pub const BLOCK_BYTES: usize = 4096;

/// A growable buffer whose first byte lies on a [`BLOCK_BYTES`] boundary and whose capacity is a multiple of it.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    len: usize,
    capacity: usize,
}

// SAFETY: the buffer is the only owner of its memory, and hands it out only by borrows of itself.
unsafe impl Send for AlignedBuffer {}
// SAFETY: through a shared reference it can only be read.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// An empty buffer with room for at least `bytes` (rounded up to whole blocks, at least one).
    pub fn with_capacity(bytes: usize) -> AlignedBuffer {
        let capacity = whole_blocks(bytes.max(1));
        AlignedBuffer { start: allocate(capacity), len: 0, capacity }
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that fit without growing.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Adds a copy of `bytes` at the end; grows (at least doubling) when they do not fit.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        // SAFETY: `reserve` made room for `bytes.len()` bytes behind `len`, and `bytes` cannot overlap memory
        // that this buffer owns and lends mutably to this call.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.start.as_ptr().add(self.len),
                bytes.len(),
            );
        }
        self.len += bytes.len();
    }

    /// Adds `count` zero bytes at the end.
    pub fn extend_zeroed(&mut self, count: usize) {
        self.reserve(count);
        // SAFETY: `reserve` made room for `count` bytes behind `len`.
        unsafe { std::ptr::write_bytes(self.start.as_ptr().add(self.len), 0, count) };
        self.len += count;
    }

    /// Fills up with zeros to a whole number of blocks.
    pub fn pad_to_block(&mut self) {
        self.extend_zeroed(whole_blocks(self.len) - self.len);
    }

    /// Forgets the content, keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Keeps the first `len` bytes; no effect if fewer are held.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// What is held.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised: only the methods above raise `len`, after writing.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// What is held, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`; the borrow is exclusive.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Where the next byte would go.
    #[cfg(not(feature = "simulation"))]
    pub(crate) fn spare_start(&mut self) -> *mut u8 {
        // SAFETY: `len` is at most the capacity, so this points into the memory or just behind it.
        unsafe { self.start.as_ptr().add(self.len) }
    }

    /// Takes the first `len` bytes as held.
    ///
    /// # Safety
    /// They must be within the capacity, and have been written.
    #[cfg(not(feature = "simulation"))]
    pub(crate) unsafe fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    fn reserve(&mut self, additional: usize) {
        let needed = self.len.checked_add(additional).unwrap_or_else(|| capacity_overflow());
        if needed <= self.capacity {
            return;
        }
        let capacity = whole_blocks(needed.max(self.capacity.saturating_mul(2)));
        let grown = allocate(capacity);
        // SAFETY: both point to at least `len` bytes, of different allocations.
        unsafe { std::ptr::copy_nonoverlapping(self.start.as_ptr(), grown.as_ptr(), self.len) };
        release(self.start, self.capacity);
        self.start = grown;
        self.capacity = capacity;
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        release(self.start, self.capacity);
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} of {} bytes)", self.len, self.capacity)
    }
}

fn whole_blocks(bytes: usize) -> usize {
    bytes.checked_next_multiple_of(BLOCK_BYTES).unwrap_or_else(|| capacity_overflow())
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, BLOCK_BYTES).unwrap_or_else(|_| capacity_overflow())
}

fn allocate(capacity: usize) -> NonNull<u8> {
    let layout = layout(capacity);
    // SAFETY: `capacity` is at least one block, so the layout is not empty.
    let start = unsafe { alloc(layout) };
    NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout))
}

fn release(start: NonNull<u8>, capacity: usize) {
    // SAFETY: `start` came from `allocate(capacity)` and is given up here.
    unsafe { dealloc(start.as_ptr(), layout(capacity)) };
}

/// As `Vec` does when a length no longer fits into the address space.
#[expect(clippy::panic, reason = "no caller can hold that many bytes in memory")]
fn capacity_overflow() -> ! {
    panic!("a buffer of more bytes than there are addresses was asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a buffer of one block, when it grows and is padded, then content and alignment must hold.
    #[test]
    fn grows_and_pads_without_losing_content() {
        let mut buffer = AlignedBuffer::with_capacity(1);
        assert_eq!(buffer.capacity(), BLOCK_BYTES);
        let text: Vec<u8> = (0..10_000u32).map(|n| n as u8).collect();
        buffer.extend_from_slice(&text[..10]);
        buffer.extend_from_slice(&text[10..]);
        buffer.pad_to_block();
        assert_eq!(&buffer.as_slice()[..text.len()], &text[..]);
        assert!(buffer.as_slice()[text.len()..].iter().all(|byte| *byte == 0));
        assert_eq!(buffer.len(), 3 * BLOCK_BYTES);
        assert_eq!(buffer.as_slice().as_ptr() as usize % BLOCK_BYTES, 0);
        buffer.pad_to_block();
        assert_eq!(buffer.len(), 3 * BLOCK_BYTES, "a whole block needs no padding");
    }
}
