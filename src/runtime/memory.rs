//! How the allocator treats memory that was given back.
#![expect(unsafe_code, reason = "mallopt has no safe wrapper in libc")]

/// The largest that glibc accepts. Requests of clients are smaller, but for a few.
const MAPPED_APART_BYTES: libc::c_int = 32 << 20;

/// Freed memory at the end of a heap that is kept.
const KEPT_BYTES: libc::c_int = 1 << 30;

/// Lets the allocator keep freed memory for the next request instead of giving it back to the system. A batch's
/// memory comes and goes a thousand times a second; each return costs the kernel fresh, zeroed pages, which is
/// more work than all else that is done with the bytes. How much is in use at most is bounded by the budgets of
/// the rooms, so no more is kept than was needed once.
///
/// To be called before any thread is started. Without glibc it does nothing.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    for (option, value) in
        [(libc::M_MMAP_THRESHOLD, MAPPED_APART_BYTES), (libc::M_TRIM_THRESHOLD, KEPT_BYTES)]
    {
        // SAFETY: it sets a number in the allocator, and by the caller's promise no other thread is there.
        if unsafe { libc::mallopt(option, value) } == 0 {
            tracing::debug!(option, value, "the allocator refuses a setting");
        }
    }
}
