//! SPDY/3.1 framing, as far as Kubernetes streams need it (`github.com/moby/spdystream`).
//!
//! Streams are opened by the client and answered without headers. Flow control does not exist: neither Go's
//! client nor its server knows it.

use bytes::{Buf, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status as Inflated};

/// The words that header blocks may refer back to (SPDY/3, section 2.6.10.1).
const DICTIONARY: &[u8] = include_bytes!("spdy.dictionary");
/// No header block is longer when unpacked.
const MOST_HEADERS: usize = 64 * 1024;
/// The sender is done with its half of a stream.
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// What the client sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A new stream, with its headers in lower case.
    Open {
        /// Its number.
        stream: u32,
        /// Names and values.
        headers: Vec<(String, String)>,
    },
    /// Bytes of a stream.
    Data {
        /// Its number.
        stream: u32,
        /// The bytes.
        bytes: Bytes,
        /// Whether they are the last.
        last: bool,
    },
    /// A stream is abandoned.
    Reset {
        /// Its number.
        stream: u32,
    },
    /// To be sent back as it is.
    Ping(u32),
    /// The client is about to leave.
    GoAway,
    /// Nothing that matters here.
    Other,
}

/// The bytes are no SPDY.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Takes a stream of bytes apart.
pub struct Decoder {
    buffer: BytesMut,
    inflate: Decompress,
    /// Whether the zlib header of the header blocks has gone by.
    begun: bool,
}

impl Decoder {
    /// At the beginning of a connection.
    ///
    /// # Errors
    /// When the dictionary cannot be loaded, which never happens.
    pub fn new() -> Result<Self, Malformed> {
        let mut inflate = Decompress::new(false);
        // Not every back end of the crate takes a dictionary, but each remembers what it has just unpacked.
        let primer = stored(DICTIONARY);
        let mut sink = Vec::with_capacity(2 * DICTIONARY.len());
        inflate
            .decompress_vec(&primer, &mut sink, FlushDecompress::Sync)
            .map_err(|_| Malformed("the dictionary does not unpack"))?;
        Ok(Self { buffer: BytesMut::new(), inflate, begun: false })
    }

    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, `None` until more arrives.
    ///
    /// # Errors
    /// When the bytes make no sense; the connection is lost then.
    pub fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some((head, tail)) = self.buffer.split_at_checked(8) else { return Ok(None) };
        let word = |at: usize| head.get(at..at + 4).map_or(0, |mut four| four.get_u32());
        let (first, second) = (word(0), word(4));
        let length = (second & 0x00ff_ffff) as usize;
        if tail.len() < length {
            return Ok(None);
        }
        let flags = head[4];
        self.buffer.advance(8);
        let mut payload = self.buffer.split_to(length).freeze();
        if first & 0x8000_0000 == 0 {
            return Ok(Some(Frame::Data { stream: first, bytes: payload, last: flags & FIN != 0 }));
        }
        let kind = (first & 0xffff) as u16;
        let fixed = match kind {
            SYN_STREAM => 10,
            HEADERS | RST_STREAM | PING => 4,
            _ => 0,
        };
        if payload.len() < fixed {
            return Err(Malformed("a frame is too short"));
        }
        Ok(Some(match kind {
            SYN_STREAM => {
                let stream = payload.get_u32() & 0x7fff_ffff;
                payload.advance(6);
                Frame::Open { stream, headers: self.headers(&payload)? }
            }
            HEADERS => {
                payload.advance(4);
                // Unpacked all the same: what follows refers back to it.
                self.headers(&payload)?;
                Frame::Other
            }
            RST_STREAM => Frame::Reset { stream: payload.get_u32() & 0x7fff_ffff },
            PING => Frame::Ping(payload.get_u32()),
            GOAWAY => Frame::GoAway,
            _ => Frame::Other,
        }))
    }

    fn headers(&mut self, mut packed: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
        const SHORT: Malformed = Malformed("a header block ends early");
        if !self.begun {
            let has_dictionary = packed.get(1).ok_or(SHORT)? & 0x20 != 0;
            packed = packed.get(if has_dictionary { 6 } else { 2 }..).ok_or(SHORT)?;
            self.begun = true;
        }
        let mut plain = Vec::with_capacity(1024);
        while !packed.is_empty() {
            if plain.len() >= MOST_HEADERS {
                return Err(Malformed("a header block is too long"));
            }
            plain.reserve(1024);
            let before = (self.inflate.total_in(), plain.len());
            let status = self
                .inflate
                .decompress_vec(packed, &mut plain, FlushDecompress::Sync)
                .map_err(|_| Malformed("a header block does not unpack"))?;
            let eaten = usize::try_from(self.inflate.total_in() - before.0).unwrap_or(usize::MAX);
            packed = packed.get(eaten..).unwrap_or_default();
            if status == Inflated::StreamEnd || eaten == 0 && plain.len() == before.1 {
                break;
            }
        }
        let mut plain = &plain[..];
        let text = |plain: &mut &[u8]| -> Result<String, Malformed> {
            let length = plain.try_get_u32().map_err(|_| SHORT)? as usize;
            let (word, rest) = plain.split_at_checked(length).ok_or(SHORT)?;
            *plain = rest;
            Ok(String::from_utf8_lossy(word).into_owned())
        };
        let count = plain.try_get_u32().map_err(|_| SHORT)?;
        (0..count).map(|_| Ok((text(&mut plain)?.to_lowercase(), text(&mut plain)?))).collect()
    }
}

