//! Sections that are compressed: most often those of debug information.

use std::borrow::Cow;
use std::collections::HashMap;

use flate2::read::ZlibDecoder;
use object::{CompressedData, CompressionFormat, ObjectSection};
use zstd::stream::read::Decoder;

use super::Section;
use crate::explain::Room;
use crate::explain::align::numbered;
use crate::explain::compressed::unpacked_to;

/// As a power of two, how far back a stream may refer: what zstd takes memory for.
const ZSTD_WINDOW: u32 = 26;

/// What a section holds, packed.
pub(super) struct Packed<'a> {
    method: CompressionFormat,
    bytes: &'a [u8],
    /// So many bytes they are, unpacked.
    size: u64,
}

impl<'a> Packed<'a> {
    /// Nothing if the section is not compressed.
    pub fn of(section: &object::Section<'a, '_>) -> Option<Self> {
        // A damaged header is that of a method that nobody knows.
        let unknown = CompressedData { format: CompressionFormat::Unknown, data: b"", uncompressed_size: 0 };
        let CompressedData { format: method, data: bytes, uncompressed_size: size } =
            section.compressed_data().unwrap_or(unknown);
        (method != CompressionFormat::None).then_some(Self { method, bytes, size })
    }

    fn unpack(&self, room: &mut Room) -> Option<Vec<u8>> {
        match self.method {
            CompressionFormat::Zlib => unpacked_to(self.size, ZlibDecoder::new(self.bytes), room),
            CompressionFormat::Zstandard => {
                let mut stream = Decoder::new(self.bytes).ok()?;
                stream.window_log_max(ZSTD_WINDOW).ok()?;
                unpacked_to(self.size, stream, room)
            }
            _ => None,
        }
    }
}

/// Unpacks the sections of one name that differ, if one of them is compressed. Where that cannot be done,
/// both stay as they are.
pub(super) fn unpack<'a>(before: &mut [Section<'a>], after: &mut [Section<'a>], room: &mut Room) {
    let names = |sections: &[Section]| -> Vec<(String, usize)> {
        let keys = numbered(sections.iter().map(|section| section.name.as_str()));
        keys.into_iter().map(|(name, number)| (name.to_owned(), number)).collect()
    };
    let mut others: HashMap<_, _> = names(after).into_iter().zip(after).collect();
    for (key, one) in names(before).into_iter().zip(before) {
        let Some(other) = others.remove(&key) else { continue };
        if one.written == other.written || one.packed.is_none() && other.packed.is_none() {
            continue;
        }
        if let (Some(held), Some(other_held)) = (content(one, room), content(other, room)) {
            for (section, held) in [(one, held), (other, other_held)] {
                if section.packed.take().is_some() {
                    section.size = held.len() as u64;
                }
                section.data = held;
            }
        }
    }
}

fn content<'a>(section: &Section<'a>, room: &mut Room) -> Option<Cow<'a, [u8]>> {
    match &section.packed {
        None => Some(section.data.clone()),
        Some(packed) => packed.unpack(room).map(Cow::Owned),
    }
}
