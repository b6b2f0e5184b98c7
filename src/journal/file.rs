//! A journal file: its name, and the block at its front.
//!
//! `<number, 20 digits>.journal`; the number is also the *generation* that the frames written under
//! that name carry. `<number>.zeroing` is one being made.
//!
//! | at | bytes | file header, little-endian, in a block of 4096 |
//! |---|---|---|
//! | 0 | 8 | magic `THALWEGJ` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | zero |
//! | 16 | 8 | generation |
//! | 24 | 4 | CRC-32C of bytes 0-23 |
//!
//! A file is put to use in two steps: it gets its new name (durably), then its header. So a file
//! whose header has another generation than its name has no frames of that name yet.

use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};
use runtime::fs::AlignedBuffer;

use crate::frame::{BLOCK_BYTES, FORMAT_VERSION};

/// The block before the first frame.
pub const FILE_HEADER_BYTES: u64 = BLOCK_BYTES as u64;

const MAGIC: [u8; 8] = *b"THALWEGJ";
const SUMMED_BYTES: usize = 24;
const HEADER_BYTES: usize = 28;
const SUFFIX: &str = ".journal";
const ZEROING_SUFFIX: &str = ".zeroing";

/// How many bytes of frames a file of this size holds.
pub fn file_capacity_bytes(size_bytes: u64) -> u64 {
    size_bytes.saturating_sub(FILE_HEADER_BYTES)
}

/// What a name in the journal's directory means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileName {
    /// A file of this number.
    Journal(u64),
    /// Half made when the process ended.
    Zeroing,
    /// Not the journal's.
    Foreign,
}

impl FileName {
    /// Reads a name.
    pub fn parse(name: &str) -> FileName {
        if let Some(number) = name.strip_suffix(SUFFIX) {
            let digits = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
            return match number.parse() {
                Ok(number) if digits => FileName::Journal(number),
                _ => FileName::Foreign,
            };
        }
        if name.ends_with(ZEROING_SUFFIX) {
            return FileName::Zeroing;
        }
        FileName::Foreign
    }
}

/// Where file `number` is.
pub fn journal_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}{SUFFIX}"))
}

/// Where file `number` is made.
pub fn zeroing_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}{ZEROING_SUFFIX}"))
}

/// The file header as read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileHeader {
    /// In use, or ready for it, under this generation.
    Generation(u64),
    /// Written by another version of the program.
    UnsupportedVersion(u32),
    /// Zeros, torn or damaged.
    Unreadable,
}

impl FileHeader {
    /// Reads the front of a file.
    pub fn parse(block: &[u8]) -> FileHeader {
        let (Some(summed), Some(mut fields)) =
            (block.get(..SUMMED_BYTES), block.get(..HEADER_BYTES))
        else {
            return FileHeader::Unreadable;
        };
        if !fields.starts_with(&MAGIC) {
            return FileHeader::Unreadable;
        }
        fields.advance(MAGIC.len());
        let version = fields.get_u32_le();
        fields.advance(4);
        let generation = fields.get_u64_le();
        if fields.get_u32_le() != crc32c::crc32c(summed) {
            return FileHeader::Unreadable;
        }
        if version != u32::from(FORMAT_VERSION) {
            return FileHeader::UnsupportedVersion(version);
        }
        FileHeader::Generation(generation)
    }
}

/// The block to write at the front of a file.
pub(crate) fn header_block(generation: u64) -> AlignedBuffer {
    let mut fields = Vec::with_capacity(HEADER_BYTES);
    fields.put_slice(&MAGIC);
    fields.put_u32_le(u32::from(FORMAT_VERSION));
    fields.put_u32_le(0);
    fields.put_u64_le(generation);
    let crc = crc32c::crc32c(&fields);
    fields.put_u32_le(crc);
    let mut block = AlignedBuffer::with_capacity(BLOCK_BYTES);
    block.extend_from_slice(&fields);
    block.pad_to_block();
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_as_its_number() {
        let path = journal_path(Path::new("d"), 42);
        assert_eq!(path, Path::new("d/00000000000000000042.journal"));
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(FileName::parse(name), FileName::Journal(42));
        assert_eq!(FileName::parse("00000000000000000042.zeroing"), FileName::Zeroing);
        for foreign in ["42.journal", "lost+found", "+0000000000000000042.journal", ".journal"] {
            assert_eq!(FileName::parse(foreign), FileName::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_header_comes_back_and_any_flipped_bit_is_noticed() {
        let block = header_block(7);
        assert_eq!(FileHeader::parse(block.as_slice()), FileHeader::Generation(7));
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = block.as_slice().to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHeader::parse(&damaged), FileHeader::Unreadable, "bit {bit}");
        }
        assert_eq!(FileHeader::parse(&[0; 4096]), FileHeader::Unreadable);
        assert_eq!(FileHeader::parse(&[]), FileHeader::Unreadable);
    }
}
