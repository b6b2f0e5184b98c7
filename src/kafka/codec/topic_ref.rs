//! How Produce and Fetch name a topic: by name, or from version 13 by id (KIP-516).

use model::TopicId;

use crate::wire::{Malformed, Reader, Writer};

/// How a request names a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    /// By name, not yet checked.
    Name(String),
    /// By id.
    Id(TopicId),
}

impl TopicRef {
    /// Reads an id or a name.
    pub fn parse(
        reader: &mut Reader<'_>,
        by_id: bool,
        flexible: bool,
    ) -> Result<TopicRef, Malformed> {
        if by_id {
            return reader.topic_id().map(TopicRef::Id);
        }
        reader.string(flexible).map(|name| TopicRef::Name(name.to_owned()))
    }

    /// Echoes it in a reply.
    pub fn write(&self, writer: &mut Writer, by_id: bool) {
        match self {
            TopicRef::Id(id) if by_id => writer.topic_id(*id),
            TopicRef::Name(name) if !by_id => writer.string(name),
            // A request of one version names all its topics in one way, and its reply likewise.
            TopicRef::Id(_) => writer.string(""),
            TopicRef::Name(_) => writer.topic_id(TopicId::NONE),
        }
    }

    /// The fewest bytes that it takes in a request.
    pub fn least_bytes(by_id: bool) -> usize {
        if by_id { 16 } else { 1 }
    }
}