/// A deflate block that holds its bytes as they are.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut out = vec![0];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(bytes);
    out
}

fn control(kind: u16, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(8 + payload.len());
    out.extend(0x8003u16.to_be_bytes());
    out.extend(kind.to_be_bytes());
    out.extend(u32::try_from(payload.len()).unwrap_or(0).to_be_bytes());
    out.extend(payload);
    out.into()
}

/// Accepts a stream. `first` for the first one of a connection: the header blocks of a connection are one zlib
/// stream, which each frame continues and flushes.
#[must_use]
pub fn accept(stream: u32, first: bool) -> Bytes {
    let mut payload = stream.to_be_bytes().to_vec();
    if first {
        payload.extend([0x78, 0x01]);
    }
    payload.extend(stored(&0u32.to_be_bytes()));
    payload.extend(stored(&[]));
    control(SYN_REPLY, &payload)
}

/// Bytes of a stream, at most 16 MiB.
#[must_use]
pub fn data(stream: u32, bytes: &[u8], last: bool) -> Bytes {
    let mut out = Vec::with_capacity(8 + bytes.len());
    out.extend(stream.to_be_bytes());
    let length = u32::try_from(bytes.len()).unwrap_or(0) & 0x00ff_ffff;
    out.extend((length | if last { u32::from(FIN) << 24 } else { 0 }).to_be_bytes());
    out.extend(bytes);
    out.into()
}

/// The answer to a ping.
#[must_use]
pub fn pong(id: u32) -> Bytes {
    control(PING, &id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// Two SYN_STREAM frames as Go's framer writes them: the second refers back to the first.
    const FROM_GO: &str = "800300010000003e0000000100000000000078f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45e01c60616061c0c0c0c0590489c64c50f2663400000000ffff800300010000001800000003000000000000c2aa19540e2512d60b000000ffff";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn frames_of_the_go_client_are_read() {
        let mut decoder = Decoder::new().unwrap();
        let (mut frames, mut pieces) = (Vec::new(), 0);
        for piece in bytes(FROM_GO).chunks(7) {
            decoder.push(piece);
            pieces += 1;
            while let Some(frame) = decoder.next().unwrap() {
                frames.push(frame);
            }
        }
        assert!(pieces > 10);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = |kind| vec![pair("port", "8080"), pair("requestid", "0"), pair("streamtype", kind)];
        let mut opened = Vec::new();
        for frame in frames {
            let Frame::Open { stream, mut headers } = frame else { panic!("{frame:?}") };
            headers.sort();
            opened.push((stream, headers));
        }
        assert_eq!(opened, [(1, headers("error")), (3, headers("data"))]);
    }

    #[test]
    fn data_comes_and_goes_alike() {
        let mut decoder = Decoder::new().unwrap();
        decoder.push(&data(3, b"hello", true));
        assert_eq!(decoder.next(), Ok(Some(Frame::Data { stream: 3, bytes: Bytes::from("hello"), last: true })));
        decoder.push(&pong(9));
        assert_eq!(decoder.next(), Ok(Some(Frame::Ping(9))));
        assert_eq!(decoder.next(), Ok(None));
    }

    #[test]
    fn nonsense_is_refused() {
        let mut decoder = Decoder::new().unwrap();
        decoder.push(&control(SYN_STREAM, &[0; 4]));
        assert!(decoder.next().is_err());
        let mut decoder = Decoder::new().unwrap();
        decoder.push(&control(SYN_STREAM, &[0xff; 40]));
        assert!(decoder.next().is_err());
    }
}
