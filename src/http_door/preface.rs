//! Tells HTTP/2 from HTTP/1.1 by how a client begins.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What every HTTP/2 client sends first (RFC 9113, 3.4), and no HTTP/1.1 client.
const HTTP2: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1, or nothing that is known: HTTP/1.1's parser says so.
    Http1,
    /// HTTP/2, with prior knowledge.
    Http2,
}

/// Reads as much as it takes to tell, and gives it back: it belongs to what follows.
pub(crate) async fn read<T: AsyncRead + Unpin>(socket: &mut T) -> io::Result<(Protocol, Bytes)> {
    let mut begun = Vec::with_capacity(HTTP2.len());
    while begun.len() < HTTP2.len() && HTTP2.starts_with(&begun) {
        let room = (HTTP2.len() - begun.len()) as u64;
        if (&mut *socket).take(room).read_buf(&mut begun).await? == 0 {
            break;
        }
    }
    let protocol = if begun == HTTP2 { Protocol::Http2 } else { Protocol::Http1 };
    Ok((protocol, begun.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(mut bytes: &[u8]) -> (Protocol, Bytes) {
        read(&mut bytes).await.unwrap()
    }

    #[tokio::test]
    async fn a_client_is_told_by_its_first_bytes_and_none_is_lost() {
        let frames = [&HTTP2[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        let (protocol, begun) = told(&frames).await;
        assert_eq!((protocol, &begun[..]), (Protocol::Http2, &HTTP2[..]));
        for other in ["POST / HTTP/1.1\r\n", "P", "", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"] {
            let (protocol, begun) = told(other.as_bytes()).await;
            assert_eq!(protocol, Protocol::Http1, "{other}");
            assert!(other.as_bytes().starts_with(&begun), "{other}");
        }
    }

    #[tokio::test]
    async fn a_beginning_may_come_byte_by_byte() {
        let (mut client, mut server) = tokio::io::duplex(1);
        let sending = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut client, HTTP2).await.unwrap();
        });
        assert_eq!(read(&mut server).await.unwrap().0, Protocol::Http2);
        sending.await.unwrap();
    }
}
