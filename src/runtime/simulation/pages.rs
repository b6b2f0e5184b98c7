//! The bytes of a simulated file: sparse, so that a pre-zeroed file of any size costs nothing.

use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) const PAGE_BYTES: u64 = 4096;
type Page = [u8; PAGE_BYTES as usize];
const ZEROS: Page = [0; PAGE_BYTES as usize];

/// A file's content. Pages that were never written, or only with zeros, are absent.
#[derive(Clone, Default, Debug)]
pub(super) struct Pages {
    pages: BTreeMap<u64, Rc<Page>>,
    len: u64,
}

impl Pages {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.split_off(&len.div_ceil(PAGE_BYTES));
            let kept = (len % PAGE_BYTES) as usize;
            if kept != 0
                && let Some(last) = self.pages.get_mut(&(len / PAGE_BYTES))
            {
                Rc::make_mut(last).get_mut(kept..).unwrap_or_default().fill(0);
            }
        }
        self.len = len;
    }

    pub fn write(&mut self, position: u64, bytes: &[u8]) {
        let mut position = position;
        let mut rest = bytes;
        while !rest.is_empty() {
            let inside = (position % PAGE_BYTES) as usize;
            let (now, later) = rest.split_at(rest.len().min(PAGE_BYTES as usize - inside));
            let index = position / PAGE_BYTES;
            if self.pages.contains_key(&index) || !now.iter().all(|byte| *byte == 0) {
                let page = self.pages.entry(index).or_insert_with(|| Rc::new(ZEROS));
                if let Some(place) = Rc::make_mut(page).get_mut(inside..inside + now.len()) {
                    place.copy_from_slice(now);
                }
            }
            position += now.len() as u64;
            rest = later;
        }
        self.len = self.len.max(position);
    }

    /// At most `len` bytes from `position` on; fewer at the end of the file.
    pub fn read(&self, position: u64, len: usize) -> Vec<u8> {
        let len = self.len.saturating_sub(position).min(len as u64) as usize;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = position + bytes.len() as u64;
            let inside = (at % PAGE_BYTES) as usize;
            let take = (len - bytes.len()).min(PAGE_BYTES as usize - inside);
            match self.pages.get(&(at / PAGE_BYTES)) {
                Some(page) => {
                    bytes.extend_from_slice(page.get(inside..inside + take).unwrap_or_default())
                }
                None => bytes.resize(bytes.len() + take, 0),
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn pages_behave_as_one_flat_file() {
        let random = super::super::random::Random::new(3);
        let mut pages = Pages::default();
        let mut flat: Vec<u8> = Vec::new();
        for round in 0..500_u64 {
            let position = random.below(20_000);
            if random.chance(1, 8) {
                pages.set_len(position);
                flat.resize(position as usize, 0);
            } else {
                let bytes = vec![(round % 5) as u8; random.below(9_000) as usize];
                pages.write(position, &bytes);
                if !bytes.is_empty() {
                    let end = position as usize + bytes.len();
                    flat.resize(flat.len().max(end), 0);
                    flat[position as usize..end].copy_from_slice(&bytes);
                } else {
                    flat.resize(flat.len().max(position as usize), 0);
                }
            }
            let from = random.below(25_000);
            let expected = flat.get(from as usize..).unwrap_or(&[]);
            let len = random.below(10_000) as usize;
            assert_eq!(pages.read(from, len), expected[..expected.len().min(len)]);
        }
    }
}
